"""Files and bytes as parts of a message."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.types import (
    ContentPart,
    DocumentContentPart,
    ImageContentPart,
    Message,
    TextContentPart,
    UserMessage,
)

__all__ = ["Media", "media_parts", "with_media"]

Media = str | Path | bytes | ContentPart
"""A path, the bytes themselves, or a part that is ready."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def media_parts(media: Media | Iterable[Media]) -> list[ContentPart]:
    """Content parts, one for each; reads files, so it blocks.

    PNG, JPEG, GIF and WebP become images, PDF a document, and what is text in UTF-8 a text part under its file's name.

    Raises:
        ConfigurationError: a file is missing, can't be read, or holds something else.
    """
    single = isinstance(media, str | Path | bytes | TextContentPart | ImageContentPart | DocumentContentPart)
    items: Iterable[Any] = [media] if single else media  # type: ignore[assignment]  # told apart just above
    return [_part(item) for item in items]


def with_media(messages: list[Message], parts: list[ContentPart], *, prompted: bool) -> list[Message]:
    """A copy of the list with the parts in front of the prompt, or in a user message of their own."""
    last = messages[-1]
    if prompted and isinstance(last, UserMessage):
        text = [TextContentPart(text=last.content)] if isinstance(last.content, str) else last.content
        return [*messages[:-1], UserMessage(content=[*parts, *text])]
    return [*messages, UserMessage(content=parts)]


def _part(item: Any) -> ContentPart:
    match item:
        case TextContentPart() | ImageContentPart() | DocumentContentPart():
            return item
        case bytes():
            return _from_bytes(item, "the bytes in media", None)
        case str() | Path():
            return _from_file(item)
        case _:
            raise ConfigurationError(f"media holds paths, bytes or content parts, not {type(item).__name__}.")


def _from_file(name: str | Path) -> ContentPart:
    path = Path(name).expanduser()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            f"media: there is no file {str(name)!r} (looked for {str(path.absolute())!r})."
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"media: {str(name)!r} is a folder; name the files in it.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"media: the file {str(name)!r} can't be read: {reason}.") from None
    return _from_bytes(data, f"the file {str(name)!r}", path.name)


def _from_bytes(data: bytes, what: str, name: str | None) -> ContentPart:
    if not data:
        raise ConfigurationError(f"media: {what} is empty.")
    media_type = next((kind for begin, kind in _SIGNATURES if data.startswith(begin)), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        media_type = "image/webp"
    if media_type is not None:
        encoded = base64.b64encode(data).decode("ascii")
        if media_type.startswith("image/"):
            return ImageContentPart(media_type=media_type, data=encoded)
        return DocumentContentPart(media_type=media_type, data=encoded)
    try:
        text = data.decode("utf-8")
        if "\0" in text:
            raise ValueError
    except ValueError:
        guess = mimetypes.guess_type(name)[0] if name else None
        raise ConfigurationError(
            f"media: {what} is {guess or 'of a kind that is not known'}; models take PNG, JPEG, GIF, WebP, PDF and text."
        ) from None
    return TextContentPart(text=f"{name}:\n{text}" if name else text)
