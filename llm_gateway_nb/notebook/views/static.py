"""Pieces as HTML that needs nothing, as `static_html.py` does it for runs: inline styles that both themes can carry,
structure that still reads well where styles are taken away, no script."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from llm_gateway_nb.notebook.markdown import LINE, PRE, QUIET_PAPER, markdown
from llm_gateway_nb.notebook.paint import ASK, BAD, BUSY, DIM, FINE, FOLD, QUIET, escape
from llm_gateway_nb.notebook.text import MAX_DEPTH
from llm_gateway_nb.notebook.views.bits import Bit

__all__ = ["bits_html"]

_COLOURS = {"good": FINE, "bad": BAD, "ask": ASK, "busy": BUSY, "quiet": QUIET}
_MARKS = {"good": "✓", "bad": "✗", "ask": "?", "busy": "●", "quiet": "\u2013"}
_SIDES = {"user": "rgba(63,131,214,0.13)", "assistant": QUIET_PAPER, "system": "transparent", "tool": "transparent"}
_CELL = "text-align:left;vertical-align:top;padding:3px 10px 3px 0;border:0;white-space:normal;max-width:none"
_WORD = 28
"""Characters of a line that stays in one piece, however narrow its column would be."""
_HEAD = f"{_CELL};font-weight:600;font-size:12px;{DIM}"


def bits_html(*bits: Bit) -> str:
    """The pieces, one below the other. The same pieces give the same text."""
    return "".join(_bit(bit, 0) for bit in bits)


def _all(bits: Iterable[Bit], depth: int) -> str:
    return "".join(_bit(bit, depth + 1) for bit in bits)


def _bit(bit: Bit, depth: int) -> str:
    if depth > MAX_DEPTH:
        return "<p>…</p>"
    match bit["b"]:
        case "card":
            return _card(bit, depth)
        case "badge":
            return _badge(bit)
        case "note":
            return f'<p style="margin:4px 0;font-size:12px;{DIM}">{_escape(bit["text"])}</p>'
        case "prose":
            return markdown(bit["text"])
        case "code":
            return f'<pre style="{PRE}">{escape(bit["text"])}</pre>'
        case "line":
            colour = f";color:{_COLOURS[bit['tone']]}" if bit.get("tone") else ""
            breaks = "word-break:break-word" if len(bit["text"]) > _WORD else "white-space:nowrap"
            style = f"background-color:transparent;font-size:12px;padding:0;{breaks}{colour}"
            return f'<code style="{style}">{_escape(bit["text"])}</code>'
        case "table":
            return _table(bit, depth)
        case "fold":
            return (
                f'<details style="margin:4px 0"><summary style="{FOLD}">'
                f'<span style="font-size:12px;{DIM}">{_escape(bit["summary"])}</span></summary>'
                f"{_all(bit['inside'], depth)}</details>"
            )
        case "bubble":
            return _bubble(bit, depth)
        case "image":
            # Its address is made of base64 by `image_or_name`; escaped all the same.
            src = html.escape(bit["src"])
            return f'<p style="margin:6px 0"><img alt="{_escape(bit["alt"])}" src="{src}" style="max-width:320px"></p>'
        case "file":
            return (
                f'<p style="margin:6px 0"><code style="background-color:transparent">{_escape(bit["name"])}</code> '
                f'<span style="font-size:12px;{DIM}">{_escape(bit["note"])}</span></p>'
            )
    return ""


def _card(bit: Bit, depth: int) -> str:
    head = [f"<strong>{_escape(bit['title'])}</strong>"]
    if bit["about"]:
        head.append(f'<span style="font-size:12px;{DIM}">{_escape(bit["about"])}</span>')
    if bit["badge"]:
        head.append(_badge(bit["badge"]))
    inside = _all(bit["inside"], depth)
    body = f'<div style="padding:6px 14px 8px 14px">{inside}</div>' if inside else ""
    edge = f";border-bottom:1px solid {LINE}" if inside else ""
    return (
        f'<div style="border:1px solid {LINE};border-radius:8px;font-size:14px;line-height:1.5;margin:4px 0">'
        f'<div style="padding:6px 14px{edge}">{" &nbsp;·&nbsp; ".join(head)}</div>{body}</div>'
    )


def _badge(bit: Bit) -> str:
    tone = bit["tone"]
    return (
        f'<span style="font-size:12px;font-weight:600;color:{_COLOURS[tone]}">{_MARKS[tone]} '
        f"{_escape(bit['word'])}</span>"
    )


def _bubble(bit: Bit, depth: int) -> str:
    edge = f"border:1px solid {LINE};" if _SIDES[bit["side"]] == "transparent" else ""
    return (
        f'<div style="background-color:{_SIDES[bit["side"]]};{edge}border-radius:8px;padding:3px 12px 5px 12px;'
        f'margin:6px 0">'
        f'<p style="margin:2px 0;font-size:12px;{DIM}"><strong>{_escape(bit["who"])}</strong></p>'
        f"{_all(bit['inside'], depth)}</div>"
    )


def _table(bit: Bit, depth: int) -> str:
    if not bit["rows"]:
        return f'<p style="margin:4px 0;font-size:12px;{DIM}">{_escape(bit["empty"])}</p>' if bit["empty"] else ""
    head = "".join(
        f'<th style="{_HEAD}">{_escape(name)}</th>' if name else f'<td style="{_CELL}"></td>' for name in bit["head"]
    )
    rows = "".join(
        '<tr style="background-color:transparent">'
        + "".join(f'<td style="{_CELL}">{_of_cell(cell, depth)}</td>' for cell in row)
        + "</tr>"
        for row in bit["rows"]
    )
    top = f'<tr style="background-color:transparent">{head}</tr>' if any(bit["head"]) else ""
    return f'<table style="border:0;border-collapse:collapse;margin:2px 0;font-size:13px">{top}{rows}</table>'


def _of_cell(cell: Any, depth: int) -> str:
    if isinstance(cell, str):
        return _escape(cell)
    if cell["b"] == "note":  # a paragraph would stand lower than its neighbours
        return f'<span style="font-size:12px;{DIM}">{_escape(cell["text"])}</span>'
    return _bit(cell, depth + 1)


def _escape(text: str) -> str:
    return escape(text).replace("\n", "<br>")
