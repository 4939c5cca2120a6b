"""What models in this process share: one loaded model for all who ask for it, one answer at a time, tools by envelope."""

from __future__ import annotations

import asyncio
import threading
import weakref
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from llm_gateway_nb.errors import ConfigurationError, InvalidRequestError, ProviderAPIError, ProviderTimeoutError
from llm_gateway_nb.providers.base import LLM, Finish, ModelRequest, Piece, TextDelta
from llm_gateway_nb.providers.engine import Alive, Engine, EngineOptions, Serve, acquire, release
from llm_gateway_nb.providers.envelope import Envelope, has_calls, plain_turns, written_tight
from llm_gateway_nb.providers.in_process_settings import Settings
from llm_gateway_nb.providers.local_parse import EnvelopeParser
from llm_gateway_nb.providers.local_schema import plain_schema

__all__ = ["InProcessLLM", "Plan"]

_FREE_SECONDS = 5.0


@dataclass(slots=True)
class Plan:
    """One request as a small model gets it: chat turns, and with an envelope its schemas and its reader."""

    turns: list[dict[str, str]]
    schemas: Sequence[dict[str, Any]] = ()
    parser: EnvelopeParser | None = None


class InProcessLLM(LLM):
    """A model that runs here. The first call loads it; objects with the same model and settings share one, which serves
    one call at a time, in order, in a thread of its own, so that the event loop stays free. A call that is cancelled
    stops at the next token. Loading can't be stopped in the middle: a call that is cancelled meanwhile is over at once, the
    thread loads on, and what nobody wants any more by then is freed.

    Args:
        timeout: seconds without a token, once the call's turn has come and the model is loaded.
        defaults: settings of every call (`temperature`, `max_tokens`, …) and of the loaded model.
    """

    takes: Settings
    keeps_time = True  # when its turn has come, which only `_pieces` knows

    def __init__(
        self,
        model: str,
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
                f"A model of {self.provider!r} runs in this process and takes no {what}; for a server use "
                "create_llm('openai-compatible', model, base_url=…)."
            )
        try:
            self._engine_settings, chat = self.takes.parted(defaults or {})
        except ValueError as error:
            raise ConfigurationError(f"{self.provider}: {error}") from None
        super().__init__(model, timeout=timeout, max_retries=max_retries, defaults=chat)
        self._held = _Held()
        weakref.finalize(self, self._held.let_go).atexit = False

    @abstractmethod
    async def _engine_options(self, model: str) -> EngineOptions:
        """What has to be loaded for `model`, after whatever has to be fetched first."""

    @abstractmethod
    def _serve(self, request: ModelRequest, plan: Plan, settings: dict[str, Any]) -> Serve:
        """What gives the answer in the engine's thread: text, reasoning, usage, and at the end a `Finish`."""

    def _engine_name(self, model: str) -> str:
        """How the engine of `model` is called."""
        return model

    def unload_model(self, model: str | None = None) -> None:
        """Free the model, or only `model`; the next call loads it again. Calls that are under way, and other objects
        that use it, keep it until they are done."""
        for engine in self._held.let_go(None if model is None else self._engine_name(model)):
            if not engine.users:
                engine.join(_FREE_SECONDS)

    async def aclose(self) -> None:
        """Free the model, as `unload_model` does, without holding up the event loop."""
        await asyncio.to_thread(self.unload_model)

    async def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        try:
            settings = self.takes.of_call(request.settings)
        except ValueError as error:
            raise self._invalid(request, str(error)) from None
        try:
            plan = self._plan(request, settings.pop("tool_choice", "auto"))
        except InvalidRequestError as error:
            error.provider, error.model = self.provider, request.model
            raise
        engine = acquire(await self._engine_options(request.model))
        self._held.hold(engine)
        try:
            said = self._timed(engine.stream(self._serve(request, plan, settings)), request)
            async with aclosing(self._read(said, plan.parser)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            release(engine)

    async def _read(
        self, said: AsyncGenerator[Piece, None], parser: EnvelopeParser | None
    ) -> AsyncGenerator[Piece, None]:
        """The pieces of one answer, read out of the envelope where it is in one."""
        async with aclosing(said):
            async for piece in said:
                if parser is None:
                    yield piece
                elif isinstance(piece, TextDelta):
                    for found in parser.feed(piece.text):
                        yield found
                elif isinstance(piece, Finish):
                    held = parser.close()
                    for found in held:
                        yield found
                    called = any(not isinstance(found, TextDelta) for found in held)
                    yield Finish("tool_calls", raw=piece.raw) if called and piece.reason == "stop" else piece
                else:
                    yield piece

    async def _timed(
        self, said: AsyncGenerator[Piece | Alive, None], request: ModelRequest
    ) -> AsyncGenerator[Piece, None]:
        async with aclosing(said):
            await anext(said, None)  # its turn has come; queueing and loading are not the model's silence
            while True:
                try:
                    async with asyncio.timeout(self._limits.silence):
                        piece = await anext(said, None)
                except TimeoutError as error:
                    raise ProviderTimeoutError(
                        f"{self.provider}: {request.model!r} said nothing for {self._limits.silence:g} s; see `timeout=`.",
                        provider=self.provider,
                        model=request.model,
                    ) from error
                if piece is None:
                    return
                if not isinstance(piece, Alive):
                    yield piece

    def _plan(self, request: ModelRequest, choice: str) -> Plan:
        tools = request.tools
        if choice == "none":
            tools = []
        elif choice not in ("auto", "required"):
            tools = [tool for tool in tools if tool.name == choice]
            if not tools:
                offered = ", ".join(sorted(tool.name for tool in request.tools)) or "none"
                raise self._invalid(request, f"tool_choice names {choice!r}, which is not among the tools: {offered}.")
        if not tools and not has_calls(request.messages):
            answer = request.response_model
            shapes = [written_tight(plain_schema(answer.model_json_schema()))] if answer else []
            return Plan(plain_turns(request.messages), shapes)
        envelope = Envelope(tools, must_call=choice != "auto", response_model=request.response_model)
        return Plan(envelope.turns(request.messages), envelope.schemas(), EnvelopeParser([tool.name for tool in tools]))

    def _too_long(self, request: ModelRequest, wanted: Any, room: Any, hint: str) -> ProviderAPIError:
        return self._invalid(request, f"the conversation has {wanted} tokens and the context holds {room}; {hint}.")

    def _invalid(self, request: ModelRequest, what: str) -> InvalidRequestError:
        return InvalidRequestError(f"{self.provider}: {what}", status=400, provider=self.provider, model=request.model)


class _Held:
    """The engines that one object keeps loaded between its calls, each counted once."""

    def __init__(self) -> None:
        self._engines: list[Engine] = []
        self._lock = threading.RLock()

    def hold(self, engine: Engine) -> None:
        with self._lock:
            if engine not in self._engines:
                acquire(engine.options)
                self._engines.append(engine)

    def let_go(self, name: str | None = None) -> list[Engine]:
        """Release all, or only those of this name; gives what was released."""
        with self._lock:
            gone = [engine for engine in self._engines if name is None or engine.options.name == name]
            self._engines = [engine for engine in self._engines if engine not in gone]
        for engine in gone:
            release(engine)
        return gone
