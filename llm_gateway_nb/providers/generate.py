"""The guide's object on top of any `invoke`: `agenerate`, its synchronous twin, streaming, media, structured answers."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar, cast, overload

from pydantic import BaseModel

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers.media import Media, media_parts, with_media
from llm_gateway_nb.providers.portal import run_sync
from llm_gateway_nb.providers.response import GenerateResponse, ResponseFold, fold_response
from llm_gateway_nb.providers.structured import check_response_model, structured
from llm_gateway_nb.tools.validate import check_tools
from llm_gateway_nb.types import (
    GeneratorInvokeParams,
    HarnessEvent,
    Message,
    SystemMessage,
    ToolDefinition,
    UserMessage,
    parse_messages,
)

__all__ = ["Generates", "asked_messages", "in_sync", "request_messages"]

ModelT = TypeVar("ModelT", bound=BaseModel)
Messages = Sequence[Message | Mapping[str, Any]]

_OPTIONS = ("timeout", "total_timeout", "max_retries")


class Generates(ABC):
    """What has `invoke` gets `agenerate` and `generate`: both are folds over its events."""

    provider: str
    model: str
    native_schema = False
    """Whether the service sees to `response_model` itself; elsewhere the schema is put into words."""

    @abstractmethod
    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        """One model call as events."""

    @abstractmethod
    def with_options(self, **options: Any) -> Self:
        """A copy with other settings."""

    @overload
    async def agenerate(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        system_prompt: str | None = None,
        tools: Sequence[ToolDefinition] | None = None,
        media: Media | Iterable[Media] | None = None,
        model: str | None = None,
        response_model: None = None,
        stream: Literal[False] = False,
        **params: Any,
    ) -> GenerateResponse: ...

    @overload
    async def agenerate(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        system_prompt: str | None = None,
        tools: Sequence[ToolDefinition] | None = None,
        media: Media | Iterable[Media] | None = None,
        model: str | None = None,
        response_model: None = None,
        stream: Literal[True],
        **params: Any,
    ) -> AsyncGenerator[GenerateResponse, None]: ...

    @overload
    async def agenerate(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        system_prompt: str | None = None,
        tools: Sequence[ToolDefinition] | None = None,
        media: Media | Iterable[Media] | None = None,
        model: str | None = None,
        response_model: type[ModelT],
        stream: bool = False,
        **params: Any,
    ) -> ModelT: ...

    async def agenerate(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        system_prompt: str | None = None,
        tools: Sequence[ToolDefinition] | None = None,
        media: Media | Iterable[Media] | None = None,
        model: str | None = None,
        response_model: type[BaseModel] | None = None,
        stream: bool = False,
        **params: Any,
    ) -> GenerateResponse | AsyncGenerator[GenerateResponse, None] | BaseModel:
        """One answer: `messages` first, then `prompt` as the last user message; `system_prompt` leads.

        With `stream=True` one await gives an async iterator of `GenerateResponse`, each with the next piece of `content`;
        the last one has the tool calls, usage and finish reason. The request is sent at its first step; closing it, a
        cancel, and leaving it to the garbage collector close the connection.

        Args:
            media: paths, bytes or content parts that go with the prompt: images, PDF, text.
            model: another model of the same service, for this call.
            response_model: a pydantic class; the answer is an instance of it.
            params: settings of this call over those of the `LLM` (None leaves the service's own), and `timeout`,
                `total_timeout`, `max_retries`.

        Raises:
            ProviderAPIError: or one of its subclasses; what was streamed before is in `partial_text`.
            InvalidMessagesError: messages of the wrong shape.
            ConfigurationError: neither `prompt` nor `messages`, a file that can't be read, options that don't fit.
        """
        history = await asked_messages(prompt, messages=messages, system_prompt=system_prompt, media=media)
        options = {name: params.pop(name) for name in _OPTIONS if name in params}
        source = self.with_options(**options) if options else self
        offered = check_tools(tools)

        def ask(asked: list[Message], answer: type[BaseModel] | None) -> AsyncGenerator[HarnessEvent, None]:
            return source.invoke(
                GeneratorInvokeParams(
                    model=model, messages=asked, tools=offered, settings=params, response_model=answer
                )
            )

        name = model or self.model
        if response_model is not None:
            check_response_model(response_model, stream=stream, tools=bool(offered))
            return await structured(
                ask, history, response_model, native=self.native_schema, provider=self.provider, model=name
            )
        if stream:
            return ResponseFold(name).chunks(ask(history, None))
        return await fold_response(ask(history, None), name)

    @overload
    def generate(
        self, prompt: str | None = None, *, response_model: None = None, stream: Literal[False] = False, **params: Any
    ) -> GenerateResponse: ...

    @overload
    def generate(
        self, prompt: str | None = None, *, response_model: None = None, stream: Literal[True], **params: Any
    ) -> Iterator[GenerateResponse]: ...

    @overload
    def generate(
        self, prompt: str | None = None, *, response_model: type[ModelT], stream: bool = False, **params: Any
    ) -> ModelT: ...

    def generate(
        self,
        prompt: str | None = None,
        *,
        response_model: type[BaseModel] | None = None,
        stream: bool = False,
        **params: Any,
    ) -> GenerateResponse | Iterator[GenerateResponse] | BaseModel:
        """`agenerate` for synchronous code: the same arguments, answers and exceptions; `stream=True` gives an iterator.

        It works where a loop is running too (and holds it up for as long); there `await llm.agenerate(…)` is the better
        way. An interrupt closes the connection.
        """
        agenerate: Any = self.agenerate  # its overloads are ours
        answer: Any = in_sync(agenerate(prompt, response_model=response_model, stream=stream, **params), stream=stream)
        return cast(GenerateResponse, answer)


def in_sync(call: Coroutine[Any, Any, Any], *, stream: bool) -> Any:
    """What an `agenerate` gives, in synchronous code; a stream as an iterator."""
    answer = run_sync(call)
    return _pulled(answer) if stream else answer


def _pulled(chunks: AsyncGenerator[GenerateResponse, None]) -> Iterator[GenerateResponse]:
    async def step() -> GenerateResponse | None:
        return await anext(chunks, None)

    async def close() -> None:
        await chunks.aclose()

    try:
        while (chunk := run_sync(step())) is not None:
            yield chunk
    finally:
        run_sync(close())


async def asked_messages(
    prompt: str | None,
    *,
    messages: Messages | None = None,
    system_prompt: str | None = None,
    media: Media | Iterable[Media] | None = None,
) -> list[Message]:
    """`request_messages`, with the media in front of the prompt; files are read in a thread."""
    asked = request_messages(prompt, messages=messages, system_prompt=system_prompt, media=media is not None)
    if media is None:
        return asked
    return with_media(asked, await asyncio.to_thread(media_parts, media), prompted=bool(prompt))


def request_messages(
    prompt: str | None,
    *,
    messages: Messages | None = None,
    system_prompt: str | None = None,
    media: bool = False,
) -> list[Message]:
    """The list that a request starts from: system prompt, messages, prompt. `media`: something else is asked with it."""
    from_caller = [] if messages is None else parse_messages(messages)
    system: list[Message] = [SystemMessage(content=system_prompt)] if system_prompt else []
    if prompt is not None and not isinstance(prompt, str):
        raise ConfigurationError(f"prompt is a text, not a {type(prompt).__name__}; pass a list as `messages=`.")
    asked: list[Message] = [UserMessage(content=prompt)] if prompt else []
    if not from_caller and not asked and not media:
        empty = "The prompt is empty" if prompt is not None else "There is nothing to answer"
        raise ConfigurationError(f"{empty}: pass a `prompt`, or `messages` with at least one message.")
    return [*system, *from_caller, *asked]
