"""A second, much simpler reading of a command: words, `|`, `&&`, `||`, `;` and harmless redirections, or nothing.

A grammar of all of bash is large, and a place where its reading differs from bash's own would be a hole. So every
command is read twice, by tree-sitter and by the one regular expression here, and the two must find the same words.
What this one does not know, it refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Word", "dequote", "read_simply"]

_PIECE = r"""(?:[\w\-./,:=@%+^~*?\[\]!]|\\[^\n]|'[^'\n]*'|"(?:[^"\\$`\n]|\\[^\n])*")"""
_WORD = rf"{_PIECE}(?:{_PIECE}|\#)*"  # a `#` begins a comment only where a word would begin
HARMLESS_REDIRECTION = r"[0-9]*(?:>&[0-9]|>>?[ \t]*/dev/null|<[ \t]*/dev/null)"
_FILE_REDIRECTION = rf"[0-9]*(?:>>?|<)[ \t]*{_WORD}"


def _token(redirection: str) -> re.Pattern[str]:
    return re.compile(
        rf"[ \t]*(?:(?P<redirection>{redirection})(?=[ \t;|&]|$)|(?P<operator>&&|\|\|?|;)|(?P<word>{_WORD}))[ \t]*"
    )


_TOKEN = _token(HARMLESS_REDIRECTION)
_TOKEN_OR_FILE = _token(f"(?:{HARMLESS_REDIRECTION}|{_FILE_REDIRECTION})")
_PIECES = re.compile(
    r"""(?P<plain>[^\\'"]+)|\\(?P<escaped>.)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)["]""", re.DOTALL
)
_TILDE = re.compile(r"(?:^|[=:])~")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a simple command: its value without quotes, and whether bash makes file names of it."""

    value: str
    expands: bool = False


def read_simply(command: str, *, with_files: bool = False) -> list[list[str]] | None:
    """The words of each simple command, quotes kept; None for anything but plain commands and the four operators.

    `with_files` reads over redirections to and from files as well.
    """
    tokens = _TOKEN_OR_FILE if with_files else _TOKEN
    commands: list[list[str]] = [[]]
    position = 0
    while position < len(command):
        token = tokens.match(command, position)
        if token is None:
            return None
        position = token.end()
        if token["word"]:
            commands[-1].append(token["word"])
        elif token["operator"]:
            if not commands[-1] or (token["operator"] != ";" and position == len(command)):
                return None
            commands.append([])
    if len(commands) > 1 and not commands[-1]:
        commands.pop()  # after a closing `;`
    return commands if all(commands) else None


def dequote(raw: str) -> Word:
    """The value of a word as bash would pass it, for a word that `read_simply` found."""
    value: list[str] = []
    unquoted: list[str] = []  # the same, with a quoted part held by a character that no expansion begins with
    for piece in _PIECES.finditer(raw):
        if piece["plain"] is not None:
            value.append(piece["plain"])
            unquoted.append(piece["plain"])
            continue
        if piece["double"] is not None:
            value.append(re.sub(r'\\(["\\$`])', r"\1", piece["double"]))
        else:
            value.append(piece["escaped"] or piece["single"] or "")
        unquoted.append("'")
    bare = "".join(unquoted)
    return Word("".join(value), expands=any(mark in bare for mark in "*?[") or _TILDE.search(bare) is not None)
