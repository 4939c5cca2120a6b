"""The blocks that a saved page is built of: output, arguments, pictures, folds."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from llm_gateway_nb.notebook.markdown import CODE, LINE, PRE, sanitized
from llm_gateway_nb.notebook.paint import DIM, FOLD, MARK_BAD, ansi, code, diff, escape, looks_like_diff
from llm_gateway_nb.notebook.text import cut, jsonable, shown, whole

__all__ = ["attachments", "bad", "folded", "long", "one_line", "open_arguments", "rich", "text_of"]

_OPEN_LINES = 12


def text_of(value: Any) -> str:
    """Any value as escaped text."""
    return escape(str(value))


def folded(summary: str, inside: str) -> str:
    """`summary` is HTML."""
    return (
        f'<details style="margin:6px 0 0 0"><summary style="{FOLD};font-size:13px">'
        f'<span style="{DIM}">{summary}</span></summary>{inside}</details>'
    )


def bad(head: str, text: str) -> str:
    """Something failed: a traceback keeps its colours."""
    return (
        f'<div style="border-left:3px solid {MARK_BAD};border-radius:6px;background-color:rgba(210,60,65,0.09);'
        f'padding:8px 12px;margin:6px 0">{head}<pre style="{CODE};background-color:transparent;padding:0;margin:0">'
        f"{_painted(cut(text))}</pre>"
        "</div>"
    )


def _painted(text: str, language: str = "") -> str:
    if language:
        return code(text, language)
    return diff(text) if looks_like_diff(text) else ansi(text)


def long(text: str, language: str = "", *, plain: bool = False) -> str:
    """Output: the beginning, and all of it in a fold.

    Args:
        plain: printed by a cell: without a ground of its own.
    """
    style = f"{CODE};background-color:transparent;padding:2px 12px" if plain else PRE
    text = text.strip("\n")
    lines = text.split("\n")
    if len(lines) <= _OPEN_LINES and len(text) <= 2_000:
        return f'<pre style="{style}">{_painted(text, language)}</pre>'
    head = "\n".join(lines[:_OPEN_LINES])[:1_200]
    every = f'<pre style="{style}">{_painted(cut(text), language)}</pre>'
    return (
        f'<pre style="{style}">{_painted(head + " …", language)}</pre>{folded(f"Show all {len(lines)} lines", every)}'
    )


def one_line(arguments: Any) -> tuple[str, bool]:
    """The arguments of a call on one short line, and whether that is all of them."""
    if arguments is None or arguments == {}:
        return "", True
    if isinstance(arguments, Mapping):
        values = [arguments["command"]] if isinstance(arguments.get("command"), str) else list(arguments.values())
        if len(values) == 1:
            text = values[0] if isinstance(values[0], str) else json.dumps(jsonable(values[0]), ensure_ascii=False)
        else:
            text = ", ".join(f"{key}={_short(value)}" for key, value in arguments.items())
        complete = len(arguments) == 1 and not isinstance(values[0], Mapping | list | tuple)
    else:
        text, complete = whole(arguments), True
    lines = text.strip("\n").split("\n")
    first = shown(lines[0])
    is_cut = len(first) > 80 or len(lines) > 1
    return (first[:80] + "…" if is_cut else first), complete and not is_cut


def _short(value: Any) -> str:
    """A value on one line: of a text of several, how many."""
    lines = value.rstrip("\n").count("\n") + 1 if isinstance(value, str) else 1
    return f"({lines} lines)" if lines > 1 else json.dumps(jsonable(value), ensure_ascii=False)


def open_arguments(arguments: Any) -> str:
    """What a call would change stands open, where it is told as a diff; all of the arguments are in a fold."""
    if not isinstance(arguments, Mapping):
        return folded("Arguments", f'<pre style="{PRE}">{escape(cut(whole(arguments)))}</pre>')
    texts = {key: value for key, value in arguments.items() if isinstance(value, str) and "\n" in value}
    rest = {key: value for key, value in arguments.items() if key not in texts}
    patch = next((value for value in texts.values() if looks_like_diff(value)), None)
    blocks = []
    if rest:
        blocks.append(
            f'<pre style="{PRE}">{code(cut(json.dumps(jsonable(rest), indent=2, ensure_ascii=False)), "json")}</pre>'
        )
    for key, value in texts.items():
        label = f'<p style="margin:6px 0 0 0;font-size:12px;{DIM}">{text_of(key)}</p>'
        blocks.append(f'{label}<pre style="{PRE}">{_painted(cut(value), "" if looks_like_diff(value) else "-")}</pre>')
    return (long(patch) if patch else "") + folded("Arguments", "".join(blocks))


_PIXELS = {"image/png", "image/jpeg", "image/gif", "image/webp"}


def _picture(kind: str, data: Any, name: str, style: str) -> str | None:
    """Pixels that came with the run, never an address."""
    if kind not in _PIXELS or not isinstance(data, str):
        return None
    try:
        pixels = base64.b64encode(base64.b64decode("".join(data.split()), validate=True)).decode()
    except (binascii.Error, ValueError):
        return None
    return f'<img alt="{text_of(name)}" src="data:{kind};base64,{pixels}" style="{style}">'


def attachments(parts: Any) -> str:
    """The images and documents among the parts of a message."""
    shown_parts = []
    for part in parts if isinstance(parts, list) else []:
        if not isinstance(part, Mapping) or part.get("type") not in {"image", "document"}:
            continue
        kind = str(part.get("mediaType", part.get("media_type", "")))
        data = part.get("data")
        style = "display:block;max-width:100%;max-height:320px;margin:6px 0;border-radius:4px"
        size = f"{round(len(data) * 3 / 4096)} KB" if isinstance(data, str) and len(data) > 700 else ""
        words = " · ".join(filter(None, [str(part["type"]), kind, size]))
        chip = (
            f'<span style="display:inline-block;margin:4px 6px 4px 0;padding:2px 10px;border:1px solid {LINE};'
            f'border-radius:12px;font-size:12px">{text_of(words)}</span>'
        )
        shown_parts.append(_picture(kind, data, str(part["type"]), style) or chip)
    return "".join(shown_parts)


_TABLE = {"table", "thead", "tbody", "tr", "th", "td", "div", "p", "br", "strong", "em", "code", "caption", "span"}
_CELL = f"padding:3px 12px;border:1px solid {LINE};text-align:right"


def rich(bundles: Any) -> Iterator[str]:
    """The rich results of a REPL: pixels, tables, else their plain side."""
    for bundle in bundles if isinstance(bundles, list) else []:
        data = bundle.get("data", bundle) if isinstance(bundle, Mapping) else {}
        if not isinstance(data, Mapping):
            continue
        pictures = (
            _picture(
                kind,
                _joined(data.get(kind)),
                "plot",
                "display:block;max-width:100%;margin:6px 0;background-color:#ffffff",
            )
            for kind in ("image/png", "image/jpeg")
        )
        picture = next(filter(None, pictures), None)
        table = _joined(data.get("text/html"))
        if picture:
            yield picture
        elif isinstance(table, str) and "<table" in table and len(table) < 200_000:
            clean = re.sub(r' (?:style|class)="[^"]*"', "", sanitized(table, _TABLE))
            clean = re.sub(r"<th([^>]*)></th>", r"<td\1></td>", clean)  # the corner of a table is no heading
            clean = re.sub(r"<(t[hd])(?=[ >])", rf'<\1 style="{_CELL}"', clean)
            yield clean.replace(
                "<table>", '<table style="border-collapse:collapse;margin:6px 0 6px 12px;font-size:13px">'
            )
        elif plain := whole(_joined(data.get("text/plain"))):
            yield long(plain, plain=True)


def _joined(value: Any) -> Any:
    return "".join(map(str, value)) if isinstance(value, list) else value
