"""What there is to read: a text, or the text of a .txt, .md, .html or .pdf file."""

from __future__ import annotations

import os
from pathlib import Path

from llm_gateway_nb.errors import ConfigurationError

__all__ = ["read_document"]

_TEXT = (".txt", ".md", ".markdown", ".rst")
_HTML = (".html", ".htm")
_KINDS = (*_TEXT, *_HTML, ".pdf")
_LONGEST_NAME = 1024


def read_document(source: str | Path) -> str:
    """The text of `source`: of the file, where it is a path or names one by its ending; else `source` itself.

    Reads files and parses them, so it blocks.

    Raises:
        ConfigurationError: nothing to read: no such file, no permission, a kind that is not known, no text in it.
    """
    path = _as_path(source)
    if path is None:
        text = str(source)
        if not text.strip():
            raise ConfigurationError("There is nothing to summarize: the text is empty.")
        return text
    kind = path.suffix.lower()
    if kind not in _KINDS:
        raise ConfigurationError(f"{str(source)!r} is of a kind that is not known; known are {', '.join(_KINDS)}.")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no file {str(source)!r} (looked for {str(path.absolute())!r}); a text to summarize does not end "
            f"with {kind}."
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{str(source)!r} is a folder; name a file in it.") from None
    except OSError as error:
        raise ConfigurationError(f"The file {str(source)!r} can't be read: {error.strerror}.") from None
    text = _pdf_text(path) if kind == ".pdf" else _html_text(data) if kind in _HTML else _plain_text(data, path)
    if not text.strip():
        scanned = " (a scanned one has only pictures)" if kind == ".pdf" else ""
        raise ConfigurationError(f"The file {str(source)!r} holds no text{scanned}.")
    return text


def _as_path(source: str | Path) -> Path | None:
    if isinstance(source, os.PathLike):
        return Path(source).expanduser()
    if not isinstance(source, str):
        raise ConfigurationError(f"input_source is a text or a path, not a {type(source).__name__}.")
    line = source.strip()
    if len(line) <= _LONGEST_NAME and "\n" not in line and line.lower().endswith(_KINDS):
        return Path(line).expanduser()
    return None


def _plain_text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"The file {str(path)!r} is no text in UTF-8; pass path.read_text(encoding=…) instead."
        ) from None


def _html_text(data: bytes) -> str:
    try:
        from bs4 import BeautifulSoup
    except ImportError as error:
        raise ConfigurationError(
            "Reading .html needs Beautiful Soup: pip install 'llm-gateway-nb[documents]'."
        ) from error
    page = BeautifulSoup(data, "html.parser")
    for hidden in page(["script", "style", "noscript", "template", "svg"]):
        hidden.decompose()
    title = page.title.get_text(strip=True) if page.title else ""
    lines = [line.strip() for line in (page.body or page).get_text("\n").splitlines()]
    return "\n".join([title, *(line for line in lines if line and line != title)]).strip()


def _pdf_text(path: Path) -> str:
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise ConfigurationError("Reading .pdf needs pypdf: pip install 'llm-gateway-nb[documents]'.") from error
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ConfigurationError(f"The file {str(path)!r} is encrypted; save a copy without a password.")
        return "\n\n".join(page.extract_text() for page in reader.pages)
    except ConfigurationError:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, RecursionError, NotImplementedError) as error:
        raise ConfigurationError(f"The file {str(path)!r} is no PDF that can be read: {error}.") from error
