"""Hunks put into a text: where each belongs, and the text afterwards. Pure.

A hunk is looked for below the one before it and near its hint. Line ends, and the missing newline of a last line, stay as
they were; context is kept as the file has it, and not as the patch quotes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.tools.patch_parse import Hunk

__all__ = ["apply_hunks", "find_match"]

_BOM = "\ufeff"


def apply_hunks(
    text: str, hunks: Sequence[Hunk], *, name: str = "the file", check: Callable[[], None] = lambda: None
) -> str:
    """The text with every hunk in its place. `check()` is called before each; what it raises ends the work.

    Raises:
        ToolError: the context of a hunk is not there, or stands above the hunk before it.
    """
    if text.startswith(_BOM):
        return _BOM + apply_hunks(text[1:], hunks, name=name, check=check)
    lines, ends = _split(text)
    usual = next((end for end in ends if end), "\n")
    new: list[tuple[str, str]] = []
    cursor = 0
    hints: tuple[str, ...] = ()
    for hunk in hunks:
        check()
        found = _place(lines, hunk, cursor, same_hints=bool(hunk.hints) and hunk.hints == hints, name=name)
        new.extend(zip(lines[cursor:found], ends[cursor:found], strict=True))
        cursor, hints = found, hunk.hints
        for sign, content in hunk.lines:
            if sign == "+":
                near = new[-1][1] if new else ends[cursor] if cursor < len(ends) else usual
                new.append((content, near or usual))
                continue
            if sign == " ":
                new.append((lines[cursor], ends[cursor]))
            cursor += 1
    new.extend(zip(lines[cursor:], ends[cursor:], strict=True))
    if not new:
        return ""
    finished = [content + (end or usual) for content, end in new[:-1]]
    content, end = new[-1]
    ends_open = bool(ends) and not ends[-1]
    return "".join([*finished, content if ends_open else content + (end or usual)])


def find_match(lines: Sequence[str], wanted: Sequence[str], start: int = 0) -> int:
    """The first place at or after `start` where the wanted lines stand one below the other; -1 if there is none.

    Where they stand nowhere as they are, white space at the ends of lines does not count.
    """
    exact = _find(lines, wanted, start)
    if exact >= 0:
        return exact
    return _find([line.rstrip() for line in lines], [line.rstrip() for line in wanted], start)


def _find(lines: Sequence[str], wanted: Sequence[str], start: int) -> int:
    first, count = (wanted[0], len(wanted)) if wanted else ("", 0)
    wanted = list(wanted)
    for index in range(start, len(lines) - count + 1):
        if not count or (lines[index] == first and list(lines[index : index + count]) == wanted):
            return index
    return -1


def _split(text: str) -> tuple[list[str], list[str]]:
    """The lines, and the end of each: a newline with or without a carriage return, or nothing."""
    parts = text.split("\n")
    last = parts.pop()
    lines = [part.removesuffix("\r") for part in parts]
    ends = ["\r\n" if part.endswith("\r") else "\n" for part in parts]
    if last:
        lines.append(last)
        ends.append("")
    return lines, ends


def _place(lines: list[str], hunk: Hunk, cursor: int, *, same_hints: bool, name: str) -> int:
    """The line at which a hunk begins: the first fitting one below the hunk before it, at its hint or below that."""
    before = hunk.before
    hint, missing = (None, None) if same_hints else _find_hints(lines, hunk.hints, cursor)
    if not before:
        if missing is not None:
            raise _error(hunk, name, f"has no line with its hint {missing!r}, and the hunk has no context to go by")
        if hunk.at_end or not hunk.hints:
            return len(lines)
        return cursor if hint is None else hint + 1
    if hunk.at_end:
        found = len(lines) - len(before)
        if found < cursor or find_match(lines[found:], before) != 0:
            raise _error(hunk, name, "does not end with its context")
        return found
    # A hunk may begin above its hint, where the hint is one of its own lines.
    found = find_match(lines, before, cursor if hint is None else max(cursor, hint - len(before) + 1))
    if found < 0:
        found = _last_match(lines, before, cursor)
    if found < 0:
        raise _error(hunk, name, _why_not(lines, before))
    if missing is not None and find_match(lines, before, found + 1) >= 0:
        raise _error(hunk, name, f"has its context more than once, and no line with its hint {missing!r}")
    return found


def _last_match(lines: list[str], before: list[str], cursor: int) -> int:
    """Nothing fits below the hint: the nearest place above it that is still below the hunk before."""
    nearest = -1
    while (found := find_match(lines, before, cursor)) >= 0:
        nearest, cursor = found, found + 1
    return nearest


def _find_hints(lines: list[str], hints: tuple[str, ...], cursor: int) -> tuple[int | None, str | None]:
    """The line of the innermost hint below the cursor, and the hint that the file does not have, if any.

    One that stands only above the cursor has been passed: the hunk before was in the same part of the file.
    """
    found, start = None, cursor
    for hint in hints:
        below = _find_hint(lines, hint, start, len(lines))
        if below >= 0:
            found, start = below, below + 1
        elif _find_hint(lines, hint, 0, cursor) < 0:
            return None, hint
    return found, None


def _find_hint(lines: list[str], hint: str, start: int, stop: int) -> int:
    """The first line that is the hint, else one that begins with it, else one that has it."""
    candidates = [(index, lines[index].strip()) for index in range(start, stop) if hint in lines[index]]
    for fits in (str.__eq__, str.startswith, str.__contains__):
        for index, line in candidates:
            if fits(line, hint):
                return index
    return -1


def _why_not(lines: list[str], before: list[str]) -> str:
    above = find_match(lines, before)
    if above >= 0:
        return f"has its context only at line {above + 1}, above the hunk before it; hunks go from top to bottom"
    known = {line.rstrip() for line in lines}
    strange = next((line for line in before if line.rstrip() not in known), None)
    if strange is None:
        return "has all lines of its context, but not one below the other"
    return f"does not have its context; there is no line {strange[:120]!r}"


def _error(hunk: Hunk, name: str, problem: str) -> ToolError:
    return ToolError(f"The hunk at line {hunk.number} of the patch does not fit: {name} {problem}.")
