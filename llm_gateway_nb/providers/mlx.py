"""Models in MLX's format, run in this process by mlx-lm (written against 0.32): on Apple silicon, and on Linux with
`mlx[cpu]` or `mlx[cuda]`."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers.base import Finish, ModelRequest, Usage
from llm_gateway_nb.providers.engine import EngineOptions, Serve, Turn
from llm_gateway_nb.providers.hub_models import LENGTHS, as_prompt, check_model, could_not_load, finish_of
from llm_gateway_nb.providers.in_process import InProcessLLM, Plan
from llm_gateway_nb.providers.in_process_settings import Settings
from llm_gateway_nb.providers.spoken import Spoken

__all__ = ["MlxLLM"]


class MlxLLM(InProcessLLM):
    """A chat model in this process. Its weights come from a folder, or from the hub (and then from the hub's cache); code
    that comes with a model is never run.

    Args:
        model: the folder of a model, or its name on the hub, such as `mlx-community/Qwen3-4B-4bit`.
        options: as `InProcessLLM` takes them; of the loaded model there is `revision`.
    """

    provider = "mlx"
    takes = Settings(
        provider="mlx",
        call=frozenset(
            {"temperature", "top_p", "top_k", "min_p", "seed", "max_tokens", "stop", "repeat_penalty", "repeat_last_n"}
            | {"presence_penalty", "frequency_penalty", "tool_choice"}
        ),
        engine={"revision": ("a branch, tag or commit on the hub", lambda value: isinstance(value, str))},
    )

    def __init__(self, model: str | Path | None = None, **options: Any) -> None:
        super().__init__(str(model or ""), **options)

    async def _engine_options(self, model: str) -> EngineOptions:
        return _Options(model, **self._engine_settings)

    def _serve(self, request: ModelRequest, plan: Plan, settings: dict[str, Any]) -> Serve:
        def serve(loaded: _Loaded, turn: Turn) -> None:
            try:
                prompt = as_prompt(loaded.tokenizer, plan.turns, return_dict=False)
            except ValueError as error:
                raise self._invalid(request, str(error)) from error
            room = loaded.window - len(prompt)
            if room < 1:
                raise self._too_long(request, len(prompt), loaded.window, "shorten it")
            limit = min(settings["max_tokens"], room)
            end = loaded.tokenizer.decode(prompt[-8:]).rstrip()
            spoken = Spoken(turn, settings.get("stop", ()), thinking=end.endswith("<think>"))
            generated, reason = 0, None
            with closing(_generate(loaded, prompt, limit, settings)) as tokens:
                for token in tokens:
                    spoken.feed(token.text)
                    generated, reason = token.generation_tokens, token.finish_reason
                    if turn.stopped:
                        return
                    if spoken.stopped:
                        break
            spoken.close()
            turn.tell(Usage(input_tokens=len(prompt), output_tokens=generated))
            ended = spoken.stopped or reason == "stop"
            turn.tell(Finish(finish_of(stopped=ended, generated=generated, limit=limit)))

        return serve


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    tokenizer: Any
    window: int


@dataclass(frozen=True)
class _Options(EngineOptions):
    model: str
    revision: str | None = None

    @property
    def name(self) -> str:
        return self.model

    def load(self) -> _Loaded:
        _, mlx_lm, _ = _import_runtime()
        source = check_model("mlx", self.model)
        try:
            model, tokenizer, config = mlx_lm.load(source, revision=self.revision, return_config=True)
        except Exception as error:
            raise could_not_load("mlx", self.model, error) from error
        config = config.get("text_config", config)
        window = next((value for key in LENGTHS if isinstance(value := config.get(key), int)), 1 << 30)
        return _Loaded(model, tokenizer, window)

    def freed(self) -> None:
        mx, _, _ = _import_runtime()
        mx.clear_cache()

    def thread_ends(self) -> None:
        """A thread that used MLX and ends without this brings the process down at its exit, one time in four:
        https://github.com/ml-explore/mlx/issues/4327."""
        mx = sys.modules.get("mlx.core")
        if mx is not None and hasattr(mx, "clear_streams"):
            mx.clear_streams()


def _generate(loaded: _Loaded, prompt: list[int], limit: int, settings: dict[str, Any]) -> Any:
    """What the model says, token by token; closing it stops the model."""
    mx, mlx_lm, sample_utils = _import_runtime()
    mx.random.seed(settings["seed"])
    sampler = sample_utils.make_sampler(
        temp=settings["temperature"],
        top_p=settings.get("top_p", 0.0),
        min_p=settings.get("min_p", 0.0),
        top_k=settings.get("top_k", 0),
    )
    back = settings.get("repeat_last_n", 64)
    processors = sample_utils.make_logits_processors(
        repetition_penalty=settings.get("repeat_penalty"),
        repetition_context_size=back,
        presence_penalty=settings.get("presence_penalty"),
        presence_context_size=back,
        frequency_penalty=settings.get("frequency_penalty"),
        frequency_context_size=back,
    )
    return mlx_lm.stream_generate(
        loaded.model, loaded.tokenizer, prompt, max_tokens=limit, sampler=sampler, logits_processors=processors
    )


def _import_runtime() -> tuple[Any, Any, Any]:
    try:
        import mlx.core as mx
        import mlx_lm
        from mlx_lm import sample_utils
    except ImportError as error:
        raise ConfigurationError(
            f"The provider 'mlx' needs mlx-lm ({error}): pip install 'llm-gateway-nb[mlx]'."
        ) from error
    return mx, mlx_lm, sample_utils
