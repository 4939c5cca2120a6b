"""Some lines of a text file, numbered; the file may be of any size and is never in memory as a whole."""

from __future__ import annotations

import codecs
import threading
from dataclasses import dataclass
from typing import BinaryIO

from llm_gateway_nb.errors import ToolError

__all__ = ["Page", "read_page"]

_LINE_CHARACTERS = 2_000
_LINE_BYTES = 4 * _LINE_CHARACTERS
_PIECE = 65_536
_CHUNK = 1_048_576
_MAX_COUNTED_BYTES = 256 * _CHUNK
"""How far beyond what is shown lines are counted, only to say how many there are."""


@dataclass(frozen=True, slots=True)
class Page:
    """What was read: lines `start + 1` to `start + shown` of `total`, which is None where there are too many to count."""

    text: str
    start: int
    shown: int
    total: int | None
    broken: bool
    """Whether some bytes were no UTF-8; they are shown as the replacement character."""

    @property
    def is_cut(self) -> bool:
        return self.total is None or self.start + self.shown < self.total


def read_page(file: BinaryIO, *, offset: int, limit: int, max_bytes: int, stop: threading.Event) -> Page:
    """At most `limit` lines after the first `offset`, and at most `max_bytes` of text, but one line at least.

    A line ends with a newline; a carriage return before that is no part of it. Of a line longer than 2,000 characters the
    beginning is given. `stop` may be set from another thread.

    Raises:
        ToolError: it was stopped.
    """
    skipped = 0
    while skipped < offset and _next_line(file, stop) is not None:
        skipped += 1
    lines: list[str] = []
    size, broken, pending = 0, False, 0
    while skipped == offset and len(lines) < limit and (raw := _next_line(file, stop)) is not None:
        text, clean = _decode(raw, first=offset == 0 and not lines)
        line = f"{offset + len(lines) + 1:>4} | {text}"
        size += len(line.encode()) + 1
        if lines and size > max_bytes:
            pending = 1
            break
        lines.append(line)
        broken = broken or not clean
    rest = _count(file, stop)
    total = None if rest is None else skipped + len(lines) + pending + rest
    return Page("\n".join(lines), min(skipped, offset), len(lines), total, broken)


def _next_line(file: BinaryIO, stop: threading.Event) -> bytes | None:
    """The next line with its end, or as much of it as can be shown; None at the end of the file."""
    kept = piece = file.readline(_PIECE)
    while piece and not piece.endswith(b"\n"):
        _check(stop)
        piece = file.readline(_PIECE)
    _check(stop)
    return kept or None


def _decode(raw: bytes, *, first: bool) -> tuple[str, bool]:
    body = raw.removesuffix(b"\n").removesuffix(b"\r")
    if first:
        body = body.removeprefix(codecs.BOM_UTF8)
    is_cut = len(body) > _LINE_BYTES
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(body[:_LINE_BYTES], final=not is_cut)
    clean = "\ufffd" not in text or b"\xef\xbf\xbd" in body
    if len(text) > _LINE_CHARACTERS or is_cut:
        text = f"{text[:_LINE_CHARACTERS]}… [truncated]"
    return text.replace("\0", "\ufffd"), clean


def _count(file: BinaryIO, stop: threading.Event) -> int | None:
    """How many lines are left."""
    found, counted, last = 0, 0, b"\n"
    while chunk := file.read(_CHUNK):
        _check(stop)
        found += chunk.count(b"\n")
        counted += len(chunk)
        last = chunk[-1:]
        if counted > _MAX_COUNTED_BYTES:
            return None
    return found + (last != b"\n")


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise ToolError("Reading was stopped.")
