"""The settings of models in this process, by the names users type; each provider names those that its runtime knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

__all__ = ["EVERY_CALL", "Check", "Settings", "is_whole"]

_ALIASES = {"max_output_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "stop_sequences": "stop"}

_DEFAULTS: dict[str, Any] = {"temperature": 0, "seed": 42, "max_tokens": 1024}
"""Tutorials repeat, and a small model that goes round in circles comes to an end."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_stop(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(one, str) for one in value))


def _is_choice(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Mapping) and _chosen_name(value) is not None)


def _chosen_name(value: Mapping[str, Any]) -> str | None:
    inner = value.get("function")
    name = (inner if isinstance(inner, Mapping) else value).get("name")
    return name if isinstance(name, str) else None


Check = tuple[str, Callable[[Any], bool]]
"""What a value is, in words, and whether one is that."""
_NUMBER: Check = ("a number", _is_number)
_WHOLE: Check = ("a whole number", is_whole)

_CHAT: dict[str, Check] = {
    "temperature": ("a number from 0 up", lambda value: _is_number(value) and value >= 0),
    "top_p": _NUMBER,
    "top_k": _WHOLE,
    "min_p": _NUMBER,
    "typical_p": _NUMBER,
    "seed": _WHOLE,
    "max_tokens": ("a whole number above 0", lambda value: is_whole(value) and value > 0),
    "stop": ("a text or a list of texts", _is_stop),
    "repeat_penalty": _NUMBER,
    "repeat_last_n": _WHOLE,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "cache_prompt": ("True or False", lambda value: isinstance(value, bool)),
    "tool_choice": ("'auto', 'none', 'required', or the name of a tool", _is_choice),
}


EVERY_CALL = frozenset(_CHAT)


@dataclass(frozen=True)
class Settings:
    """What one provider takes.

    Attributes:
        call: names of settings of a call, out of `EVERY_CALL`.
        engine: settings of the loaded model: for `create_llm`, not for a single call.
    """

    provider: str
    call: frozenset[str]
    engine: Mapping[str, Check]

    def of_call(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of one call, checked, over our defaults; None stands for unset.

        `tool_choice` comes out as a text: auto, none, required, or a tool's name.

        Raises:
            ValueError: one that is not known, or a value of the wrong kind; the message is a sentence for the user.
        """
        chosen = dict(_DEFAULTS)
        for name, value in settings.items():
            known = _ALIASES.get(name, name)
            if known not in self.call:
                raise ValueError(self._unknown(name))
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

    def parted(self, defaults: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What `create_llm` was given, parted into settings of the loaded model and settings of every call.

        Raises:
            ValueError: one that is not known, or a value of the wrong kind.
        """
        engine: dict[str, Any] = {}
        for name, (wanted, fits) in self.engine.items():
            value = defaults.get(name)
            if value is None:
                continue
            if not fits(value):
                raise ValueError(f"{name} is {wanted}; not {value!r}.")
            engine[name] = value
        chat = {name: value for name, value in defaults.items() if name not in self.engine}
        self.of_call(chat)
        return engine, chat

    def _unknown(self, name: str) -> str:
        if name in self.engine:
            return f"{name} belongs to the loaded model: give it to create_llm({self.provider!r}, {name}=…), not to a call."
        aliases = [alias for alias, stands_for in _ALIASES.items() if stands_for in self.call]
        known = sorted([*self.call, *aliases, *self.engine])
        close = get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return f"There is no setting {name!r}.{hint} Known are {', '.join(known)}."
