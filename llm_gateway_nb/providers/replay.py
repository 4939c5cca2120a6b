"""A model that answers from a recording: `create_llm("replay", "run.jsonl")`.

Each request is looked up among those that were recorded. One that is there gets its answer, delta by delta; one that is
not is an error that shows what differs. Tools are not replayed: they run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import (
    ConfigurationError,
    GatewayError,
    RecordingError,
    RemoteError,
    ReplayError,
    provider_error,
)
from llm_gateway_nb.providers.base import (
    LLM,
    Finish,
    ModelRequest,
    Piece,
    ReasoningDelta,
    TextDelta,
    ToolCallPiece,
    Usage,
)
from llm_gateway_nb.recording import ModelCall, Recording
from llm_gateway_nb.recording.compare import checked_sanitize, difference, reads_the_same, written_out
from llm_gateway_nb.recording.decisions import current_decisions
from llm_gateway_nb.recording.reader import paced
from llm_gateway_nb.recording.secrets import Secrets
from llm_gateway_nb.recording.tap import Request
from llm_gateway_nb.types import (
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    ReasoningEvent,
    TextEvent,
    ToolCallEvent,
    UsageEvent,
)

__all__ = ["ReplayLLM"]


class _Reading:
    """How far a recording has been read. Shared by all copies of one model."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.served: list[ModelCall] = []
        self.secrets = Secrets()
        self._recording: Recording | None = None

    @property
    def recording(self) -> Recording:
        if self._recording is None:
            self._recording = Recording.read(self.path)
        return self._recording

    @property
    def calls(self) -> list[ModelCall]:
        """The recorded calls, without those that failed and were then made again."""
        calls = self.recording.calls
        return [call for n, call in enumerate(calls) if not (_failed(call) and _made_again(call, calls[n + 1 :]))]

    @property
    def unread(self) -> list[ModelCall]:
        return [call for call in self.calls if not any(call is done for done in self.served)]


class ReplayLLM(LLM):
    """Answers as it was recorded by `record(…)` or `start(…, record=…)`.

    A request is the same as a recorded one if messages, tools and the schema of the answer are, and those settings that it
    names itself; what differs on every machine (addresses, ids) is no difference. Each recorded answer is given once; a
    request that comes again after all of its kind were given starts with the first again, as when a cell is run twice.

    Args:
        path: the recording. It is read at the first call.
        speed: None answers at once; 1.0 takes the time that it took, 2.0 half of it.
        sanitize: what else is no difference: regular expressions, and what to put in the place of what they match.

    Raises:
        ReplayError: as an `error` event (`agenerate` raises it): the request was not recorded. It shows the diff.
        RecordingError: likewise: the file can't be read, or the answer was not recorded to its end.
    """

    provider = "replay"
    native_schema = True  # a schema is compared as a schema; how the recorded model was told of it is its own affair

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        max_retries: int = 0,
        timeout: float | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        settings = dict(defaults or {})
        self._speed = _checked_speed(settings.pop("speed", None))
        self._sanitize = checked_sanitize(settings.pop("sanitize", ()))
        if path is None:
            raise ConfigurationError("A replay needs its recording: create_llm('replay', 'run.jsonl').")
        self._reading = _Reading(Path(path))
        # What failed is given as it failed; trying it again would only ask for what was not recorded.
        super().__init__(str(path), max_retries=0, timeout=timeout, defaults=settings)

    @property
    def model(self) -> str:
        """The model that was recorded."""
        if self._named is None:
            recorded = next((call.request.get("model") for call in self._reading.recording.calls), None)
            self._named = recorded or self._reading.path.name
        return self._named

    @model.setter
    def model(self, name: str) -> None:
        self._named = None if name == str(self._reading.path) else name

    _named: str | None = None

    @property
    def unread(self) -> int:
        """How many recorded answers have not been given."""
        return len(self._reading.unread)

    def assert_read(self) -> None:
        """Complain of answers that nobody asked for.

        Raises:
            ReplayError: some are left.
        """
        left = self._reading.unread
        if left:
            raise ReplayError(
                f"{len(left)} of {len(self._reading.calls)} recorded answers in {str(self._reading.path)!r} were not asked "
                "for; the next would have been to:",
                diff=written_out(left[0].request, sanitize=self._sanitize),
            )

    def __enter__(self) -> ReplayLLM:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self.assert_read()

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__(exc[0])  # type: ignore[arg-type]  # the protocol hands over the exception's class

    def __repr__(self) -> str:
        return f"ReplayLLM({str(self._reading.path)!r})"

    async def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        decisions = current_decisions.get()
        if decisions is not None:
            decisions.use(self._reading.recording)
        call = self._find(request)
        self._reading.served.append(call)
        for wait, event in paced(call.events, self._speed):
            if wait:
                await asyncio.sleep(wait)
            if isinstance(event, ErrorEvent):
                raise _as_raised(event.error)
            piece = _piece(event)
            if piece is not None:
                yield piece
        if not call.complete:
            raise RecordingError(
                f"{str(self._reading.path)!r}: this answer was not recorded to its end: its run was stopped."
            )

    def _find(self, request: ModelRequest) -> ModelCall:
        schema = request.response_model.model_json_schema() if request.response_model is not None else None
        model = None if request.model == self.model else request.model
        live = self._reading.secrets.redact(
            Request(model, request.messages, request.tools, request.settings, schema).as_json()
        )
        asked = written_out(live, sanitize=self._sanitize)
        reading = self._reading

        def told(call: ModelCall) -> str:
            return written_out(call.request, like=live, sanitize=self._sanitize)

        for calls in (reading.unread, reading.calls):
            for call in calls:
                if reads_the_same(asked, told(call)):
                    if calls is not reading.unread:
                        reading.served = [done for done in reading.served if told(done) != told(call)]
                    return call
        if not reading.calls:
            raise ReplayError(
                f"{str(reading.path)!r} holds no model requests: it was saved, not recorded. Use start(…, record=path)."
            )
        near = max(reading.unread or reading.calls, key=lambda call: _in_common(asked, told(call)))
        number = next(n for n, call in enumerate(reading.calls, 1) if call is near)
        raise ReplayError(
            f"The model was asked what was not recorded in {str(reading.path)!r}. Nearest is request {number} of "
            f"{len(reading.calls)}; if the change is meant, record anew, or see `sanitize=`.",
            diff=difference(told(near), asked),
        )


def _piece(event: HarnessEvent) -> Piece | None:
    match event:
        case TextEvent():
            return TextDelta(event.content)
        case ReasoningEvent():
            return ReasoningDelta(event.content)
        case ToolCallEvent():
            return ToolCallPiece(event.id, event.name, event.input)
        case UsageEvent():
            return Usage(event.input_tokens, event.output_tokens, event.cache_read_tokens, event.cache_creation_tokens)
        case HarnessEndEvent(finish_reason=str(reason)):
            return Finish(reason, (event.model_extra or {}).get("rawFinishReason"))
        case _:
            return None


def _as_raised(error: BaseException) -> GatewayError:
    """The exception that an event's error was when it was recorded, as far as a name and a message tell."""
    if isinstance(error, RemoteError):
        cls = provider_error(error.name)
        if cls is not None:
            return cls(str(error))
    return error if isinstance(error, GatewayError) else RemoteError(str(error), name=type(error).__name__)


def _failed(call: ModelCall) -> bool:
    """It failed before it said anything."""
    kinds = {event.type for _, event in call.events}
    return "error" in kinds and not kinds & {"text", "reasoning", "tool_call"}


def _made_again(call: ModelCall, later: list[ModelCall]) -> bool:
    return any(written_out(call.request) == written_out(other.request) and not _failed(other) for other in later)


def _in_common(one: str, other: str) -> int:
    """How many lines the two share at the start."""
    count = 0
    for mine, theirs in zip(one.split("\n"), other.split("\n"), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _checked_speed(speed: Any) -> float | None:
    if speed is not None and not (isinstance(speed, int | float) and speed > 0):
        raise ConfigurationError(f"speed is a number above 0, or None for at once, not {speed!r}.")
    return speed
