"""`BasicSession`: a conversation with a model, whose turns are transactions: question and answer are kept, or neither."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast, overload
from weakref import ref

from pydantic import BaseModel

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.primitives import AsyncQueue
from llm_gateway_nb.providers import LLM, GenerateResponse
from llm_gateway_nb.providers.generate import asked_messages, in_sync
from llm_gateway_nb.sessions.archive import read_archive, write_archive
from llm_gateway_nb.types import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolDefinition,
    ToolMessage,
    parse_messages,
)

__all__ = ["BasicSession"]

ModelT = TypeVar("ModelT", bound=BaseModel)
_Stream = Callable[[], AsyncGenerator[GenerateResponse, None] | None]
"""A weak reference: one who forgets a stream has left it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Unread:
    """A stream between two of its chunks, and who took the last one."""

    chunks: _Stream
    reader: asyncio.Task[Any] | None


_reading: ContextVar[_Unread | None] = ContextVar("_reading", default=None)


class BasicSession:
    """A conversation with a model.

    Sessions are independent of one another and may share one `LLM`. Calls on one session that overlap are served one
    after the other, each with what was said before it. A call that fails or is cancelled, and a stream that is left
    before its end, leave the history as it was.

    Args:
        provider: the model: what `create_llm` gives, wrapped or not. For an agent use `run` or `start`, and give them
            `result.messages`.
        tools: offered in every call. The calls that the model makes are in the answer, for you to run; give their results
            back with `add_tool_result` before the next question.
        settings: of every call, such as `temperature`; what is not named is as the model has it.

    Attributes:
        conversation_history: the messages so far, the system message among them; `messages` is the same list.
    """

    def __init__(
        self,
        provider: LLM | None = None,
        system_prompt: str | None = None,
        tools: Sequence[ToolDefinition] | None = None,
        **settings: Any,
    ) -> None:
        if not isinstance(provider, LLM):
            raise ConfigurationError(
                f"BasicSession(provider=…) takes a model, as create_llm(…) gives it, not {provider!r}. "
                "For an agent there is run(agent, prompt, messages=result.messages)."
            )
        self.provider = provider
        self.tools = list(tools or ())
        self.settings = settings
        self.conversation_history: list[Message] = [SystemMessage(content=system_prompt)] if system_prompt else []
        self._turn = AsyncQueue[None]()  # holds one value: the right to speak, from whatever loop
        self._turn.push(None)
        self._unread: _Unread | None = None

    @property
    def messages(self) -> list[Message]:
        return self.conversation_history

    @property
    def system_prompt(self) -> str | None:
        """What the history begins with, where that is a system message."""
        first = self.conversation_history[0] if self.conversation_history else None
        return first.content if isinstance(first, SystemMessage) else None

    @overload
    async def agenerate(
        self, prompt: str | None = None, *, response_model: None = None, stream: Literal[False] = False, **params: Any
    ) -> GenerateResponse: ...

    @overload
    async def agenerate(
        self, prompt: str | None = None, *, response_model: None = None, stream: Literal[True], **params: Any
    ) -> AsyncGenerator[GenerateResponse, None]: ...

    @overload
    async def agenerate(
        self, prompt: str | None = None, *, response_model: type[ModelT], stream: bool = False, **params: Any
    ) -> ModelT: ...

    async def agenerate(
        self,
        prompt: str | None = None,
        *,
        media: Any = None,
        response_model: type[BaseModel] | None = None,
        stream: bool = False,
        **params: Any,
    ) -> GenerateResponse | AsyncGenerator[GenerateResponse, None] | BaseModel:
        """The model's answer to `prompt`, after all that was said; without a prompt, to the history as it is.

        Takes what `LLM.agenerate` takes but `messages` and `system_prompt`, raises what it raises, and gives what it
        gives. With `stream=True` the turn lasts until the stream is read to its end, or closed; one who asks the next
        question instead closes it.
        """
        for name in ("messages", "system_prompt"):
            if params.pop(name, None) is not None:
                raise ConfigurationError(f"A session has its own history; {name}= goes to BasicSession, or to the LLM.")
        options = {"tools": self.tools or None, **self.settings, **params}
        if stream and response_model is None:
            itself: list[_Stream] = []
            chunks = self._streamed(prompt, media, options, itself)
            itself.append(ref(chunks))
            return chunks
        async with self._speaking():
            asked, history = await self._asked(prompt, media)
            agenerate: Any = self.provider.agenerate  # its overloads are ours
            answer = await agenerate(messages=asked, response_model=response_model, stream=stream, **options)
            if isinstance(answer, BaseModel):
                said = AssistantMessage(content=answer.model_dump_json(by_alias=True))
            else:
                said = _said(cast(GenerateResponse, answer))
            self._commit(asked[history:], said)
            return cast(GenerateResponse | BaseModel, answer)

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
        """`agenerate` for synchronous code, inside a running loop as well."""
        agenerate: Any = self.agenerate
        answer: Any = in_sync(agenerate(prompt, response_model=response_model, stream=stream, **params), stream=stream)
        return cast(GenerateResponse, answer)

    async def _streamed(
        self, prompt: str | None, media: Any, options: dict[str, Any], itself: list[_Stream]
    ) -> AsyncGenerator[GenerateResponse, None]:
        async with self._speaking():
            asked, history = await self._asked(prompt, media)
            texts: list[str] = []
            async with aclosing(await self.provider.agenerate(messages=asked, stream=True, **options)) as chunks:
                async for chunk in chunks:
                    texts.append(chunk.content or "")
                    if chunk.finish_reason is not None:
                        whole = GenerateResponse(content="".join(texts), tool_calls=chunk.tool_calls)
                        self._commit(asked[history:], _said(whole))
                    self._unread = _Unread(itself[0], asyncio.current_task())
                    _reading.set(self._unread)  # in the reader's context, and so in the tasks that it starts
                    yield chunk
                    self._unread = None

    @asynccontextmanager
    async def _speaking(self) -> AsyncGenerator[None, None]:
        """This call's turn, when those before it are done."""
        await self._close_what_nobody_reads()
        await self._turn.pop()
        try:
            yield
        finally:
            self._unread = None
            self._turn.push(None)

    async def _close_what_nobody_reads(self) -> None:
        """One who asks the next question has left the stream before it, which would hold its turn for ever."""
        unread = self._unread
        if unread is None or (chunks := unread.chunks()) is None or (reader := unread.reader) is None:
            return
        if not (reader.done() or reader is asyncio.current_task() or _reading.get() is unread):
            return  # somebody else reads it, and is waited for
        loop = reader.get_loop()
        if loop is asyncio.get_running_loop() or not loop.is_running():
            await chunks.aclose()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_close(chunks), loop))

    async def _asked(self, prompt: str | None, media: Any) -> tuple[list[Message], int]:
        """What to send, and how much of it is the history."""
        history = list(self.conversation_history)
        if missing := _unanswered(history):
            raise ConfigurationError(
                f"The model called {', '.join(missing.values())} and waits for the result: add_tool_result("
                f"{next(iter(missing))!r}, …) comes before the next question."
            )
        if not prompt and (not history or isinstance(history[-1], AssistantMessage | SystemMessage)):
            await asked_messages(prompt, media=media)  # raises, where nothing else is asked with it
        return await asked_messages(prompt, messages=history, media=media), len(history)

    def _commit(self, asked: Sequence[Message], said: AssistantMessage) -> None:
        self.conversation_history += [*asked, said]

    def add_message(self, role: str, content: Any, **fields: Any) -> Message:
        """Append a message and return it.

        Raises:
            InvalidMessagesError: it has not the shape of a message.
        """
        (message,) = parse_messages([{"role": role, "content": content, **fields}])
        self.conversation_history.append(message)
        return message

    def add_tool_result(self, call_id: str, content: str) -> Message:
        """Append the result of a call that the model made in its last answer."""
        called = _unanswered(self.conversation_history)
        if call_id not in called:
            raise ConfigurationError(f"No call {call_id!r} waits for a result; waiting are {list(called) or 'none'}.")
        return self.add_message("tool", content, tool_call_id=call_id)

    def clear_history(self, keep_system: bool = True) -> None:
        """Forget what was said; the system message stays unless told otherwise."""
        kept = [message for message in self.conversation_history if isinstance(message, SystemMessage) and keep_system]
        self.conversation_history[:] = kept

    def save(self, path: str | Path) -> None:
        """Write the conversation to a JSON file, whole or not at all. No key and no tool goes into it."""
        write_archive(path, self.provider, self.settings, self.conversation_history)

    @classmethod
    def load(cls, path: str | Path, provider: LLM | None = None, tools: Sequence[ToolDefinition] | None = None) -> Self:
        """Go on with a conversation that was saved.

        Args:
            provider: the model; None is `create_llm` with the saved provider and model, and a key from the environment.

        Raises:
            ConfigurationError: the file can't be read, or holds something else.
        """
        saved = read_archive(path)
        session = cls(provider or saved.make_llm(), tools=tools, **saved.settings)
        session.conversation_history += saved.messages
        return session

    def __repr__(self) -> str:
        return (
            f"BasicSession(provider={self.provider.provider!r}, model={self.provider.model!r}, "
            f"messages={len(self.conversation_history)})"
        )


async def _close(chunks: AsyncGenerator[GenerateResponse, None]) -> None:
    await chunks.aclose()


def _said(answer: GenerateResponse) -> AssistantMessage:
    content = answer.content or (None if answer.tool_calls else "")
    return AssistantMessage(content=content, tool_calls=answer.tool_calls or None)


def _unanswered(history: Sequence[Message]) -> Mapping[str, str]:
    """Calls without a result, the names by the ids."""
    called: dict[str, str] = {}
    for message in history:
        if isinstance(message, AssistantMessage):
            called |= {call.id: call.name for call in message.tool_calls or ()}
        elif isinstance(message, ToolMessage):
            called.pop(message.tool_call_id, None)
    return called
