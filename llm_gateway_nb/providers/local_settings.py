"""The settings that the local model knows, by the names users type and the names llama.cpp reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

__all__ = ["ENGINE_SETTINGS", "chat_settings", "engine_settings"]

ENGINE_SETTINGS: dict[str, str] = {
    "n_ctx": "tokens of prompt and answer together (8192)",
    "n_threads": "threads to compute with (one less than the cores)",
    "n_gpu_layers": "layers on the GPU, where there is one (-1, all)",
}
"""Settings of the loaded model: for `create_llm`, not for a single call."""

_ALIASES = {"max_output_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "stop_sequences": "stop"}

_DEFAULTS: dict[str, Any] = {"temperature": 0, "seed": 42, "max_tokens": 1024}
"""Tutorials repeat, and a small model that goes round in circles comes to an end."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_stop(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(one, str) for one in value))


def _is_choice(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Mapping) and _chosen_name(value) is not None)


def _chosen_name(value: Mapping[str, Any]) -> str | None:
    inner = value.get("function")
    name = (inner if isinstance(inner, Mapping) else value).get("name")
    return name if isinstance(name, str) else None


_Check = tuple[str, Callable[[Any], bool]]
_NUMBER: _Check = ("a number", _is_number)
_WHOLE: _Check = ("a whole number", _is_whole)

_CHAT: dict[str, _Check] = {
    "temperature": ("a number from 0 up", lambda value: _is_number(value) and value >= 0),
    "top_p": _NUMBER,
    "top_k": _WHOLE,
    "min_p": _NUMBER,
    "typical_p": _NUMBER,
    "seed": _WHOLE,
    "max_tokens": ("a whole number above 0", lambda value: _is_whole(value) and value > 0),
    "stop": ("a text or a list of texts", _is_stop),
    "repeat_penalty": _NUMBER,
    "repeat_last_n": _WHOLE,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "cache_prompt": ("True or False", lambda value: isinstance(value, bool)),
    "tool_choice": ("'auto', 'none', 'required', or the name of a tool", _is_choice),
}


def chat_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one call, checked, under llama.cpp's names, over our defaults; None stands for unset.

    `tool_choice` comes out as a text: auto, none, required, or a tool's name.

    Raises:
        ValueError: one that is not known, or a value of the wrong kind; the message is a sentence for the user.
    """
    chosen = dict(_DEFAULTS)
    for name, value in settings.items():
        known = _ALIASES.get(name, name)
        if known not in _CHAT:
            raise ValueError(_unknown(name))
        if value is None:
            continue
        wanted, fits = _CHAT[known]
        if not fits(value):
            raise ValueError(f"{name} is {wanted}, not {value!r}.")
        if known == "stop":
            value = [value] if isinstance(value, str) else list(value)
        elif known == "tool_choice" and isinstance(value, Mapping):
            value = _chosen_name(value)
        chosen[known] = value
    return chosen


def engine_settings(defaults: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Any]]:
    """What `create_llm` was given, parted into settings of the loaded model and settings of every call.

    Raises:
        ValueError: one that is not known, or a value of the wrong kind.
    """
    engine: dict[str, int] = {}
    for name in ENGINE_SETTINGS:
        value = defaults.get(name)
        if value is None:
            continue
        if not _is_whole(value) or value < (-1 if name == "n_gpu_layers" else 1):
            raise ValueError(f"{name} is a whole number: {ENGINE_SETTINGS[name]}; not {value!r}.")
        engine[name] = value
    chat = {name: value for name, value in defaults.items() if name not in ENGINE_SETTINGS}
    chat_settings(chat)
    return engine, chat


def _unknown(name: str) -> str:
    if name in ENGINE_SETTINGS:
        return f"{name} belongs to the loaded model: give it to create_llm('local', {name}=…), not to a call."
    known = sorted([*_CHAT, *_ALIASES, *ENGINE_SETTINGS])
    close = get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"There is no setting {name!r}.{hint} Known are {', '.join(known)}."
