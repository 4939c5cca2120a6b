"""Doubles, strategies and the nbval plugin: public on purpose, for the tests of those who build on this package.

Loaded when first used: pytest loads the plugin in every project of an environment, and should not pay for the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_gateway_nb.providers.scripted import ScriptedLLM, Turn, call, script
    from llm_gateway_nb.testing.practice import PracticeRequest, PracticeServices, practice_services

__all__ = ["PracticeRequest", "PracticeServices", "ScriptedLLM", "Turn", "call", "practice_services", "script"]

_HOMES = {
    **dict.fromkeys(("ScriptedLLM", "Turn", "call", "script"), "llm_gateway_nb.providers.scripted"),
    **dict.fromkeys(("PracticeRequest", "PracticeServices", "practice_services"), "llm_gateway_nb.testing.practice"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
