"""Doubles, strategies and the nbval plugin: public on purpose, for the tests of those who build on this package.

Loaded when first used: pytest loads the plugin in every project of an environment, and should not pay for the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_gateway_nb.providers.scripted import ScriptedLLM, Turn, call, script

__all__ = ["ScriptedLLM", "Turn", "call", "script"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module("llm_gateway_nb.providers.scripted"), name)
    return value
