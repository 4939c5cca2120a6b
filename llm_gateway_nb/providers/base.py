"""The one shape of a provider: pieces come from a service, events go out, and `agenerate` is a fold over the events.

A service's adapter is a subclass of `LLM` with one coroutine generator, `_pieces`, that speaks the service's protocol and
raises the exceptions of `llm_gateway_nb.errors`. Everything else stands here once: run ids, event order, retries, errors.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, Self, overload

from pydantic import BaseModel
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from llm_gateway_nb.errors import (
    ConfigurationError,
    GatewayError,
    ProviderAPIError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
)
from llm_gateway_nb.providers.response import GenerateResponse, ResponseFold
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
    UserMessage,
    new_id,
    parse_messages,
)

__all__ = ["LLM", "Finish", "ModelRequest", "Piece", "ReasoningDelta", "TextDelta", "ToolCallPiece", "Usage"]


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
    """Tokens, as the service counted them."""

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


class LLM(ABC):
    """A model: a harness that makes one call, and the object with `agenerate`. Settings never change; a constructor does
    no I/O; one `LLM` serves any number of calls at once.

    Attributes:
        provider, model: what it was made for.
    """

    provider: str

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
        if max_retries < 0:
            raise ConfigurationError(f"max_retries is 0 or more, not {max_retries!r}.")
        self.model = model
        self._timeout = timeout
        self._max_retries = max_retries
        self._defaults = dict(defaults or {})

    @abstractmethod
    def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Ask the service and yield what it says as it comes; closing the generator closes the connection."""

    async def supported_models(self) -> list[str]:
        """The names of the models that can be asked for here."""
        return [self.model]

    async def aclose(self) -> None:  # noqa: B027  (most models hold nothing open)
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
        request = ModelRequest(
            model=params.model or self.model,
            messages=messages,
            tools=list(params.tools or ()),
            settings={**self._defaults, **(params.settings or {})},
            response_model=params.response_model,
        )
        return self._events(request, params.env.parent_id if params.env else None)

    async def _events(self, request: ModelRequest, parent_id: str | None) -> AsyncGenerator[HarnessEvent, None]:
        run_id, text_id, reasoning_id = new_id(), new_id(), new_id()
        yield HarnessStartEvent(run_id=run_id, parent_id=parent_id, model=request.model)
        usage: Usage | None = None
        finish: Finish | None = None
        failed = False
        try:
            async with aclosing(self._retried(request)) as pieces:
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
            )
        yield HarnessEndEvent(
            run_id=run_id,
            parent_id=parent_id,
            reason="error" if failed else "final",
            iterations=1,
            total_usage=TotalUsage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
            if usage
            else None,
            finish_reason=finish.reason if finish else None,
        )

    async def _retried(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """The pieces of an answer. Until the first one has come a passing failure is tried again; after it never, because
        what a person has seen can't be taken back."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._max_retries + 1),
            wait=_wait,
            retry=retry_if_exception(_passes),
            reraise=True,
        )
        attempts = 0

        async def opened() -> tuple[AsyncGenerator[Piece, None], Piece | None]:
            nonlocal attempts
            attempts += 1
            pieces = self._pieces(request)
            try:
                return pieces, await self._next(pieces, request)
            except BaseException:
                await pieces.aclose()
                raise

        pieces: AsyncGenerator[Piece, None]
        piece: Piece | None
        try:
            pieces, piece = await retrying(opened)
        except ProviderAPIError as error:
            error.attempts = attempts
            raise
        async with aclosing(pieces):
            while piece is not None:
                yield piece
                piece = await self._next(pieces, request)

    async def _next(self, pieces: AsyncGenerator[Piece, None], request: ModelRequest) -> Piece | None:
        if self._timeout is None:
            return await anext(pieces, None)
        try:
            async with asyncio.timeout(self._timeout):
                return await anext(pieces, None)
        except TimeoutError as error:
            raise ProviderTimeoutError(
                f"{self.provider}: {request.model!r} said nothing for {self._timeout:g} s; see `timeout=`.",
                provider=self.provider,
                model=request.model,
            ) from error

    # -- the guide's object ------------------------------------------------------------------------------------------

    @overload
    async def agenerate(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Message | Mapping[str, Any]] | None = None,
        system_prompt: str | None = None,
        tools: Sequence[ToolDefinition] | None = None,
        stream: Literal[False] = False,
        **params: Any,
    ) -> GenerateResponse: ...

    @overload
    async def agenerate(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Message | Mapping[str, Any]] | None = None,
        system_prompt: str | None = None,
        tools: Sequence[ToolDefinition] | None = None,
        stream: Literal[True],
        **params: Any,
    ) -> AsyncIterator[GenerateResponse]: ...

    async def agenerate(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Message | Mapping[str, Any]] | None = None,
        system_prompt: str | None = None,
        tools: Sequence[ToolDefinition] | None = None,
        stream: bool = False,
        **params: Any,
    ) -> GenerateResponse | AsyncIterator[GenerateResponse]:
        """One answer: `messages` first, then `prompt` as the last user message; `system_prompt` leads.

        With `stream=True` one await gives an async iterator of `GenerateResponse`, each with the next piece of `content`;
        the last one has the tool calls, usage and finish reason.

        Raises:
            ProviderAPIError: or one of its subclasses; what was streamed before is in `partial_text`.
            InvalidMessagesError: neither `prompt` nor `messages`, or messages of the wrong shape.
        """
        history = request_messages(prompt, messages=messages, system_prompt=system_prompt)
        events = self.invoke(GeneratorInvokeParams(messages=history, tools=list(tools or ()), settings=params))
        fold = ResponseFold(self.model)
        if stream:
            return fold.chunks(events)
        async with aclosing(events):
            async for event in events:
                fold.add(event)
        return fold.response()


def request_messages(
    prompt: str | None,
    *,
    messages: Sequence[Message | Mapping[str, Any]] | None = None,
    system_prompt: str | None = None,
) -> list[Message]:
    """The list that a request starts from: system prompt, messages, prompt."""
    from_caller = [] if messages is None else parse_messages(messages)
    system: list[Message] = [SystemMessage(content=system_prompt)] if system_prompt else []
    if prompt is not None and not isinstance(prompt, str):
        raise ConfigurationError(f"prompt is a text, not a {type(prompt).__name__}; pass a list as `messages=`.")
    asked: list[Message] = [UserMessage(content=prompt)] if prompt else []
    if not from_caller and not asked:
        raise ConfigurationError(
            "There is nothing to answer: pass a `prompt`, or `messages` with at least one message."
        )
    return [*system, *from_caller, *asked]


_STATUS_THAT_PASSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


def _passes(error: BaseException) -> bool:
    if isinstance(error, RateLimitError | ProviderConnectionError | ProviderTimeoutError):
        return True
    return isinstance(error, ProviderAPIError) and error.status in _STATUS_THAT_PASSES


_backoff = wait_random_exponential(multiplier=0.5, max=30)


def _wait(state: RetryCallState) -> float:
    """What the service asked for, else exponential with full jitter, in seconds."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ProviderAPIError) else None
    return min(asked, 60.0) if asked is not None else _backoff(state)


_KEY_LIKE = re.compile(r"\b(sk|pk|key|api)[-_][A-Za-z0-9_\-]{12,}")


def without_secrets(text: str, *secrets: str | None) -> str:
    """`text` with keys taken out: services like to repeat the key they refuse."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[key]")
    return _KEY_LIKE.sub("[key]", text)
