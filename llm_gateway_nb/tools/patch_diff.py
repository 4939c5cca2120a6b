"""What a patch did to one file, as a unified diff for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

__all__ = ["FileDiff", "file_diff"]

_CONTEXT = 3
_MAX_COMPARED = 10_000
_MAX_CHARACTERS = 100_000
_NO_NEWLINE = "\n\\ No newline at end of file"

Opcode = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class FileDiff:
    """`text` is cut where it is very long; `added` and `removed` count all lines."""

    text: str
    added: int
    removed: int


def file_diff(old_name: str | None, new_name: str | None, before: str | None, after: str | None) -> FileDiff:
    """The diff from `before` to `after`; None for a name is a file that is not there, None for a text one not to show."""
    head = f"--- {_side('a', old_name)}\n+++ {_side('b', new_name)}\n"
    if (before is None and old_name is not None) or (after is None and new_name is not None):
        return FileDiff(head + "[not shown: binary, or very large]\n", 0, 0)
    old, new = _lines(before or ""), _lines(after or "")
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    pairs = zip(reversed(old[same:]), reversed(new[same:]), strict=False)
    tail = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)) - same)
    start, kept = max(0, same - _CONTEXT), max(0, tail - _CONTEXT)
    old, new = old[start : len(old) - kept], new[start : len(new) - kept]
    groups: Iterable[Sequence[Opcode]] = SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT)
    if len(old) + len(new) > _MAX_COMPARED:  # comparing takes time that grows with the square
        groups = [[("replace", 0, len(old), 0, len(new))]]
    body: list[str] = []
    added = removed = 0
    for group in groups:
        body.append(f"@@ -{_range(group, 1, start)} +{_range(group, 3, start)} @@")
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                body += [f" {line}" for line in old[i1:i2]]
                continue
            body += [f"-{line}" for line in old[i1:i2]]
            body += [f"+{line}" for line in new[j1:j2]]
            removed += i2 - i1
            added += j2 - j1
    text = "\n".join(body)
    if len(text) > _MAX_CHARACTERS:
        text = f"{text[:_MAX_CHARACTERS]}\n[the rest of this diff is left out]"
    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return FileDiff(f"{head}{shown}\n" if shown else head, added, removed)


def _side(letter: str, name: str | None) -> str:
    return "/dev/null" if name is None else f"{letter}/{name}"


def _lines(text: str) -> list[str]:
    """Without their ends, which a patch never changes; a last line that has none says so."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    last = lines.pop()
    return [*lines, last + _NO_NEWLINE] if last else lines


def _range(group: Sequence[Opcode], side: int, start: int) -> str:
    first, last = int(group[0][side]), int(group[-1][side + 1])
    count = last - first
    return f"{start + first + bool(count)},{count}" if count != 1 else f"{start + first + 1}"
