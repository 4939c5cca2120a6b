"""Values as text that hides nothing: what every saved form of a run, every card and every question is written in."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

__all__ = [
    "MAX_DEPTH",
    "call",
    "clean",
    "cut",
    "inline",
    "jsonable",
    "printed",
    "rule_text",
    "shown",
    "unprinted",
    "whole",
]

MAX_DEPTH = 60
"""Nested deeper than this nothing is drawn; a browser would give up as well."""

MAX_TEXT = 20_000
"""Characters of one value in a saved form of a run; the rest is counted."""


def clean(text: str) -> str:
    """`text` as any encoder takes it: pairs of surrogates joined, single ones replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def jsonable(value: Any, _above: tuple[int, ...] = ()) -> Any:
    """`value` as JSON that a browser reads as it was meant: what it cannot hold exactly, as text. Never fails on data."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int):
        return int(value) if -(2**53) < value < 2**53 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", fallback=str)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if id(value) in _above or len(_above) >= MAX_DEPTH:
            return "…"
        above = (*_above, id(value))
        if isinstance(value, Mapping):
            return {clean(str(key)): jsonable(item, above) for key, item in value.items()}
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [jsonable(item, above) for item in items]
    return clean(re.sub(r" at 0x[0-9a-fA-F]+", "", str(value)))


_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ESCAPES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[@-Z\\\\-_])")


def _named(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def shown(text: str) -> str:
    """`text` with control, bidirectional and invisible characters made visible: nothing hides, nothing is turned round."""
    return _INVISIBLE.sub(_named, clean(text))


def unprinted(text: str) -> str:
    """What overwriting lines leaves standing, escape sequences kept."""
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def printed(text: str) -> str:
    """What a terminal would have left standing: escape sequences gone, overwritten lines overwritten; then `shown`."""
    return shown(unprinted(_ESCAPES.sub("", text)))


def whole(value: Any) -> str:
    """A tool's output, or anything else, as text: a text as it is, the rest as JSON with an indent."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(jsonable(value), indent=2, ensure_ascii=False)
    return cut(printed(text))


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """`text`, or its beginning and how much is missing."""
    text = clean(text)
    return text if len(text) <= limit else f"{text[:limit]}\n… {len(text) - limit} more characters"


def inline(value: Any) -> str:
    """`value` as JSON on one line."""
    return shown(json.dumps(jsonable(value), ensure_ascii=False))


def call(name: str, arguments: Any) -> str:
    """A call as one would write it: `bash(command="wc -l notes.txt")`."""
    if arguments is None or arguments == {}:
        return f"{shown(name)}()"
    if isinstance(arguments, Mapping):
        inside = ", ".join(f"{shown(str(key))}={inline(value)}" for key, value in arguments.items())
    else:
        inside = inline(arguments)
    return f"{shown(name)}({inside})"


def rule_text(rule: Any) -> str:
    """What "always" grants: `bash(command="git status *")`, or the tool's name where it is any call of it."""
    if not isinstance(rule, Mapping):
        return whole(rule)
    params = rule.get("params")
    name = shown(str(rule.get("tool", "")))
    return call(name, params) if params else f"{name}, with any arguments"
