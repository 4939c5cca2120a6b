"""Messages, in OpenAI's pattern with a role of its own for tool results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from llm_gateway_nb.errors import InvalidMessagesError
from llm_gateway_nb.types.content import ContentPart
from llm_gateway_nb.types.tools import ToolCall
from llm_gateway_nb.types.wire import WireModel, optional

__all__ = [
    "AssistantMessage",
    "Message",
    "SystemMessage",
    "ToolMessage",
    "UserMessage",
    "parse_messages",
]


class SystemMessage(WireModel):
    """Instructions or context for the model."""

    role: Literal["system"] = "system"
    content: str


class UserMessage(WireModel):
    """What the person said."""

    role: Literal["user"] = "user"
    content: str | list[ContentPart]


class AssistantMessage(WireModel):
    """What the model said; `content` is None when it only called tools (and then null on the wire, as in the source)."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    tool_calls: list[ToolCall] | None = optional(alias="tool_calls")


class ToolMessage(WireModel):
    """The result of one tool call, under the raw id that the service gave the call."""

    role: Literal["tool"] = "tool"
    tool_call_id: str = Field(alias="tool_call_id")
    content: str | list[ContentPart]


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]

_messages: TypeAdapter[list[Message]] = TypeAdapter(list[Message])


def parse_messages(messages: Iterable[Message | Mapping[str, Any]]) -> list[Message]:
    """A list of messages out of messages or dicts of their wire form.

    Raises:
        InvalidMessagesError: it names the first message that does not fit, and why.
    """
    if isinstance(messages, str | bytes | Mapping):
        raise InvalidMessagesError(
            f"messages is a list of messages, not a {type(messages).__name__}; "
            'pass [{"role": "user", "content": "…"}], or the text as `prompt`.'
        )
    try:
        return _messages.validate_python(list(messages))
    except (ValidationError, TypeError) as error:
        if not isinstance(error, ValidationError):
            raise InvalidMessagesError(f"messages is a list of messages, not a {type(messages).__name__}.") from error
        errors = error.errors(include_url=False, include_input=False)
        index = errors[0]["loc"][0]
        # Where content may be text or parts, each form has its say: the one that went deepest is what was meant.
        told = max((each for each in errors if each["loc"][0] == index), key=lambda each: len(each["loc"]))
        place = ".".join(str(step) for step in told["loc"][1:] if "[" not in str(step))
        raise InvalidMessagesError(
            f"messages[{index}]{f' ({place})' if place else ''}: {told['msg']}; "
            "a message has a `role` (system, user, assistant, tool) and a `content`."
        ) from None
