"""A history measured, cut where it may be cut, and told as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llm_gateway_nb.types import AssistantMessage, Message, SystemMessage, ToolMessage

__all__ = ["cut_for", "estimated_characters", "told"]

_PART = 3000  # characters that an image or a document counts for
_LINE = 2000  # characters of one message that a summary is made from


def estimated_characters(messages: Sequence[Message]) -> int:
    """How long a history is, roughly as a service counts it."""
    total = 0
    for message in messages:
        total += 16 + _length(message.content)
        if isinstance(message, AssistantMessage):
            total += sum(len(call.name) + len(str(call.arguments or "")) + 16 for call in message.tool_calls or ())
    return total


def _length(content: Any) -> int:
    if content is None or isinstance(content, str):
        return len(content or "")
    return sum(len(part.text) if part.type == "text" else _PART for part in content)


def cut_for(messages: Sequence[Message], keep: int) -> tuple[list[Message], list[Message], list[Message]]:
    """(the system messages it begins with, the older part, the newest part of at most `keep` characters).

    The newest part begins with no tool message, so that each result stays with its call; it is longer than `keep` where
    one turn alone is.
    """
    start = next((i for i, message in enumerate(messages) if not isinstance(message, SystemMessage)), len(messages))
    cut, size = len(messages), 0
    for index in range(len(messages) - 1, start - 1, -1):
        size += estimated_characters(messages[index : index + 1])
        if size > keep and cut < len(messages):
            break
        if not isinstance(messages[index], ToolMessage):
            cut = index
    if cut == len(messages):
        cut = start
    return list(messages[:start]), list(messages[start:cut]), list(messages[cut:])


def told(messages: Sequence[Message], limit: int) -> str:
    """A history as text, for one who summarizes it. Of more than `limit` characters the middle is left out."""
    lines: list[str] = []
    for message in messages:
        text = _text(message.content)
        if text:
            lines.append(f"{message.role}: {_shortened(text, _LINE)}")
        for call in (message.tool_calls or ()) if isinstance(message, AssistantMessage) else ():
            arguments = json.dumps(call.arguments or {}, ensure_ascii=False, default=str)
            lines.append(f"assistant calls {call.name}: {_shortened(arguments, _LINE)}")
    return _shortened("\n".join(lines), max(limit, 1000))


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text if part.type == "text" else f"[{part.media_type}]" for part in content)


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"
