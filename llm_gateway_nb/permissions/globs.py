"""Globs over plain text and over the parts of a path, on wcmatch's engine. What they mean is told once, in `match`'s table.

Both take time that grows with the text and not with the ways to share it out among the stars: the text is a model's, and
what is denied must not hide behind its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from wcmatch import fnmatch

__all__ = ["escape", "literal", "parts_matcher", "text_matcher"]

_FLAGS = fnmatch.CASE | fnmatch.DOTMATCH | fnmatch.FORCEUNIX
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ACTIVE = re.compile(r"(?:[^\\*?\[]|\\.)*[*?\[]", re.DOTALL)
_SPECIAL = re.compile(r"[\\*?\[]")
_ONLY_STARS = re.compile(r"\*+")


def escape(text: str) -> str:
    """A pattern that matches `text` and nothing else."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def literal(pattern: str) -> str | None:
    """The one text that a pattern without active glob characters matches; None if it has some.

    A backslash makes the next character plain; one at the very end is plain itself.
    """
    if _ACTIVE.match(pattern):
        return None
    return _ESCAPED.sub(r"\1", pattern)


def text_matcher(pattern: str) -> Callable[[str], bool]:
    """Tell of any text whether all of it matches; a star also crosses `/`. Neither step ever raises."""
    plain = literal(pattern)
    if plain is not None:
        return lambda text: text == plain
    if _ONLY_STARS.fullmatch(pattern):
        return lambda _: True  # in wcmatch a lone star wants at least one character
    trailing = len(pattern) - len(pattern.rstrip("\\"))
    try:
        compiled = fnmatch.compile(pattern + "\\" * (trailing % 2), flags=_FLAGS)
    except (re.error, ValueError, OverflowError, RecursionError):
        return lambda _: False  # a pattern that is none matches nothing
    return lambda text: bool(compiled.match(text))  # since 11.2 no star looks back at the one before it


def parts_matcher(pattern: str) -> Callable[[str], bool]:
    """Tell of a relative path whether it matches; a star stays within one part, `**` as a part is any number of parts,
    at the end one at least. Neither step ever raises."""
    *first, last = pattern.split("/")
    matchers = [None if part == "**" else text_matcher(part) for part in (*filter(None, first), last)]
    if last == "**":
        matchers.append(_any_part)
    return lambda path: _parts_match(matchers, path.split("/"))


def _parts_match(matchers: Sequence[Callable[[str], bool] | None], parts: Sequence[str]) -> bool:
    """None among the matchers stands for `**`."""
    at = here = 0
    again: tuple[int, int] | None = None  # behind the last `**`, and what it was tried with: no earlier one has to give
    while here < len(parts):
        matcher = matchers[at] if at < len(matchers) else _no_part
        if matcher is None:
            at += 1
            again = at, here
        elif matcher(parts[here]):
            at, here = at + 1, here + 1
        elif again is not None:
            again = again[0], again[1] + 1
            at, here = again
        else:
            return False
    return all(matcher is None for matcher in matchers[at:])


def _any_part(_part: str) -> bool:
    return True


def _no_part(_part: str) -> bool:
    return False
