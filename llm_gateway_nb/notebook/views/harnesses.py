"""Models and harnesses as cards: what wraps what. No settings but the plain ones: a key has no place in an output."""

from __future__ import annotations

from typing import Any

from llm_gateway_nb.harnesses.agent import AgentHarness
from llm_gateway_nb.notebook.views.bits import Bit, badge, brief, card, line, note
from llm_gateway_nb.providers.base import LLM

__all__ = ["harness_card"]


def harness_card(harness: Any) -> Bit:
    """An LLM, an agent around one, or anything else with `invoke`."""
    match harness:
        case LLM():
            return card(harness.model, line(brief(harness)), about="model", badge=badge(harness.provider, "quiet"))
        case AgentHarness():
            turns = harness._max_iterations
            limit = f"at most {turns} iteration{'' if turns == 1 else 's'}"
            return card(
                "Agent", note("a loop of model calls and tools, around"), harness_card(harness._harness), about=limit
            )
        case _:
            return card(type(harness).__name__, line(brief(harness)), about="harness")
