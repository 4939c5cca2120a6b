"""Models of the Hugging Face hub, run in this process by transformers (written against 5.24)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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

__all__ = ["HuggingFaceLLM"]


class HuggingFaceLLM(InProcessLLM):
    """A chat model in this process. Its weights come from a folder, or from the hub (and then from the hub's cache); code
    that comes with a model is never run.

    Temperature is 0 unless told otherwise, so the same prompt has the same answer on the same machine.

    Args:
        model: the folder of a model, or its name on the hub, such as `Qwen/Qwen3-0.6B`.
        options: as `InProcessLLM` takes them; of the loaded model there are `device`, `dtype` and `revision`.
    """

    provider = "huggingface"
    takes = Settings(
        provider="huggingface",
        call=frozenset(
            {"temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "max_tokens", "stop", "repeat_penalty"}
            | {"tool_choice"}
        ),
        engine={
            "device": ("a device of torch, such as 'cpu' or 'cuda:0'", lambda value: isinstance(value, str)),
            "dtype": ("the name of a type of torch, such as 'bfloat16'", lambda value: isinstance(value, str)),
            "revision": ("a branch, tag or commit on the hub", lambda value: isinstance(value, str)),
        },
    )

    def __init__(self, model: str | Path | None = None, **options: Any) -> None:
        super().__init__(str(model or ""), **options)

    async def _engine_options(self, model: str) -> EngineOptions:
        return _Options(model, **self._engine_settings)

    def _serve(self, request: ModelRequest, plan: Plan, settings: dict[str, Any]) -> Serve:
        def serve(loaded: _Loaded, turn: Turn) -> None:
            try:
                inputs = as_prompt(loaded.tokenizer, plan.turns, return_tensors="pt", return_dict=True)
            except ValueError as error:
                raise self._invalid(request, str(error)) from error
            asked = inputs["input_ids"].shape[1]
            room = loaded.window - asked
            if room < 1:
                raise self._too_long(request, asked, loaded.window, "shorten it")
            limit = min(settings["max_tokens"], room)
            end = loaded.tokenizer.decode(inputs["input_ids"][0, -8:]).rstrip()
            spoken = Spoken(turn, settings.get("stop", ()), thinking=end.endswith("<think>"))
            answer = _generate(loaded, inputs, spoken, turn, {**settings, "max_tokens": limit})
            if not turn.stopped:
                spoken.close()
                turn.tell(Usage(input_tokens=asked, output_tokens=answer))
                turn.tell(Finish(finish_of(stopped=spoken.stopped, generated=answer, limit=limit)))

        return serve


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    tokenizer: Any
    window: int


@dataclass(frozen=True)
class _Options(EngineOptions):
    model: str
    device: str | None = None
    dtype: str = "auto"
    revision: str | None = None

    @property
    def name(self) -> str:
        return self.model

    def load(self) -> _Loaded:
        torch, transformers = _import_runtime()
        source = check_model("huggingface", self.model)
        given = {"revision": self.revision} if self.revision else {}
        try:
            with _no_bars(transformers.utils.logging):
                tokenizer = transformers.AutoTokenizer.from_pretrained(source, **given)
                model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=self.dtype, **given)
            model = model.to(self.device or _best_device(torch)).eval()
        except Exception as error:
            raise could_not_load("huggingface", self.model, error) from error
        config = model.config.get_text_config()
        window = next((value for key in LENGTHS if isinstance(value := getattr(config, key, None), int)), 1 << 30)
        return _Loaded(model, tokenizer, window)

    def freed(self) -> None:
        torch, _ = _import_runtime()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextmanager
def _no_bars(logging: Any) -> Iterator[None]:
    """Loading shows a bar for a second, which would stay in the notebook; a download has a bar of the hub's own."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _generate(loaded: _Loaded, inputs: Any, spoken: Spoken, turn: Turn, settings: dict[str, Any]) -> int:
    """Let the model speak until it ends or is stopped; gives the number of tokens that it said."""
    torch, transformers = _import_runtime()
    model, tokenizer = loaded.model, loaded.tokenizer

    def enough(ids: Any, _scores: Any, **_: Any) -> Any:  # asked after each token
        return torch.full((ids.shape[0],), turn.stopped or spoken.stopped, dtype=torch.bool, device=ids.device)

    warm = settings["temperature"] > 0
    usual = model.generation_config
    sampling = {
        "temperature": settings["temperature"],
        "top_p": settings.get("top_p", 1.0),
        "top_k": settings.get("top_k", 0),
        "min_p": settings.get("min_p"),
        "typical_p": settings.get("typical_p", 1.0),
    }
    config = transformers.GenerationConfig(
        max_new_tokens=settings["max_tokens"],
        do_sample=warm,
        repetition_penalty=settings.get("repeat_penalty", 1.0),
        eos_token_id=usual.eos_token_id if usual.eos_token_id is not None else tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        bos_token_id=usual.bos_token_id,
        **(sampling if warm else {}),
    )
    with torch.inference_mode(), torch.random.fork_rng() if warm else nullcontext():
        if warm:
            torch.manual_seed(settings["seed"])
        said = model.generate(
            **inputs.to(model.device),
            generation_config=config,
            streamer=_streamer(transformers, tokenizer, spoken),
            stopping_criteria=transformers.StoppingCriteriaList([enough]),
        )
    return int(said.shape[1] - inputs["input_ids"].shape[1])


def _streamer(transformers: Any, tokenizer: Any, spoken: Spoken) -> Any:
    """Takes token ids and feeds text. The library's own, which holds back whatever might be formatting until the next
    blank, is for tokenizers that can't decode step by step."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return _Streamer(backend, spoken)
    streamer = transformers.TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    streamer.on_finalized_text = lambda text, **_: spoken.feed(text)
    return streamer


class _Streamer:
    def __init__(self, backend: Any, spoken: Spoken) -> None:
        from tokenizers.decoders import DecodeStream

        self._backend = backend
        self._spoken = spoken
        self._decode = DecodeStream(skip_special_tokens=True)
        self._prompt_is_next = True

    def put(self, ids: Any) -> None:
        if self._prompt_is_next:
            self._prompt_is_next = False
            return
        for token in ids.flatten().tolist():
            if text := self._decode.step(self._backend, token):
                self._spoken.feed(text)

    def end(self) -> None:
        """Half a character may be left, the rest of which will never come."""


def _best_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _import_runtime() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ConfigurationError(
            f"The provider 'huggingface' needs transformers and torch ({error}): "
            "pip install 'llm-gateway-nb[huggingface]'."
        ) from error
    return torch, transformers
