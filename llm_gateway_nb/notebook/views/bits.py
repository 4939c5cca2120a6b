"""The few pieces that every view is made of: JSON values, drawn by `static.py` for the saved notebook and by
`widgets/bits.js` for a living page, so that the two look alike.

A piece is a dict whose `b` says what it is. Whatever a model wrote is in a string, and a string stays text in both.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from llm_gateway_nb.notebook.text import clean, cut, jsonable

__all__ = [
    "Bit",
    "Tone",
    "badge",
    "brief",
    "bubble",
    "card",
    "code",
    "fold",
    "image_or_name",
    "line",
    "note",
    "prose",
    "table",
]

Bit = dict[str, Any]
Tone = Literal["good", "bad", "ask", "busy", "quiet"]
"""What a state looks like; a word always stands beside it."""

MAX_IMAGE = 2_000_000
"""Characters of one image in base64: a notebook keeps what is shown."""
_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})  # pixels only: SVG is a document


def card(title: str, *inside: Bit, badge: Bit | None = None, about: str = "") -> Bit:
    """A framed thing with a heading; `about` stands small beside its title."""
    return {"b": "card", "title": clean(title), "about": clean(about), "badge": badge, "inside": list(inside)}


def badge(word: str, tone: Tone) -> Bit:
    """A state."""
    return {"b": "badge", "word": clean(word), "tone": tone}


def note(text: str) -> Bit:
    """A small, quiet remark of ours."""
    return {"b": "note", "text": cut(text)}


def prose(text: str) -> Bit:
    """What a person or a model wrote, with the little Markdown that the panel draws."""
    return {"b": "prose", "text": cut(text)}


def code(text: str) -> Bit:
    """Code, output, JSON: as it stands."""
    return {"b": "code", "text": cut(text)}


def line(text: str, tone: Tone | None = None) -> Bit:
    """One line in the code font: a call, a value."""
    return {"b": "line", "text": cut(text), "tone": tone}


def table(head: Sequence[str], rows: Iterable[Sequence[str | Bit]], *, empty: str = "") -> Bit:
    """Rows of texts or pieces; `empty` says so where there are none."""
    return {"b": "table", "head": list(head), "rows": [[_cell(c) for c in row] for row in rows], "empty": empty}


def fold(summary: str, *inside: Bit) -> Bit:
    """Something to look into."""
    return {"b": "fold", "summary": cut(summary, 300), "inside": list(inside)}


def bubble(who: str, side: Literal["user", "assistant", "system", "tool"], *inside: Bit) -> Bit:
    """What one side of a conversation said."""
    return {"b": "bubble", "who": clean(who), "side": side, "inside": list(inside)}


def image_or_name(media_type: str, data: str) -> Bit:
    """The pixels, from the very data; what is no image, or is too large, by its kind and size."""
    packed = "".join(data.split())
    if media_type in _IMAGES and len(packed) <= MAX_IMAGE and _is_base64(packed):
        return {"b": "image", "src": f"data:{media_type};base64,{packed}", "alt": f"an image ({media_type})"}
    kind = "image" if media_type.startswith("image/") else "document"
    return {"b": "file", "name": clean(media_type), "note": f"{kind}, {_size(len(packed) * 3 // 4)}"}


def brief(value: object, limit: int = 200) -> str:
    """`repr(value)` on one line, bounded, the same in every process, and never an error."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  (anybody's `__repr__` may raise anything)
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", clean(text)).replace("\n", "⏎")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _cell(cell: str | Bit) -> str | Bit:
    return cut(cell, 2_000) if isinstance(cell, str) else jsonable(cell)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _size(count: int) -> str:
    if count < 1_000:
        return f"{count} bytes"
    return f"{count / 1_000:.0f} KB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
