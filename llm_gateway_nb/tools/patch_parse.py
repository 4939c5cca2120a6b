"""The patch format: what a model writes between `*** Begin Patch` and `*** End Patch`, as operations on files. Pure.

    *** Begin Patch
    *** Add File: notes/new.md
    +its lines
    *** Update File: src/app.py
    @@ def main():
     a line of context
    -a line to take out
    +a line to put in
    *** Delete File: old.txt
    *** End Patch

After `*** Update File:` may come `*** Move to: path`; after a hunk that ends where the file ends, `*** End of File`.
Permission rules read the paths out of the same text (`permissions.paths.patched_paths`): a header here is one there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llm_gateway_nb.errors import ToolError

__all__ = ["AddFile", "DeleteFile", "Hunk", "Operation", "UpdateFile", "anchor_paths", "parse_patch", "paths_of"]

_BEGIN, _END, _END_OF_FILE = "*** Begin Patch", "*** End Patch", "*** End of File"
_HEADER = re.compile(r"\*\*\* (?P<kind>(?:Add|Update|Delete) File|Move to):[ ]?(?P<path>\S(?:.*\S)?)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HINT = re.compile(r"@@(?:\s*-\d+(?:,\d+)?\s+\+\d+(?:,\d+)?\s*@@)?(?P<hint>.*?)(?:@@)?")
_NO_NEWLINE = "\\ No newline at end of file"


@dataclass(frozen=True, slots=True)
class AddFile:
    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteFile:
    path: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines to find and to change. `hints` are texts that stand above them in the file, the outer one first."""

    hints: tuple[str, ...]
    lines: tuple[tuple[Literal[" ", "-", "+"], str], ...]
    at_end: bool
    number: int
    """The line of the patch where it begins, from 1."""

    @property
    def before(self) -> list[str]:
        """What the file has in its place: context and what is taken out."""
        return [text for sign, text in self.lines if sign != "+"]


@dataclass(frozen=True, slots=True)
class UpdateFile:
    path: str
    hunks: tuple[Hunk, ...]
    move_to: str | None


Operation = AddFile | DeleteFile | UpdateFile


def parse_patch(text: str) -> list[Operation]:
    """The operations of a patch, in its order; the same file may come more than once.

    Lenient where models slip and nothing else can be meant: a hunk's line without a sign is context, an empty line between
    added lines is an added one, and a first hunk may do without `@@`.

    Raises:
        ToolError: names the line that makes no sense.
    """
    return _Parser(text).operations()


def paths_of(operations: list[Operation]) -> list[str]:
    """Every path that the operations touch, in their order."""
    paths: list[str] = []
    for operation in operations:
        paths.append(operation.path)
        if isinstance(operation, UpdateFile) and operation.move_to is not None:
            paths.append(operation.move_to)
    return paths


def anchor_paths(text: str, anchor: Callable[[str], str]) -> str:
    """The same patch with each path in its headers as `anchor` gives it."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        header = _HEADER.fullmatch(line.rstrip())
        if header is not None:
            lines[index] = line[: header.start("path")] + anchor(header["path"]) + line[header.end("path") :]
    return "\n".join(lines)


class _Parser:
    def __init__(self, text: str) -> None:
        lines = text.split("\n")
        first, last = 0, len(lines) - 1
        while first < last and not lines[first].strip():
            first += 1
        while last > first and not lines[last].strip():
            last -= 1
        if lines[first].strip() != _BEGIN:
            raise ToolError(f"A patch begins with a line {_BEGIN!r}, not with {lines[first][:80]!r}.")
        if lines[last].strip() != _END:
            raise ToolError(f"A patch ends with a line {_END!r}, not with {lines[last][:80]!r}.")
        if lines[first].endswith("\r"):  # the patch as a whole was sent with such line ends
            lines = [line.removesuffix("\r") for line in lines]
        self._lines = lines
        self._at = first + 1
        self._end = last

    @property
    def _line(self) -> str:
        return self._lines[self._at]

    def _more(self) -> bool:
        return self._at < self._end

    def _is_directive(self) -> bool:
        return self._line.startswith("***")

    def _skip_blank(self) -> None:
        while self._more() and not self._line.strip():
            self._at += 1

    def _error(self, problem: str) -> ToolError:
        return ToolError(f"Line {self._at + 1} of the patch, {self._lines[self._at][:80]!r}: {problem}.")

    def operations(self) -> list[Operation]:
        found: list[Operation] = []
        self._skip_blank()
        while self._more():
            header = self._header()
            if header is None or header[0] == "Move to":
                raise self._error(
                    "this is where a `*** Add File:`, `*** Update File:` or `*** Delete File:` has to stand"
                )
            self._at += 1
            kind, path = header
            if kind == "Add File":
                found.append(AddFile(path, self._added(path)))
            elif kind == "Delete File":
                found.append(DeleteFile(path))
            else:
                found.append(self._update(path))
            self._skip_blank()
        if not found:
            raise ToolError("The patch is empty: there is no file between its first and last line.")
        return found

    def _header(self) -> tuple[str, str] | None:
        header = _HEADER.fullmatch(self._line.rstrip())
        if header is None:
            return None
        if _CONTROL.search(header["path"]):
            raise self._error("a path holds a control character")
        return header["kind"], header["path"]

    def _added(self, path: str) -> tuple[str, ...]:
        lines: list[str] = []
        while self._more():
            if self._line.startswith("+"):
                lines.append(self._line[1:])
                self._at += 1
                continue
            start = self._at
            self._skip_blank()
            if start == self._at or not self._more() or not self._line.startswith("+") or not lines:
                break
            lines.extend([""] * (self._at - start))
        if not lines:
            raise ToolError(f"The patch adds {path!r} without a line; each line of a new file begins with `+`.")
        return tuple(lines)

    def _update(self, path: str) -> UpdateFile:
        move_to = None
        if self._more() and (header := self._header()) is not None and header[0] == "Move to":
            move_to = header[1]
            self._at += 1
        hunks: list[Hunk] = []
        start = self._at
        self._skip_blank()
        if self._more() and not self._line.startswith(("@@", "***")):
            self._at = start  # no `@@`, so what looks blank is context
        while self._more() and not self._is_directive():
            hunks.append(self._hunk())
        if not hunks and move_to is None:
            raise ToolError(f"The patch updates {path!r} without a hunk, which begins with `@@`.")
        return UpdateFile(path, tuple(hunks), move_to)

    def _hunk(self) -> Hunk:
        start = self._at
        hints: list[str] = []
        while self._more() and self._line.startswith("@@"):
            match = _HINT.fullmatch(self._line.rstrip())
            hint = match["hint"].strip() if match is not None else ""
            self._at += 1
            if hint:
                hints.append(hint)
            elif self._more() and self._line.startswith("@@"):
                break  # nothing between two bare `@@`: empty, as is said below
        lines: list[tuple[Literal[" ", "-", "+"], str]] = []
        blank = 0
        while self._more() and not self._line.startswith(("@@", "***")):
            line = self._line.removesuffix("\r")
            blank = 0 if line else blank + 1
            if line != _NO_NEWLINE:
                lines.append(_signed(line))
            self._at += 1
        at_end = self._more() and self._line.rstrip() == _END_OF_FILE
        if at_end:
            self._at += 1
        elif blank:
            del lines[-blank:]  # empty lines before the next header or hunk part the two, and are no context
        if not lines:
            self._at = start
            raise self._error("the hunk is empty")
        return Hunk(tuple(hints), tuple(lines), at_end, start + 1)


def _signed(line: str) -> tuple[Literal[" ", "-", "+"], str]:
    match line[:1]:
        case "+":
            return "+", line[1:]
        case "-":
            return "-", line[1:]
        case " ":
            return " ", line[1:]
        case _:
            return " ", line
