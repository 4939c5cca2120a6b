"""Colours for the saved page: code, diffs, and what a terminal prints, as HTML with inline styles.

No colour is 4.5 : 1 on a white page and on a dark one (4.1 is the most, where the dark is #1e1e1e), and a saved page can't
ask which it stands on. So each is mixed with the ink of that page: darker on a light one, lighter on a dark one. Where a
sanitiser takes that away (JupyterLab's, of a notebook that is not trusted), the ink is left.
"""

from __future__ import annotations

import html
import re
from typing import Any

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String

from llm_gateway_nb.notebook.text import shown, unprinted

__all__ = [
    "ASK",
    "BAD",
    "BUSY",
    "DIM",
    "FADED",
    "FINE",
    "FOLD",
    "MARK_BAD",
    "QUIET",
    "ansi",
    "code",
    "diff",
    "escape",
    "looks_like_diff",
]


def _on_any_page(colour: str) -> str:
    return f"color-mix(in srgb,{colour} 65%,currentcolor)"


FINE, BAD, ASK, BUSY, QUIET = map(_on_any_page, ("#22914c", "#e34a4f", "#b8690a", "#2f7fd6", "#7c828a"))
"""For text, and never one within another: each takes a part of the colour that surrounds it."""
_PURPLE, _CYAN, _STRING, _COMMENT = map(_on_any_page, ("#a75ad2", "#1a8c9d", "#cb5a36", "#688590"))
MARK_BAD = "#d23c41"
"""For lines and edges, which need 3 : 1."""
DIM = "opacity:0.78"
FADED = "color:color-mix(in srgb,currentcolor 78%,transparent)"
"""As `DIM`, where coloured text may stand inside: that stays nearly as strong as it was."""

FOLD = "cursor:pointer;display:list-item"
"""Of a summary: a stylesheet that makes it a block takes its triangle away."""

_LEXERS = {
    **dict.fromkeys(("python", "py", "ipython", "python3"), "python"),
    **dict.fromkeys(("javascript", "js"), "javascript"),
    **dict.fromkeys(("typescript", "ts"), "typescript"),
    **dict.fromkeys(("bash", "sh", "shell", "console"), "bash"),
    "json": "json",
}
"""The languages that the live panel knows, too."""

_TONES: list[tuple[Any, str]] = [
    (Comment, f"color:{_COMMENT};font-style:italic"),
    (String, f"color:{_STRING}"),
    (Name.Tag, f"color:{_STRING}"),  # a key of JSON
    (Number, f"color:{FINE}"),
    (Keyword, f"color:{_PURPLE};font-weight:600"),
    (Operator.Word, f"color:{_PURPLE};font-weight:600"),
]


def escape(text: str) -> str:
    """`text` as HTML, with everything that would be invisible made visible."""
    return html.escape(shown(text))


def _span(style: str, text: str) -> str:
    return f'<span style="{style}">{escape(text)}</span>'


def code(text: str, language: str) -> str:
    """Code in colour, if its language is known."""
    name = _LEXERS.get(language.lower())
    if name is None or len(text) > 50_000:
        return diff(text) if looks_like_diff(text) else escape(text)
    lexer = get_lexer_by_name(name, stripnl=False, ensurenl=False)
    parts: list[str] = []
    for kind, piece in lexer.get_tokens(text):
        style = next((style for tone, style in _TONES if kind in tone), None)
        parts.append(_span(style, piece) if style and piece.strip() else escape(piece))
    return "".join(parts)


def looks_like_diff(text: str) -> bool:
    """A unified diff, or a patch in the envelope that models write."""
    return bool(re.search(r"^@@ |^\*\*\* Begin Patch", text, re.M)) and bool(re.search(r"^[+-]", text, re.M))


def diff(text: str) -> str:
    """A diff with its lines in colour."""
    tones = {
        "+": f"color:{FINE};background-color:rgba(38,135,74,0.1)",
        "-": f"color:{BAD};background-color:rgba(210,60,65,0.1)",
        "@": f"color:{BUSY}",
        "*": f"color:{BUSY}",
    }
    return "\n".join(_span(tones[line[0]], line) if line[:1] in tones else escape(line) for line in text.split("\n"))


_ANSI = [QUIET, BAD, FINE, ASK, BUSY, _PURPLE, _CYAN, QUIET]
_ESCAPES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[@-Z\\\\-_])")


def ansi(text: str) -> str:
    """What a program printed, as a terminal would have left it standing, in its colours."""
    colour, bold, parts = "", False, list[str]()
    for number, part in enumerate(re.split("\x1b\\[([\\d;]*)m", unprinted(text))):
        if number % 2 == 0:
            plain = _ESCAPES.sub("", part)
            style = ";".join(filter(None, [f"color:{colour}" if colour else "", "font-weight:700" if bold else ""]))
            parts.append(_span(style, plain) if style and plain else escape(plain))
            continue
        codes = iter(int(code or 0) for code in part.split(";"))
        for value in codes:
            if value == 0:
                colour, bold = "", False
            elif value in {1, 22}:
                bold = value == 1
            elif value == 39:
                colour = ""
            elif 30 <= value <= 37 or 90 <= value <= 97:
                colour = _ANSI[value % 10]
            elif value in {38, 48}:  # 256 colours and more: as it is
                for _ in range(1 if next(codes, 5) == 5 else 3):
                    next(codes, 0)
    return "".join(parts)
