"""Whether two requests are the same, and where they differ, in words.

A request is written out as lines of text; two are the same if they read the same. What differs from machine to machine
is replaced first: addresses of objects, ids, and whatever the caller's own rules name.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.recording.secrets import MARK

__all__ = ["Sanitize", "checked_sanitize", "difference", "reads_the_same", "written_out"]

Sanitize = Mapping[str, str] | Iterable[tuple[str, str]]
"""Regular expressions, and what to put in the place of what they match."""

_ALWAYS = (
    (r"0x[0-9a-fA-F]{6,}", "0xADDRESS"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
)


def written_out(request: dict[str, Any], *, like: dict[str, Any] | None = None, sanitize: Sanitize = ()) -> str:
    """A request as text.

    Args:
        like: another one: of `model` and `settings` only what that one has is written. They belong to the model object that
            answers, and that is another one in a replay.
    """
    text = "\n".join(_lines(request, request if like is None else like))
    for pattern, replacement in (*_ALWAYS, *_pairs(sanitize)):
        text = re.sub(pattern, replacement, text)
    return text


def checked_sanitize(sanitize: Any) -> Sanitize:
    """
    Raises:
        ConfigurationError: these are no regular expressions with replacements.
    """
    try:
        pairs = [(pattern, replacement) for pattern, replacement in _pairs(sanitize)]
        for pattern, replacement in pairs:
            re.sub(pattern, replacement, "")
    except (re.error, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"sanitize is a dict of regular expressions and replacements, such as {{r'\\d+ ms': 'N ms'}}: {error}."
        ) from error
    return pairs


def _pairs(sanitize: Sanitize) -> Iterable[tuple[str, str]]:
    return sanitize.items() if isinstance(sanitize, Mapping) else sanitize


def _lines(request: dict[str, Any], like: dict[str, Any]) -> Iterator[str]:
    if like.get("model"):
        yield f"model: {request.get('model')}"
    settings = request.get("settings", {})
    for name in sorted(like.get("settings", {})):
        yield f"{name}: {_json(settings[name]) if name in settings else '(not set)'}"
    if request.get("schema"):
        yield f"answer: {_json(request['schema'])}"
    for tool in request.get("tools", []):
        yield f"tool {tool['name']}: {_indented(tool['description'])}"
        yield f"  {_json(tool['schema'])}"
    for number, message in enumerate(request.get("messages", [])):
        yield f"[{number}] {message['role']}{' ' + message['tool_call_id'] if 'tool_call_id' in message else ''}"
        content = message.get("content")
        for part in [content] if isinstance(content, str) else content or []:
            yield f"  {_indented(_part(part))}"
        for call in message.get("tool_calls") or []:
            yield f"  -> {call['name']} {_json(call.get('arguments') or {})} ({call['id']})"


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if part.get("type") == "text":
        return str(part["text"])
    data = str(part.get("data", ""))
    return (
        f"({part.get('mediaType')}, {len(data)} characters of base64, {hashlib.sha256(data.encode()).hexdigest()[:16]})"
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def reads_the_same(live: str, recorded: str) -> bool:
    """Whether the texts are the same; what was redacted may have been anything without a blank."""
    first, *pieces = recorded.split(MARK)
    # Not by an expression with `\S+` in the place of each mark: it would try all ways to share a word out among several.
    ends = {len(first)} if live.startswith(first) else set()
    for piece in pieces:
        ends = {at + len(piece) for at in _behind_a_word(live, ends) if live.startswith(piece, at)}
    return len(live) in ends


def _behind_a_word(text: str, starts: set[int]) -> Iterator[int]:
    """Every place before which, from one of the starts on, stands at least one character and no blank."""
    at, last, is_inside = min(starts, default=0), max(starts, default=-1), False
    while at < len(text) and (is_inside or at <= last):
        is_inside = (is_inside or at in starts) and not text[at].isspace()
        at += 1
        if is_inside:
            yield at


def difference(recorded: str, live: str) -> str:
    """What is missing (`-`) and what is new (`+`), each with a few lines around it."""
    lines = difflib.unified_diff(recorded.split("\n"), live.split("\n"), "recorded", "now", n=2, lineterm="")
    return "\n".join(line if len(line) <= 400 else f"{line[:400]}… {len(line) - 400} more" for line in lines)
