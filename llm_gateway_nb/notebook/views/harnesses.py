"""Models and harnesses as cards: what wraps what. No settings but the plain ones: a key has no place in an output."""

from __future__ import annotations

from typing import Any

from llm_gateway_nb.harnesses.agent import AgentHarness
from llm_gateway_nb.harnesses.rlm import RlmHarness
from llm_gateway_nb.notebook.views.bits import Bit, badge, brief, card, line, note
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.providers.base import LLM

__all__ = ["harness_card"]


def harness_card(harness: Any) -> Bit:
    """An LLM, what is around one, or anything else with `invoke`."""
    if (wrapper := getattr(harness, "_wrapper", None)) is not None:
        name, said = wrapper
        return card(name, note("around"), harness_card(harness._inner), about=said or "a wrapper")
    match harness:
        case LLM():
            return card(harness.model, line(brief(harness)), about="model", badge=badge(harness.provider, "quiet"))
        case AgentHarness():
            limit = _at_most(harness._max_iterations)
            return card(
                "Agent", note("a loop of model calls and tools, around"), harness_card(harness._harness), about=limit
            )
        case RlmHarness(root=root, sub=sub, config=config):
            inside = [note("writes Python that reads the input; the model is"), harness_card(root)]
            if sub is not root:
                inside += [note("what the code asks for by llm_query goes to"), harness_card(sub)]
            about = f"{_at_most(config.max_iterations)}, REPL: {config.repl}, depth {config.max_depth}"
            return card("Recursive language model", *inside, about=about)
        case AgentOrchestrator():
            counts = f"{len(harness._agents)} agents, {len(harness._relays)} open questions"
            return card("Orchestrator", note("spawns and kills runs of"), harness_card(harness._harness), about=counts)
        case _:
            return card(type(harness).__name__.lstrip("_"), line(brief(harness)), about="harness")


def _at_most(turns: int) -> str:
    return f"at most {turns} iteration{'' if turns == 1 else 's'}"
