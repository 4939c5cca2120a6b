"""The events that a harness yields, one class a kind, told apart by `type`.

`parse_event` and `dump_event` are the way in and out of the wire. A kind or a key that we do not know comes from a newer
peer and survives both. Beside the LLM Gateway's kinds there are some of our own, which an older peer sees as unknown:
`user`, `compaction`, `relay_answer`, and a relay of kind `budget`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from llm_gateway_nb.errors import RemoteError
from llm_gateway_nb.types.content import ContentPart
from llm_gateway_nb.types.permissions import PermissionResponse, RelayResponse
from llm_gateway_nb.types.wire import WireModel, dump_wire, new_id, optional, read_wire, text_of

__all__ = [
    "BudgetRelayEvent",
    "CompactionEvent",
    "EndReason",
    "ErrorEvent",
    "EventBase",
    "HarnessEndEvent",
    "HarnessEvent",
    "HarnessStartEvent",
    "ReasoningEvent",
    "RelayAnswerEvent",
    "RelayEvent",
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

_FROM_A_PEER = object()
"""The context of reading an event, in which a word that we do not know is no mistake."""


def _or_a_newer_word(value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """A word of a closed set; from the wire also one that a newer peer has added to it, which is kept as it is."""
    try:
        return read(value)
    except ValidationError:
        if info.context is _FROM_A_PEER and isinstance(value, str):
            return value
        raise


_Newer = WrapValidator(_or_a_newer_word)


class EventBase(WireModel):
    """What every event has.

    Attributes:
        run_id: the run (one `invoke`) that it belongs to.
        parent_id: the id of the event, or of the run, that its run hangs from; absent for a root.
        seq: its number within one stream, given by whoever sends the stream on.
        timestamp: when it was born, in seconds since the epoch; absent in events of the source system.
    """

    run_id: str
    parent_id: str | None = optional()
    seq: int | None = optional()
    timestamp: float | None = Field(default_factory=time.time, exclude_if=lambda value: value is None)


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
    reason: Annotated[EndReason | None, _Newer] = optional()
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
    status: Annotated[Literal["ok", "denied", "error", "cancelled"] | None, _Newer] = optional()


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


Respond = Callable[[RelayResponse], Any]


class _Once:
    """Passes on one answer. A call that raises, or gives False, was none, and the next one gets its turn."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._lock = threading.Lock()
        self._answered = False

    def __call__(self, response: RelayResponse) -> bool:
        with self._lock:
            if self._answered:
                return False
            self._answered = True
        taken = False
        try:  # outside the lock: whoever is called may well ask this relay again
            taken = self._respond(response) is not False
        finally:
            self._answered = taken
        return taken


class _Relay(EventBase):
    """A question that only a person, or whoever decides for them, may answer.

    Give `respond=` when making one: a function that takes a `RelayResponse`, from any thread; if it gives False, the
    answer did not count. Copies of a relay share it and its one answer; it is never serialized, and no pickle has it.
    """

    type: Literal["relay"] = "relay"
    id: str = Field(default_factory=new_id)

    _respond: _Once | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        self._take_respond()

    def _take_respond(self) -> None:
        """`respond` is no key of the wire: what came under that name is the function, or nothing."""
        extra = self.__pydantic_extra__
        if extra and "respond" in extra:
            respond = extra.pop("respond")
            if callable(respond):
                self._respond = _Once(respond)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        copy = super().model_copy(update=update, deep=deep)
        copy._take_respond()
        return copy

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        # A copy of the function would answer a copy of whoever waits.
        memo = {} if memo is None else memo
        memo[id(self._respond)] = self._respond
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__pydantic_private__": {"_respond": None}}

    @property
    def answerable(self) -> bool:
        """Whether an answer can be given here at all: not where the relay was read from the wire or from a recording."""
        return self._respond is not None

    def respond(self, response: PermissionResponse | Mapping[str, Any]) -> bool:
        """Answer. True if this answer was taken, False if it is late, or the relay was read from the wire.

        Raises:
            ValueError: `response` is not a response.
        """
        if not isinstance(response, RelayResponse):
            data = response.model_dump() if isinstance(response, PermissionResponse) else response
            response = RelayResponse.model_validate(data)
        return bool(self._respond is not None and self._respond(response))


class RelayEvent(_Relay):
    """May this tool call run? `rule` is what "always" would grant, `why` says what made it ask."""

    kind: Literal["permission"] = "permission"
    tool_call_id: str
    tool: str
    params: dict[str, Any]
    rule: dict[str, Any] | None = optional()
    why: str | None = optional()


class BudgetRelayEvent(_Relay):
    """A limit is reached: go on, or stop? `limit` and `used` are in `unit` (tokens, usd, seconds, calls)."""

    kind: Literal["budget"] = "budget"
    unit: str
    limit: FiniteFloat
    used: FiniteFloat


class RelayAnswerEvent(EventBase):
    """A relay was answered. Sent by whoever asked on the run's behalf (`start`, `run`), never by a harness.

    Attributes:
        id: the relay's.
        by: `person`, `policy`, `recorded`, `timeout`, `nobody`; absent where it is not known.
        input: the arguments as the person edited them.
    """

    type: Literal["relay_answer"] = "relay_answer"
    id: str
    approved: bool
    reason: str | None = optional()
    always: bool | None = optional()
    input: dict[str, Any] | None = optional()
    by: str | None = optional()


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
        return cls.model_validate(whole, context=_FROM_A_PEER)  # type: ignore[return-value]  # the table holds members of the union
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
