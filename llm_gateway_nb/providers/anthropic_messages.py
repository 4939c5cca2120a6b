"""Our messages and tools in the form of Anthropic's Messages API."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Any, Protocol, assert_never

from llm_gateway_nb.types import (
    AssistantMessage,
    ContentPart,
    DocumentContentPart,
    ImageContentPart,
    Message,
    SystemMessage,
    TextContentPart,
    ToolDefinition,
    ToolMessage,
    UserMessage,
)

__all__ = ["to_anthropic_messages", "to_anthropic_tools"]


class Thoughts(Protocol):
    def of(self, call_id: str) -> list[dict[str, Any]] | None:
        """The blocks of thinking that came before a call."""


def to_anthropic_messages(messages: Iterable[Message], thoughts: Thoughts | None) -> tuple[str, list[Any], bool]:
    """The `system` text, the messages, and whether the thinking that the API wants back was known.

    Roles alternate: consecutive messages of one role become one, so the results of a turn's calls stand together, before
    what the person says next. `thoughts`: where thinking is on, the blocks to put back in front of the calls.
    """
    system: list[str] = []
    wire: list[dict[str, Any]] = []
    all_known = True
    for message in messages:
        match message:
            case SystemMessage():
                system.append(message.content)
                continue
            case UserMessage():
                role, blocks = "user", _blocks(message.content)
                all_known = True  # thinking is wanted back only within the turn that it belongs to
            case AssistantMessage():
                role, blocks = "assistant", _assistant(message)
                if thoughts is not None and message.tool_calls:
                    before = thoughts.of(message.tool_calls[0].id)
                    all_known = all_known and before is not None
                    blocks = [*(before or ()), *blocks]
            case ToolMessage():
                role = "user"
                blocks = [
                    {
                        "type": "tool_result",
                        "tool_use_id": _id(message.tool_call_id),
                        "content": message.content if isinstance(message.content, str) else _blocks(message.content),
                    }
                ]
            case _:
                assert_never(message)
        if wire and wire[-1]["role"] == role:
            wire[-1]["content"] += blocks
        elif blocks:
            wire.append({"role": role, "content": blocks})
    if wire and wire[-1]["role"] == "assistant":  # an answer to go on with; the API refuses white space at its end
        last = wire[-1]["content"][-1]
        if last["type"] == "text":
            last["text"] = last["text"].rstrip()
    return "\n\n".join(system), wire, all_known


def _assistant(message: AssistantMessage) -> list[dict[str, Any]]:
    calls = [
        {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": call.arguments or {}}
        for call in message.tool_calls or ()
    ]
    return [*_blocks(message.content or ""), *calls]


def _blocks(content: str | list[ContentPart]) -> list[dict[str, Any]]:
    """Content as blocks; empty texts, which the API refuses, are left out."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    return [_part(part) for part in content if not (isinstance(part, TextContentPart) and not part.text.strip())]


def _part(part: ContentPart) -> dict[str, Any]:
    match part:
        case TextContentPart(text=text):
            return {"type": "text", "text": text}
        case ImageContentPart():
            return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}}
        case DocumentContentPart():
            if part.media_type.startswith("text/"):
                text = b64decode(part.data).decode("utf-8", "replace")
                source = {"type": "text", "media_type": "text/plain", "data": text}
            else:
                source = {"type": "base64", "media_type": part.media_type, "data": part.data}
            return {"type": "document", "source": source}
        case _:
            assert_never(part)


def _id(call_id: str) -> str:
    """Ids of other services may have characters that this one refuses."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", call_id) or "_"


def to_anthropic_tools(tools: Iterable[ToolDefinition]) -> list[Any]:
    """Tools with their JSON Schema."""
    return [
        {"name": tool.name, "description": tool.description, "input_schema": {"type": "object", **tool.json_schema()}}
        for tool in tools
    ]
