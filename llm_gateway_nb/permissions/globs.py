"""Globs over plain text, on wcmatch's engine. What they mean is told once, in `match`'s table."""

from __future__ import annotations

import re
from collections.abc import Callable

from wcmatch import fnmatch

__all__ = ["escape", "literal", "text_matcher"]

_FLAGS = fnmatch.CASE | fnmatch.DOTMATCH | fnmatch.FORCEUNIX
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ACTIVE = re.compile(r"(?:[^\\*?\[]|\\.)*[*?\[]", re.DOTALL)
_SPECIAL = re.compile(r"[\\*?\[]")
_ONLY_STARS = re.compile(r"\*+")

_LONGEST_TEXT = 4096
"""A pattern of several stars backtracks; against a longer text than this it is not tried and does not match."""


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
    stars = len(re.findall(r"\*+", pattern))
    return lambda text: (stars < 2 or len(text) <= _LONGEST_TEXT) and bool(compiled.match(text))
