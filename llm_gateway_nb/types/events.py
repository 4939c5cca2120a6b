"""The events that a harness yields, one class a kind, told apart by `type`.

`parse_event` and `dump_event` are the way in and out of the wire. A kind or a key that we do not know comes from a newer
peer and survives both. Beside the LLM Gateway's kinds there are some of our own, which an older peer sees as unknown:
`user`, `compaction`, `relay_answer`, and a relay of kind `budget`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from llm_gateway_nb.errors import RemoteError
from llm_gateway_nb.types.content import ContentPart
from llm_gateway_nb.types.event_base import FROM_A_PEER, EventBase, Newer
from llm_gateway_nb.types.relays import BudgetRelayEvent, RelayAnswerEvent, RelayEvent
from llm_gateway_nb.types.wire import WireModel, dump_wire, new_id, optional, read_wire, text_of

__all__ = [
    "CompactionEvent",
    "EndReason",
    "ErrorEvent",
    "HarnessEndEvent",
    "HarnessEvent",
    "HarnessStartEvent",
    "ReasoningEvent",
    "ReplInputEvent",
    "ReplOutputEvent",
    "ReplProgressEvent",
    "TextEvent",
    "ToolCallEvent",
    "ToolProgressEvent",
    "ToolResultEvent",
    "TotalUsage",
    "UnknownEvent",
    "UsageEvent",
    "UserEvent",
    "dump_event",
    "parse_event",
]

EndReason = Literal["final", "max_iterations", "error", "cancelled", "budget"]


class HarnessStartEvent(EventBase):
    """A run begins. `model` is named where it is known."""

    type: Literal["harness_start"] = "harness_start"
    depth: int | None = optional()
    max_iterations: int | None = optional()
    model: str | None = optional()


class TotalUsage(WireModel):
    """Tokens of a run with all its children, each counted once."""

    input_tokens: int = 0
    output_tokens: int = 0


class HarnessEndEvent(EventBase):
    """A run is over; always the last event of its run.

    `finish_reason` is that of the last model call, where a provider knows it: `stop`, `length`, `tool_calls`,
    `content_filter`, or the service's own word.
    """

    type: Literal["harness_end"] = "harness_end"
    reason: Annotated[EndReason | None, Newer] = optional()
    iterations: int | None = optional()
    total_usage: TotalUsage | None = optional()
    finish_reason: str | None = optional()


class ReasoningEvent(EventBase):
    """A delta of the model's reasoning; the deltas of one model call share an `id`."""

    type: Literal["reasoning"] = "reasoning"
    id: str
    content: str


class TextEvent(EventBase):
    """A delta of the model's text; the deltas of one model call share an `id`."""

    type: Literal["text"] = "text"
    id: str
    content: str


class ToolCallEvent(EventBase):
    """A tool is called. From a provider `id` is the service's and `input` is a str where the model wrote broken JSON;
    from an agent `id` is `<runId>/<raw id>` and `input` what really ran."""

    type: Literal["tool_call"] = "tool_call"
    id: str
    name: str
    input: Any = None


class ToolResultEvent(EventBase):
    """The result of the call with the same `id`. `status` is absent in events of the source system.

    `output` is what the model reads: text, or content parts. `result` is what the tool gave the application, if anything.
    """

    type: Literal["tool_result"] = "tool_result"
    id: str
    name: str
    output: Any = None
    result: Any = optional()
    status: Annotated[Literal["ok", "denied", "error", "cancelled"] | None, Newer] = optional()


class ToolProgressEvent(EventBase):
    """Something that a running tool reports."""

    type: Literal["tool_progress"] = "tool_progress"
    id: str = Field(default_factory=new_id)
    tool_call_id: str
    name: str
    content: Any = None


class ReplInputEvent(EventBase):
    """A REPL runs code. `iteration` counts from 0."""

    type: Literal["repl_input"] = "repl_input"
    id: str
    code: str
    iteration: int | None = optional()


class ReplProgressEvent(EventBase):
    """Output of running REPL code, as it comes; `repl_id` is the id of its `repl_input`."""

    type: Literal["repl_progress"] = "repl_progress"
    id: str
    chunk: str
    stream: Literal["stdout", "stderr"]
    repl_id: str | None = optional()


class ReplOutputEvent(EventBase):
    """REPL code has run; same `id` as its `repl_input`. `mime` holds rich results as Jupyter mime bundles."""

    type: Literal["repl_output"] = "repl_output"
    id: str
    stdout: str
    error: str | None = optional()
    done: bool
    iteration: int | None = optional()
    duration_ms: float | None = optional()
    truncated: bool | None = optional()
    mime: list[dict[str, Any]] | None = optional()


class UsageEvent(EventBase):
    """Tokens of one model call, as the service counted them; `provider` and `model` say whose price they have."""

    type: Literal["usage"] = "usage"
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int | None = optional()
    cache_creation_tokens: int | None = optional()
    provider: str | None = optional()
    model: str | None = optional()


def _read_error(value: Any) -> Any:
    if isinstance(value, Mapping):
        message, name = value.get("message", ""), value.get("name", "Error")
        if not isinstance(message, str) or not isinstance(name, str):
            raise ValueError("an error on the wire is {name, message}, both text")
        return RemoteError(message, name=name)
    return RemoteError(value) if isinstance(value, str) else value


def _write_error(error: BaseException) -> dict[str, str]:
    name = error.name if isinstance(error, RemoteError) else type(error).__name__
    return {"name": name, "message": text_of(error)}


class ErrorEvent(EventBase):
    """Something failed. An exception in process; `{name, message}` on the wire, read back as a `RemoteError`.

    `tool_call_id` says which call failed, where it was one.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    type: Literal["error"] = "error"
    error: Annotated[BaseException, BeforeValidator(_read_error), PlainSerializer(_write_error)]
    tool_call_id: str | None = optional()


class UserEvent(EventBase):
    """The person's turn. Sent by `start` and `run`, never by a harness."""

    type: Literal["user"] = "user"
    id: str = Field(default_factory=new_id)
    content: str | list[ContentPart]


class CompactionEvent(EventBase):
    """Old turns were replaced by a summary; `messages` says how many."""

    type: Literal["compaction"] = "compaction"
    id: str = Field(default_factory=new_id)
    summary: str
    messages: int


class UnknownEvent(EventBase):
    """An event of a kind that this version does not know; all its keys are kept."""

    type: str


HarnessEvent = (
    HarnessStartEvent
    | HarnessEndEvent
    | ReasoningEvent
    | TextEvent
    | ToolCallEvent
    | ToolResultEvent
    | ToolProgressEvent
    | ReplInputEvent
    | ReplProgressEvent
    | ReplOutputEvent
    | UsageEvent
    | ErrorEvent
    | RelayEvent
    | BudgetRelayEvent
    | RelayAnswerEvent
    | UserEvent
    | CompactionEvent
    | UnknownEvent
)
"""Every event; `match` on the class, or on `type` (and `kind` for relays)."""

_BY_TYPE: dict[str, type[EventBase]] = {
    cls.model_fields["type"].default: cls
    for cls in (
        HarnessStartEvent,
        HarnessEndEvent,
        ReasoningEvent,
        TextEvent,
        ToolCallEvent,
        ToolResultEvent,
        ToolProgressEvent,
        ReplInputEvent,
        ReplProgressEvent,
        ReplOutputEvent,
        UsageEvent,
        ErrorEvent,
        RelayAnswerEvent,
        UserEvent,
        CompactionEvent,
    )
}
_RELAY_BY_KIND: dict[str, type[EventBase]] = {"permission": RelayEvent, "budget": BudgetRelayEvent}


def parse_event(data: str | bytes | Mapping[str, Any]) -> HarnessEvent:
    """An event from its wire form: JSON text, or the dict of it.

    An unknown kind gives an `UnknownEvent`, and an unknown `reason` or `status` stays as it is. An event without a
    `timestamp` stays without one.

    Raises:
        ValueError: not JSON, not an object, or an object that is not an event.
    """
    if isinstance(data, str | bytes):
        try:
            data = read_wire(data)
        except TypeError as error:  # a lone surrogate in a str
            raise ValueError("an event is JSON text, and this text has no UTF-8 form") from error
    if not isinstance(data, Mapping):
        raise ValueError(f"an event is a JSON object, not {type(data).__name__}")
    kind = data.get("type")
    if not isinstance(kind, str):
        raise ValueError("an event has a `type`, a text; this object has none")
    if kind == "relay":
        relay_kind = data.get("kind")
        cls = _RELAY_BY_KIND.get(relay_kind, UnknownEvent) if isinstance(relay_kind, str) else UnknownEvent
    else:
        cls = _BY_TYPE.get(kind, UnknownEvent)
    try:
        whole = {"timestamp": None, **data}
        return cls.model_validate(whole, context=FROM_A_PEER)  # type: ignore[return-value]  # the table holds members of the union
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"not a {kind!r} event: {where or 'a key'}: {first['msg']}") from None


def dump_event(event: EventBase) -> dict[str, Any]:
    """The wire form: a dict of JSON values with camelCase keys.

    What JSON does not know becomes its `str`; NaN and the infinities become null. Never raises for what an event holds,
    and `parse_event` reads it back, as a dict or as JSON text; `model_dump_json` promises neither.
    """
    return dump_wire(event)
