"""A real small model in this process: no key, no server, and no network once its weights are there.

llama.cpp runs it (`local_runtime.py`), the weights are data with a pinned hash (`weights.py`), and tools are called
through our own JSON envelope (`envelope.py`), because the models' own templates fail at their size.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError, InvalidRequestError, ProviderAPIError, ProviderTimeoutError
from llm_gateway_nb.providers import weights
from llm_gateway_nb.providers.base import (
    LLM,
    Finish,
    ModelRequest,
    Piece,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from llm_gateway_nb.providers.envelope import Envelope, has_calls, plain_turns, written_tight
from llm_gateway_nb.providers.local_parse import EnvelopeParser
from llm_gateway_nb.providers.local_runtime import Engine, EngineOptions, acquire, release
from llm_gateway_nb.providers.local_schema import plain_schema
from llm_gateway_nb.providers.local_settings import chat_settings, engine_settings

__all__ = ["LocalLLM"]

_FREE_SECONDS = 5.0
_FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}


class LocalLLM(LLM):
    """A small model that runs here. The first call fetches the weights if need be (told, with a progress bar) and loads
    them; objects with the same weights and settings share one loaded model, which serves one call at a time, in order.

    It answers the same to the same prompt (temperature 0, seed 42) on the same machine; another machine may differ.

    Args:
        model: a name of `weights.CATALOGUE`, or the path of a .gguf file of a chat model; None takes the default.
        timeout: seconds without a token, once the call's turn has come and the model is loaded.
        defaults: settings of every call (`temperature`, `max_tokens`, …) and of the loaded model (`n_ctx`, `n_threads`,
            `n_gpu_layers`).
    """

    provider = "local"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        timeout: float | None = None,
        max_retries: int = 2,
        defaults: Mapping[str, Any] | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
    ) -> None:
        if base_url is not None or api_key is not None:
            what = "base_url" if base_url is not None else "api_key"
            raise ConfigurationError(
                f"The local model runs in this process and takes no {what}; for a server use "
                "create_llm('openai-compatible', model, base_url=…)."
            )
        name = weights.DEFAULT if model is None else str(model)
        weights.check_name(name)
        try:
            self._engine_settings, chat = engine_settings(defaults or {})
        except ValueError as error:
            raise ConfigurationError(f"local: {error}") from None
        # The clock of a call starts when its turn has come, which only `_pieces` knows; the base keeps none.
        super().__init__(name, timeout=None, max_retries=max_retries, defaults=chat)
        self._token_timeout = timeout
        self._held = _Held()
        weakref.finalize(self, self._held.let_go).atexit = False

    async def supported_models(self) -> list[str]:
        """The names in the catalogue of weights, and this model's."""
        return sorted({self.model, *weights.CATALOGUE})

    def unload_model(self, model: str | None = None) -> None:
        """Free the model, or only `model`; the next call loads it again. Calls that are under way, and other objects
        that use it, keep it until they are done."""
        for engine in self._held.let_go(None if model is None else weights.cached_path(model)):
            if not engine.users:
                engine.join(_FREE_SECONDS)

    async def aclose(self) -> None:
        """Free the model, as `unload_model` does, without holding up the event loop."""
        await asyncio.to_thread(self.unload_model)

    async def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        settings = self._settings(request)
        plan = _plan(request, settings.pop("tool_choice", "auto"))
        path = await _weights_of(request.model)
        engine = acquire(EngineOptions(path, **self._engine_settings))
        self._held.hold(engine)
        try:
            async with aclosing(self._read(engine, request, plan, settings)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            release(engine)

    def _settings(self, request: ModelRequest) -> dict[str, Any]:
        try:
            return chat_settings(request.settings)
        except ValueError as error:
            raise self._invalid(request, str(error)) from None

    async def _read(
        self, engine: Engine, request: ModelRequest, plan: _Plan, settings: dict[str, Any]
    ) -> AsyncGenerator[Piece, None]:
        """The pieces of one answer."""
        body = {
            **settings,
            "messages": plan.turns,
            "stream": True,  # a call that does not stream can't be stopped
            "stream_options": {"include_usage": True},
            "return_progress": True,  # chunks while the prompt is read: places to stop at
        }
        parser = plan.parser
        finish: str | None = None
        async with aclosing(self._chunks(engine, request, body, plan.schemas)) as chunks:
            async for chunk in chunks:
                for choice in chunk.get("choices", ()):
                    delta = choice.get("delta") or {}
                    if thought := delta.get("reasoning_content"):
                        yield ReasoningDelta(thought)
                    if text := delta.get("content"):
                        for piece in parser.feed(text) if parser else [TextDelta(text)]:
                            yield piece
                    finish = choice.get("finish_reason") or finish
                if usage := chunk.get("usage"):
                    yield _usage(usage)
        if finish is None:
            return  # cut off; the base says so
        called = False
        if parser is not None:
            for piece in parser.close():
                called = called or not isinstance(piece, TextDelta)
                yield piece
        reason = "tool_calls" if called and finish == "stop" else _FINISH.get(finish, finish)
        yield Finish(reason, raw=finish)

    async def _chunks(
        self, engine: Engine, request: ModelRequest, body: dict[str, Any], schemas: Sequence[dict[str, Any]]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """llama.cpp's chunks; its errors as ours; none for `timeout` seconds is an error too."""
        try:
            async with aclosing(self._timed(engine.chat(body, schemas))) as chunks:
                async for chunk in chunks:
                    if (error := chunk.get("error")) is not None:
                        raise self._refused(request, error)
                    yield chunk
        except TimeoutError as error:
            raise ProviderTimeoutError(
                f"local: {request.model!r} said nothing for {self._token_timeout:g} s; see `timeout=`.",
                provider=self.provider,
                model=request.model,
            ) from error
        except ValueError as error:  # how llama.cpp says that it could not read the request
            raise self._invalid(request, f"llama.cpp did not take the request: {error}") from error

    async def _timed(self, chat: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[dict[str, Any], None]:
        async with aclosing(chat) as chunks:
            await anext(chunks, None)  # its turn has come; queueing and loading are not the model's silence
            while True:
                async with asyncio.timeout(self._token_timeout):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield chunk

    def _refused(self, request: ModelRequest, error: Mapping[str, Any]) -> ProviderAPIError:
        if error.get("type") == "exceed_context_size_error":
            wanted, room = error.get("n_prompt_tokens"), error.get("n_ctx")
            return self._invalid(
                request,
                f"the conversation has {wanted} tokens and the context holds {room}; shorten it, or ask for more room "
                "with create_llm('local', n_ctx=…).",
            )
        code, message = error.get("code"), str(error.get("message", error))
        if code == 400:
            return self._invalid(request, f"llama.cpp did not take the request: {message}")
        return ProviderAPIError(f"local: {message}", status=code, provider=self.provider, model=request.model)

    def _invalid(self, request: ModelRequest, what: str) -> InvalidRequestError:
        return InvalidRequestError(f"local: {what}", status=400, provider=self.provider, model=request.model)


@dataclass(slots=True)
class _Plan:
    """One request in llama.cpp's terms: chat turns, and with an envelope its schema and its reader."""

    turns: list[dict[str, str]]
    schemas: Sequence[dict[str, Any]] = ()
    parser: EnvelopeParser | None = None


def _plan(request: ModelRequest, choice: str) -> _Plan:
    tools = request.tools
    if choice == "none":
        tools = []
    elif choice not in ("auto", "required"):
        tools = [tool for tool in tools if tool.name == choice]
        if not tools:
            offered = ", ".join(sorted(tool.name for tool in request.tools)) or "none"
            raise InvalidRequestError(
                f"local: tool_choice names {choice!r}, which is not among the tools: {offered}.",
                provider="local",
                status=400,
            )
    if not tools and not has_calls(request.messages):
        answer = request.response_model
        shapes = [written_tight(plain_schema(answer.model_json_schema()))] if answer else []
        return _Plan(plain_turns(request.messages), shapes)
    envelope = Envelope(tools, must_call=choice != "auto", response_model=request.response_model)
    parser = EnvelopeParser([tool.name for tool in tools])
    return _Plan(envelope.turns(request.messages), envelope.schemas(), parser)


def _usage(usage: Mapping[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        cache_read_tokens=details.get("cached_tokens"),
    )


async def _weights_of(model: str) -> Path:
    """The file of a model, fetched if need be, in a thread; a cancel stops the download and waits until it has."""
    cancelled = threading.Event()
    work = asyncio.ensure_future(asyncio.to_thread(weights.fetch, model, cancelled=cancelled))
    try:
        return await asyncio.shield(work)
    finally:
        if not work.done():
            cancelled.set()
            await asyncio.wait({work}, timeout=_FREE_SECONDS)


class _Held:
    """The engines that one `LocalLLM` keeps loaded between its calls, each counted once."""

    def __init__(self) -> None:
        self._engines: list[Engine] = []
        self._lock = threading.RLock()

    def hold(self, engine: Engine) -> None:
        with self._lock:
            if engine not in self._engines:
                acquire(engine.options)
                self._engines.append(engine)

    def let_go(self, path: Path | None = None) -> list[Engine]:
        """Release all, or only those with this file; gives what was released."""
        with self._lock:
            gone = [engine for engine in self._engines if path is None or engine.options.path == path]
            self._engines = [engine for engine in self._engines if engine not in gone]
        for engine in gone:
            release(engine)
        return gone
