"""Doubles, strategies and the nbval plugin: public on purpose, for the tests of those who build on this package."""

from llm_gateway_nb.providers.scripted import ScriptedLLM, Turn, call, script

__all__ = ["ScriptedLLM", "Turn", "call", "script"]
