"""Tool calls for a small model: one JSON object a turn, either a call or the answer.

Small models get their own templates' tool syntax wrong nearly always, and this nearly never: a system text lists the
tools, two worked examples show the object, and a JSON Schema holds the model to it while it writes. `{"tool": …,
"arguments": {…}}` becomes a `ToolCallPiece`; the text inside `{"answer": "…"}` streams as it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, assert_never

from pydantic import BaseModel

from llm_gateway_nb.errors import InvalidRequestError
from llm_gateway_nb.providers.local_schema import plain_schema
from llm_gateway_nb.types import (
    AssistantMessage,
    ContentPart,
    Message,
    SystemMessage,
    TextContentPart,
    ToolCall,
    ToolDefinition,
    ToolMessage,
    UserMessage,
)

__all__ = ["Envelope", "plain_turns"]

Turn = dict[str, str]

_CALL_OR_ANSWER = (
    'You are an agent. Reply with ONE JSON object: either call a tool with {"tool": "<name>", "arguments": {...}} '
    'or, when you have the result, answer with {"answer": "<one short sentence>"}.'
)
_CALL = 'You are an agent. Reply with ONE JSON object that calls a tool: {"tool": "<name>", "arguments": {...}}.'
_ANSWER = 'Reply with ONE JSON object: {"answer": "<your answer, from what you have found out>"}.'


class Envelope:
    """The tools of one request, as a small model is told of them.

    Args:
        tools: what may be called; none of them leaves only the answer.
        must_call: the answer is no choice.
        response_model: what the answer has to be, where it is not a text.
        loose: the arguments may be any object: for schemas that the grammar converter refused.
    """

    def __init__(
        self,
        tools: Sequence[ToolDefinition],
        *,
        must_call: bool = False,
        response_model: type[BaseModel] | None = None,
        loose: bool = False,
    ) -> None:
        self.tools = list(tools)
        self._must_call = must_call and bool(tools)
        self._response_model = response_model
        self._loose = loose

    def turns(self, messages: Sequence[Message]) -> list[Turn]:
        """The conversation as chat turns: instructions, worked examples, then the messages, calls and results as JSON.

        Raises:
            InvalidRequestError: a message holds an image or a document.
        """
        system, rest = _split(messages)
        told = _CALL if self._must_call else _CALL_OR_ANSWER if self.tools else _ANSWER
        lines = [*system, told]
        if self.tools:
            lines.append("Tools:\n" + "\n".join(_signature(tool) for tool in self.tools))
        if self._response_model is not None:
            shape = json.dumps(self._response_model.model_json_schema(), ensure_ascii=False)
            lines.append(f"The answer is no sentence but JSON of this schema: {shape}")
        return _merged([{"role": "system", "content": "\n\n".join(lines)}, *self._examples(), *_enveloped(rest)])

    def response_format(self) -> dict[str, Any]:
        """What holds the model to the envelope while it writes."""
        choices = [
            _object(
                tool={"const": tool.name},
                arguments={"type": "object"} if self._loose else plain_schema(tool.json_schema()),
            )
            for tool in self.tools
        ]
        if not self._must_call:
            answer = self._response_model
            choices.append(_object(answer=plain_schema(answer.model_json_schema()) if answer else {"type": "string"}))
        schema = choices[0] if len(choices) == 1 else {"anyOf": choices}
        return json_schema_format(schema)

    def _examples(self) -> list[Turn]:
        if not self.tools:
            return []
        turns = []
        for question, tool, arguments, result, answer in _EXAMPLES:
            turns += [
                {"role": "user", "content": question},
                {"role": "assistant", "content": _json({"tool": tool, "arguments": arguments})},
            ]
            if not self._must_call:
                turns += [
                    {"role": "user", "content": f"Tool result: {result}"},
                    {"role": "assistant", "content": _json({"answer": answer})},
                ]
        return turns


_EXAMPLES: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("What time is it in Dublin?", "get_time", {"city": "Dublin"}, "08:15", "It is 08:15 in Dublin."),
    ("Add 1 and 2.", "add", {"a": 1, "b": 2}, "3", "1 plus 2 is 3."),
]


def plain_turns(messages: Sequence[Message]) -> list[Turn]:
    """A conversation without tool calls, as chat turns.

    Raises:
        InvalidRequestError: a message holds an image or a document.
    """
    system, rest = _split(messages)
    turns = [{"role": "system", "content": "\n\n".join(system)}] if system else []
    return _merged([*turns, *_spoken(rest)])


def has_calls(messages: Iterable[Message]) -> bool:
    """Whether tools were called in the conversation."""
    return any(
        isinstance(message, ToolMessage) or (isinstance(message, AssistantMessage) and message.tool_calls)
        for message in messages
    )


def json_schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    """The `response_format` of a chat request for a schema."""
    return {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _signature(tool: ToolDefinition) -> str:
    properties = tool.json_schema().get("properties") or {}
    return f"- {tool.name}({', '.join(properties)}): {' '.join(tool.description.split())}"


def _split(messages: Sequence[Message]) -> tuple[list[str], list[Message]]:
    system = [message.content for message in messages if isinstance(message, SystemMessage)]
    return system, [message for message in messages if not isinstance(message, SystemMessage)]


def _enveloped(messages: Sequence[Message]) -> list[Turn]:
    """Messages as turns in which the assistant always wrote an envelope; several calls of one turn follow one another."""
    results = {message.tool_call_id: message for message in messages if isinstance(message, ToolMessage)}
    turns: list[Turn] = []
    for message in messages:
        match message:
            case AssistantMessage(tool_calls=[_, *_] as calls):
                for call in calls:
                    turns.append({"role": "assistant", "content": _written(call)})
                    result = results.get(call.id)
                    told = _text(result.content) if result else ""
                    turns.append({"role": "user", "content": f"Tool result: {told or '(nothing)'}"})
            case AssistantMessage(content=content):
                turns.append({"role": "assistant", "content": _json({"answer": content or ""})})
            case UserMessage(content=content):
                turns.append({"role": "user", "content": _text(content)})
            case ToolMessage() | SystemMessage():
                pass  # with its call, or at the head
            case _:
                assert_never(message)
    return turns


def _spoken(messages: Sequence[Message]) -> list[Turn]:
    return [
        {"role": message.role, "content": _text(message.content or "")}
        for message in messages
        if isinstance(message, UserMessage | AssistantMessage)
    ]


def _written(call: ToolCall) -> str:
    return _json({"tool": call.name, "arguments": call.arguments or {}})


def _merged(turns: list[Turn]) -> list[Turn]:
    """Turns that alternate, as many chat templates demand."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1]["role"] == turn["role"]:
            merged[-1] = {**turn, "content": f"{merged[-1]['content']}\n\n{turn['content']}"}
        else:
            merged.append(turn)
    return merged


def _text(content: str | Sequence[ContentPart]) -> str:
    if isinstance(content, str):
        return content
    for part in content:
        if not isinstance(part, TextContentPart):
            raise InvalidRequestError(
                f"The local model reads text only; a message holds a part of type {part.type!r} ({part.media_type}). "
                "Take it out, or use a provider with a model that sees.",
                provider="local",
                status=400,
            )
    return "\n".join(part.text for part in content if isinstance(part, TextContentPart))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
