"""Messages as the bubbles of a conversation."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, assert_never

from llm_gateway_nb.notebook.text import call, whole
from llm_gateway_nb.notebook.views.bits import Bit, bubble, card, code, fold, image_or_name, line, note, prose
from llm_gateway_nb.types import (
    AssistantMessage,
    ContentPart,
    DocumentContentPart,
    ImageContentPart,
    Message,
    SystemMessage,
    TextContentPart,
    ToolCall,
    ToolExecutionResult,
    ToolMessage,
    UserMessage,
)

__all__ = ["content_bits", "conversation", "message_bubble", "part_bit", "tool_result_card"]

MOST = 200
"""Messages in one view; of more, the last ones."""


def conversation(messages: Sequence[Message], title: str = "Conversation") -> Bit:
    """A history as one card. A result names the tool of its call, where the call is there."""
    names = {
        each.id: each.name
        for message in messages
        if isinstance(message, AssistantMessage)
        for each in message.tool_calls or ()
    }
    count = len(messages)
    left = [note(f"{count - MOST} earlier messages are not shown.")] if count > MOST else []
    bubbles = [message_bubble(message, names) for message in messages[-MOST:]]
    return card(title, *left, *bubbles, about=f"{count} message{'' if count == 1 else 's'}")


def message_bubble(message: Message, tool_names: dict[str, str] | None = None) -> Bit:
    """One message. What a tool answered and what the system was told is long as a rule, and stands in a fold."""
    match message:
        case SystemMessage(content=content):
            text = content.strip()
            first, _, rest = text.partition("\n")
            inside = prose(text) if len(text) <= 300 and not rest else fold(first[:120] + " …", prose(text))
            return bubble("System", "system", inside)
        case UserMessage(content=content):
            return bubble("You", "user", *content_bits(content))
        case AssistantMessage(content=text, tool_calls=calls):
            said = [prose(text)] if text else []
            return bubble("Assistant", "assistant", *said, *(call_line(each) for each in calls or ()))
        case ToolMessage(tool_call_id=call_id, content=content):
            name = (tool_names or {}).get(call_id)
            return bubble(f"Result of {name}" if name else "Tool result", "tool", *content_bits(content, plain=True))
        case _:
            assert_never(message)


def call_line(each: ToolCall) -> Bit:
    """A call as one would write it."""
    return line(f"→ {call(each.name, each.arguments)}")


def content_bits(content: str | Sequence[ContentPart] | None, *, plain: bool = False) -> list[Bit]:
    """What a message holds: text, images, documents. `plain` is for a tool's output, which is no prose."""
    if content is None:
        return []
    if isinstance(content, str):
        return [_text(content, plain)]
    return [part_bit(part, plain=plain) for part in content]


def part_bit(part: ContentPart, *, plain: bool = False) -> Bit:
    """One part of a message."""
    match part:
        case TextContentPart(text=text):
            return _text(text, plain)
        case ImageContentPart(media_type=media_type, data=data):
            return image_or_name(media_type, data)
        case DocumentContentPart(media_type=media_type, data=data):
            return _document(media_type, data)
        case _:
            assert_never(part)


def tool_result_card(result: ToolExecutionResult[Any]) -> Bit:
    """What a tool gave back: what the model reads, and what is for the application."""
    context = content_bits(result.context, plain=True) if result.context is not None else []
    value = [code(whole(result.result))] if result.result is not None else []
    return card(
        "Tool result",
        *([note("for the model"), *context] if context else []),
        *([note("for the application"), *value] if value else []),
    )


def _text(text: str, plain: bool) -> Bit:
    if not plain:
        return prose(text)
    lines = text.strip("\n").split("\n")
    if len(lines) <= 12 and len(text) <= 1_500:
        return code(text.strip("\n"))
    return fold(f"{len(lines)} lines: {lines[0][:80]} …", code(text))


def _document(media_type: str, data: str) -> Bit:
    """A text opens to its beginning; anything else is told by its kind and size."""
    named = image_or_name(media_type, data)
    if not media_type.startswith("text/") and media_type != "application/json":
        return named
    try:
        text = base64.b64decode("".join(data.split()), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return named
    return fold(f"{named['name']}, {named['note']}", code(text))
