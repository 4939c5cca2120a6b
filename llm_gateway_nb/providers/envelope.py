"""Tool calls for a small model: one JSON object a turn, either a call or the answer.

Small models get their own templates' tool syntax wrong nearly always, and this nearly never: a system text lists the
tools, a few worked examples show the object, and a JSON Schema holds the model to it while it writes. `{"tool": …,
"arguments": {…}}` becomes a `ToolCallPiece`; the text inside `{"answer": "…"}` streams as it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, assert_never

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
    """

    def __init__(
        self,
        tools: Sequence[ToolDefinition],
        *,
        must_call: bool = False,
        response_model: type[BaseModel] | None = None,
    ) -> None:
        self.tools = list(tools)
        self._must_call = must_call and bool(tools)
        self._response_model = response_model

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

    def schemas(self) -> list[dict[str, Any]]:
        """What holds the model to the envelope while it writes, and a looser one in which arguments are any object: for
        a converter that can't read a tool's schema."""
        return [
            self._schema([plain_schema(tool.json_schema()) for tool in self.tools]),
            self._schema([{"type": "object"} for _ in self.tools]),
        ]

    def _schema(self, arguments: Sequence[dict[str, Any]]) -> dict[str, Any]:
        choices = [
            _object(tool={"const": tool.name}, arguments=shape)
            for tool, shape in zip(self.tools, arguments, strict=True)
        ]
        if not self._must_call:
            answer = self._response_model
            choices.append(_object(answer=plain_schema(answer.model_json_schema()) if answer else {"type": "string"}))
        return written_tight(choices[0] if len(choices) == 1 else {"anyOf": choices})

    def _examples(self) -> list[Turn]:
        turns: list[Turn] = []
        for example in [*_EXAMPLES, *_familiar(self.tools)] if self.tools else []:
            turns += [
                {"role": "user", "content": example.question},
                {"role": "assistant", "content": _json({"tool": example.tool, "arguments": example.arguments})},
            ]
            if not self._must_call:
                turns += [
                    {"role": "user", "content": f"Tool result: {example.result}"},
                    {"role": "assistant", "content": _json({"answer": example.answer})},
                ]
        return turns


class _Example(NamedTuple):
    question: str
    tool: str
    arguments: dict[str, Any]
    result: str
    answer: str


# Tools that nobody offers, so that no choice is suggested; questions that a model would like to answer from its head.
# Chosen on the 20 loops with 4 tools of `benchmarks/local_model.py`, so expect less elsewhere: 19 right with these, 16
# with two questions about facts (the model makes them up instead of calling), 3 with calls made up from the schemas.
_EXAMPLES = [
    _Example("Who lives in room 4?", "look_up_room", {"number": 4}, "Marta Silva", "Marta Silva lives in room 4."),
    _Example("Multiply 3 by 4.", "multiply", {"x": 3, "y": 4}, "12", "3 times 4 is 12."),
    _Example("Open page 2 of the manual.", "open_page", {"page": 2}, "Safety first.", "Page 2 says: Safety first."),
]

# What a shell is good for a small model does not gather from a description: beside four other tools it hardly ever took
# it, and in 10 of 14 tasks with this example, which has to be the last.
_FAMILIAR = {
    "command": ("How many files are in src?", "ls src | wc -l", "7", "There are 7 files in src."),
}


def _familiar(tools: Sequence[ToolDefinition]) -> list[_Example]:
    """An example for each offered tool whose one required parameter has a name that says what kind of tool it is."""
    examples = []
    for tool in tools:
        required = tool.json_schema().get("required") or []
        if len(required) == 1 and required[0] in _FAMILIAR:
            question, value, result, answer = _FAMILIAR[required[0]]
            examples.append(_Example(question, tool.name, {required[0]: value}, result, answer))
    return examples


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


def written_tight(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with a word to the grammar engine: one blank after a comma and a colon, as in the examples, no more.

    A small model may otherwise write white space until its tokens are used up. Other converters ignore the word.
    """
    return {**schema, "x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _signature(tool: ToolDefinition) -> str:
    schema = tool.json_schema()
    required = schema.get("required") or []
    names = [name if name in required else f"{name}?" for name in schema.get("properties") or {}]
    return f"- {tool.name}({', '.join(names)}): {' '.join(tool.description.split())}"


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
                f"A model in this process reads text only; a message holds a part of type {part.type!r} "
                f"({part.media_type}). Take it out, or use a provider with a model that sees.",
                status=400,
            )
    return "\n".join(part.text for part in content if isinstance(part, TextContentPart))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
