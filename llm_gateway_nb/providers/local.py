"""A real small model in this process: no key, no server, and no network once its weights are there.

llama.cpp runs it (`local_runtime.py`), the weights are data with a pinned hash (`weights.py`), and tools are called
through our own JSON envelope (`envelope.py`), because the models' own templates fail at their size.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ProviderAPIError
from llm_gateway_nb.providers import weights
from llm_gateway_nb.providers.base import Finish, ModelRequest, ReasoningDelta, TextDelta, Usage
from llm_gateway_nb.providers.engine import Alive, Serve, Turn
from llm_gateway_nb.providers.in_process import InProcessLLM, Plan
from llm_gateway_nb.providers.in_process_settings import EVERY_CALL, Settings, is_whole
from llm_gateway_nb.providers.local_runtime import LlamaOptions, complete

__all__ = ["LocalLLM"]

_FETCH_SECONDS = 5.0


class LocalLLM(InProcessLLM):
    """A small model that runs here. The first call fetches the weights if need be (told, with a progress bar) and loads
    them.

    It answers the same to the same prompt (temperature 0, seed 42) on the same machine; another machine may differ.

    Args:
        model: a name of `weights.CATALOGUE`, or the path of a .gguf file of a chat model; None takes the default.
        options: as `InProcessLLM` takes them; of the loaded model there are `n_ctx`, `n_threads`, `n_gpu_layers`.
    """

    provider = "local"
    takes = Settings(
        provider="local",
        call=EVERY_CALL,
        engine={
            "n_ctx": ("a whole number: tokens of prompt and answer together (8192)", lambda n: is_whole(n) and n > 0),
            "n_threads": (
                "a whole number: threads to compute with (one less than the cores)",
                lambda n: is_whole(n) and n > 0,
            ),
            "n_gpu_layers": (
                "a whole number: layers on the GPU, where there is one (-1, all)",
                lambda n: is_whole(n) and n >= -1,
            ),
        },
    )

    def __init__(self, model: str | Path | None = None, **options: Any) -> None:
        super().__init__(weights.DEFAULT if model is None else str(model), **options)
        weights.check_name(self.model)

    @property
    def context_window(self) -> int:
        """Tokens of prompt and answer together."""
        n_ctx: int = self._engine_settings.get("n_ctx", LlamaOptions.n_ctx)
        return n_ctx

    async def supported_models(self) -> list[str]:
        """The names in the catalogue of weights, and this model's."""
        return sorted({self.model, *weights.CATALOGUE})

    def _engine_name(self, model: str) -> str:
        return str(weights.cached_path(model))

    async def _engine_options(self, model: str) -> LlamaOptions:
        return LlamaOptions(await _weights_of(model), **self._engine_settings)

    def _serve(self, request: ModelRequest, plan: Plan, settings: dict[str, Any]) -> Serve:
        body = {
            **settings,
            "messages": plan.turns,
            "stream": True,  # a call that does not stream can't be stopped
            "stream_options": {"include_usage": True},
            "return_progress": True,  # chunks while the prompt is read: places to stop at
        }

        def serve(server: Any, turn: Turn) -> None:
            answer = _Answer(turn)
            try:
                complete(server, body, plan.schemas, answer.take)
            except ValueError as error:  # how llama.cpp says that it could not read the request
                raise self._invalid(request, f"llama.cpp did not take the request: {error}") from error
            if answer.refused is not None:
                raise self._refused(request, answer.refused)
            if answer.finish is not None:  # else it was cut off, and the base says so
                turn.tell(Finish(answer.finish, raw=answer.finish))

        return serve

    def _refused(self, request: ModelRequest, error: Mapping[str, Any]) -> ProviderAPIError:
        if error.get("type") == "exceed_context_size_error":
            hint = "shorten it, or ask for more room with create_llm('local', n_ctx=…)"
            return self._too_long(request, error.get("n_prompt_tokens"), error.get("n_ctx"), hint)
        code, message = error.get("code"), str(error.get("message", error))
        if code == 400:
            return self._invalid(request, f"llama.cpp did not take the request: {message}")
        return ProviderAPIError(f"local: {message}", status=code, provider=self.provider, model=request.model)


class _Answer:
    """llama.cpp's chunks, told as pieces."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.finish: str | None = None
        self.refused: Mapping[str, Any] | None = None

    def take(self, chunk: dict[str, Any]) -> bool:
        """True stops the model. What is raised in here would be swallowed."""
        if self._turn.stopped:
            return True
        if (error := chunk.get("error")) is not None:
            self.refused = error if isinstance(error, Mapping) else {"message": error}
            return True
        self._turn.tell(Alive())
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta") or {}
            if thought := delta.get("reasoning_content"):
                self._turn.tell(ReasoningDelta(thought))
            if text := delta.get("content"):
                self._turn.tell(TextDelta(text))
            self.finish = choice.get("finish_reason") or self.finish
        if usage := chunk.get("usage"):
            self._turn.tell(_usage(usage))
        return False


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
            await asyncio.wait({work}, timeout=_FETCH_SECONDS)
