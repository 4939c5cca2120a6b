"""The one shape of a provider: pieces come from a service, events go out, and `agenerate` is a fold over the events.

A service's adapter is a subclass of `LLM` with one coroutine generator, `_pieces`, that speaks the service's protocol and
raises the exceptions of `llm_gateway_nb.errors`. Everything else stands once: run ids, event order and errors here,
attempts and clocks in `retry.py`, what the async guide calls `agenerate` in `generate.py`.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import BaseModel

from llm_gateway_nb.errors import ConfigurationError, GatewayError, ProviderConnectionError
from llm_gateway_nb.providers.generate import Generates, request_messages
from llm_gateway_nb.providers.retry import Gate, Limits, Retried, Wait, without_secrets
from llm_gateway_nb.providers.structured import instructed
from llm_gateway_nb.recording.tap import Request, current_tap, tapped
from llm_gateway_nb.types import (
    ErrorEvent,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    Message,
    ReasoningEvent,
    SystemMessage,
    TextEvent,
    ToolCallEvent,
    ToolDefinition,
    TotalUsage,
    UsageEvent,
    new_id,
)

__all__ = [
    "LLM",
    "Finish",
    "ModelRequest",
    "Piece",
    "ReasoningDelta",
    "TextDelta",
    "ToolCallPiece",
    "Usage",
    "request_messages",
    "without_secrets",
]


@dataclass(slots=True)
class TextDelta:
    """Some more of the answer."""

    text: str


@dataclass(slots=True)
class ReasoningDelta:
    """Some more of the reasoning."""

    text: str


@dataclass(slots=True)
class ToolCallPiece:
    """One whole call. `arguments` is a str where the model wrote something that is no JSON object."""

    id: str
    name: str
    arguments: dict[str, Any] | str


@dataclass(slots=True)
class Usage:
    """Tokens, as the service counted them. `input_tokens` is the whole prompt, with what the cache gave or took of it."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None


@dataclass(slots=True)
class Finish:
    """The answer is complete. `reason` is normalized (stop, length, tool_calls, content_filter) where it can be."""

    reason: str
    raw: str | None = None


Piece = TextDelta | ReasoningDelta | ToolCallPiece | Usage | Finish


@dataclass(slots=True)
class ModelRequest:
    """One model call, as an adapter gets it: the model is settled, the messages are parsed, the settings merged."""

    model: str
    messages: list[Message]
    tools: list[ToolDefinition]
    settings: dict[str, Any]
    response_model: type[BaseModel] | None = None


class LLM(Generates):
    """A model: a harness that makes one call, and the object with `agenerate`. Settings never change; a constructor does
    no I/O; one `LLM` serves any number of calls at once, from several loops and threads too.

    Attributes:
        provider, model: what it was made for.
    """

    provider: str
    keeps_time = False
    """Whether `_pieces` itself counts the seconds of silence, from when its turn has come."""

    def __init__(
        self,
        model: str,
        *,
        timeout: float | None = None,
        max_retries: int = 2,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(model, str) or not model:
            raise ConfigurationError(
                f"{self.provider}: name a model, as in create_llm({self.provider!r}, 'model-name')."
            )
        self.model = model
        self._limits = Limits(silence=timeout, retries=max_retries)
        self._defaults = dict(defaults or {})

    @abstractmethod
    def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Ask the service and yield what it says as it comes; closing the generator closes the connection."""

    def _get_ready(self) -> None:
        """What a first call has to make, such as a client; done before any clock of a call starts."""

    async def supported_models(self) -> list[str]:
        """The names of the models that can be asked for here."""
        return [self.model]

    def with_options(
        self,
        *,
        model: str | None = None,
        timeout: float | None = None,
        total_timeout: float | None = None,
        max_retries: int | None = None,
        retry_wait: Wait | None = None,
        gate: Gate | None = None,
        **defaults: Any,
    ) -> Self:
        """A copy with other settings, on the same connections; what is not named, or is None, stays as it is here.

        Args:
            timeout: seconds without a word from the service.
            total_timeout: seconds for a whole call, its attempts and the waiting between them included.
            max_retries: how often a passing failure is tried again before the first delta.
            retry_wait: seconds before an attempt after the first, as a strategy of tenacity; see `with_retry`.
            gate: awaited before each attempt, after the gates that there are already; see `with_rate_limit`.
            defaults: settings of every call; None takes one away.
        """
        other = copy.copy(self)
        other._copied_from = self  # what the two share is not let go while one of them is used
        other.model = model or self.model
        other._defaults = {key: value for key, value in {**self._defaults, **defaults}.items() if value is not None}
        other._limits = replace(
            self._limits,
            silence=self._limits.silence if timeout is None else timeout,
            total=self._limits.total if total_timeout is None else total_timeout,
            retries=self._limits.retries if max_retries is None else max_retries,
            wait=self._limits.wait if retry_wait is None else retry_wait,
            gate=_both(self._limits.gate, gate),
        )
        return other

    _copied_from: LLM | None = None

    def unload_model(self, model: str | None = None) -> None:
        """Free what the model holds in this process; a service's model stays where it is. Calls under way are finished,
        and the next call gets what it needs again."""

    async def aclose(self) -> None:
        """Close what is open. Harmless when nothing is, and when called twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(provider={self.provider!r}, model={self.model!r})"

    # -- a harness ---------------------------------------------------------------------------------------------------

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        """One model call as events: `harness_start`, text and reasoning deltas as they come, then the tool calls, then
        usage; a failure is one `error` event; `harness_end` is last. Closing the generator closes the connection.

        Raises:
            InvalidMessagesError: at once, before anything is sent.
        """
        params = GeneratorInvokeParams.of(params, fields)
        messages = list(params.messages)
        if params.context:
            messages.insert(0, SystemMessage(content=params.context))
        asked = messages
        if params.response_model is not None and not self.native_schema:
            messages = instructed(messages, params.response_model)
        request = ModelRequest(
            model=params.model or self.model,
            messages=messages,
            tools=list(params.tools or ()),
            settings={**self._defaults, **(params.settings or {})},
            response_model=params.response_model,
        )
        events = self._events(request, params.env.parent_id if params.env else None)
        tap = current_tap.get()
        if tap is None:
            return events
        schema = request.response_model.model_json_schema() if request.response_model is not None else None
        heard = Request(request.model, asked, request.tools, request.settings, schema)
        return tapped(events, heard, tap, self._secrets())

    def _secrets(self) -> tuple[str, ...]:
        """The keys that it is used with: a recording has to know them to leave them out."""
        return ()

    async def _events(self, request: ModelRequest, parent_id: str | None) -> AsyncGenerator[HarnessEvent, None]:
        run_id, text_id, reasoning_id = new_id(), new_id(), new_id()
        yield HarnessStartEvent(run_id=run_id, parent_id=parent_id, model=request.model)
        usage: Usage | None = None
        finish: Finish | None = None
        failed = False
        try:
            self._get_ready()
            limits = replace(self._limits, silence=None) if self.keeps_time else self._limits
            retried = Retried(lambda: self._pieces(request), limits, (self.provider, request.model))
            async with aclosing(retried.pieces()) as pieces:
                async for piece in pieces:
                    match piece:
                        case TextDelta(text=text):
                            yield TextEvent(run_id=run_id, parent_id=parent_id, id=text_id, content=text)
                        case ReasoningDelta(text=text):
                            yield ReasoningEvent(run_id=run_id, parent_id=parent_id, id=reasoning_id, content=text)
                        case ToolCallPiece():
                            yield ToolCallEvent(
                                run_id=run_id,
                                parent_id=parent_id,
                                id=piece.id,
                                name=piece.name,
                                input=piece.arguments,
                            )
                        case Usage():
                            usage = piece
                        case Finish():
                            finish = piece
            if finish is None:
                raise ProviderConnectionError(
                    f"{self.provider}: the answer of {request.model!r} broke off before its end.",
                    provider=self.provider,
                    model=request.model,
                )
        except GatewayError as error:
            failed = True
            yield ErrorEvent(run_id=run_id, parent_id=parent_id, error=error)
        if usage is not None:
            yield UsageEvent(
                run_id=run_id,
                parent_id=parent_id,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_creation_tokens=usage.cache_creation_tokens,
                provider=self.provider,
                model=request.model,
            )
        raw = {"rawFinishReason": finish.raw} if finish and finish.raw not in (None, finish.reason) else {}
        yield HarnessEndEvent(
            **raw,  # a key of our own, beside the fields
            run_id=run_id,
            parent_id=parent_id,
            reason="error" if failed else "final",
            iterations=1,
            total_usage=TotalUsage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
            if usage
            else None,
            finish_reason=finish.reason if finish else None,
        )


def _both(first: Gate | None, second: Gate | None) -> Gate | None:
    if first is None or second is None:
        return first or second

    async def both() -> None:
        await first()
        await second()

    return both
