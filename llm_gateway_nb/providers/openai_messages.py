"""Our messages and tools in the form of OpenAI's chat completions."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable
from mimetypes import guess_extension
from typing import Any, assert_never

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

__all__ = ["to_openai_messages", "to_openai_tools"]


def to_openai_messages(messages: Iterable[Message]) -> list[Any]:
    """One dict a message. A tool message holds only text: the images of results follow in a user message, after the last
    result of the turn, because nothing may stand between a call and its result."""
    wire: list[Any] = []
    shown: list[Any] = []
    for message in messages:
        if shown and not isinstance(message, ToolMessage):
            wire.append({"role": "user", "content": shown})
            shown = []
        match message:
            case SystemMessage():
                wire.append({"role": "system", "content": message.content})
            case UserMessage(content=str(text)):
                wire.append({"role": "user", "content": text})
            case UserMessage(content=list(parts)):
                wire.append({"role": "user", "content": [_part(part) for part in parts]})
            case AssistantMessage():
                wire.append(_assistant(message))
            case ToolMessage(content=str(text)):
                wire.append({"role": "tool", "tool_call_id": message.tool_call_id, "content": text})
            case ToolMessage(content=list(parts)):
                texts = [part.text for part in parts if isinstance(part, TextContentPart)]
                media = [_part(part) for part in parts if not isinstance(part, TextContentPart)]
                text = "\n".join(texts) or "See the message after the results."
                wire.append({"role": "tool", "tool_call_id": message.tool_call_id, "content": text})
                shown += media
    if shown:
        wire.append({"role": "user", "content": shown})
    return wire


def _assistant(message: AssistantMessage) -> dict[str, Any]:
    content = message.content if message.content is not None or message.tool_calls else ""
    wire: dict[str, Any] = {"role": "assistant", "content": content}
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments or {}, ensure_ascii=False)},
            }
            for call in message.tool_calls
        ]
    return wire


def _part(part: ContentPart) -> dict[str, Any]:
    match part:
        case TextContentPart(text=text):
            return {"type": "text", "text": text}
        case ImageContentPart():
            return {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{part.data}"}}
        case DocumentContentPart():
            if part.media_type.startswith("text/"):  # every service takes text, few take files
                return {"type": "text", "text": b64decode(part.data).decode("utf-8", "replace")}
            data = f"data:{part.media_type};base64,{part.data}"
            name = f"document{guess_extension(part.media_type) or ''}"
            return {"type": "file", "file": {"filename": name, "file_data": data}}
        case _:
            assert_never(part)


def to_openai_tools(tools: Iterable[ToolDefinition]) -> list[Any]:
    """Tools as functions with their JSON Schema."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.json_schema()},
        }
        for tool in tools
    ]
