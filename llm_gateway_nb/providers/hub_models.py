"""Models in the layout of the Hugging Face hub: a folder, or a name on the hub; told alike by transformers and mlx-lm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError

__all__ = ["LENGTHS", "as_prompt", "check_model", "could_not_load", "finish_of"]

LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
"""How configurations call the number of tokens that a model can hold."""


def check_model(provider: str, name: str) -> str:
    """The name, or the folder's path as the libraries want it: they take a folder that is not there for a name on the hub.

    Raises:
        ConfigurationError: a path without a model in it.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ConfigurationError(f"{provider}: {name!r} holds no config.json, so it is no folder of a model.")
        return str(path)
    if name.startswith(("/", ".", "~")) or "\\" in name or name.count("/") > 1 or path.exists():
        raise ConfigurationError(
            f"{provider}: there is no folder {name!r}; give the folder of a model, or its name on the Hugging Face hub."
        )
    return name


def could_not_load(provider: str, name: str, error: Exception) -> ConfigurationError:
    """One sentence for whatever a library says when it finds no model."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ConfigurationError(
        f"{provider}: could not load {name!r}: {said[:300].rstrip('.')}. Is the name right, is the hub reachable (or the "
        "model in its cache), and is there memory for it?"
    )


def as_prompt(tokenizer: Any, turns: Sequence[dict[str, str]], **options: Any) -> Any:
    """The turns through the model's own chat template.

    Raises:
        ValueError: it has none, or its template does not take these turns; the message is a sentence.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError("the model has no chat template, so it is no chat model; look for one named Instruct or Chat.")
    try:
        return tokenizer.apply_chat_template(list(turns), add_generation_prompt=True, **options)
    except Exception as error:  # a template is a program, and says what it likes
        system = turns[0] if turns and turns[0]["role"] == "system" else None
        if system is None:
            raise ValueError(f"the model's chat template does not take this conversation: {error}.") from error
        first, *rest = turns[1:] or [{"role": "user", "content": ""}]  # some templates know no system message
        return as_prompt(
            tokenizer, [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest], **options
        )


def finish_of(*, stopped: bool, generated: int, limit: int) -> str:
    """Why an answer came to its end."""
    return "stop" if stopped or generated < limit else "length"
