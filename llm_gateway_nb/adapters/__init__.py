"""Agents of other frameworks as harnesses: their runs get the panel, the buttons, the recording, and nbval.

`await run(from_pydantic_ai(agent, "…"))`. Each adapter imports its framework when it is called, and says how to install it.
"""

from __future__ import annotations

from llm_gateway_nb.adapters.base import AdaptedHarness, nested
from llm_gateway_nb.adapters.claude_agent_sdk import from_claude_agent_sdk
from llm_gateway_nb.adapters.langgraph import from_langgraph
from llm_gateway_nb.adapters.openai_agents import from_openai_agents, openai_agents_on_stream
from llm_gateway_nb.adapters.pydantic_ai import from_pydantic_ai
from llm_gateway_nb.adapters.smolagents import from_smolagents

__all__ = [
    "AdaptedHarness",
    "from_claude_agent_sdk",
    "from_langgraph",
    "from_openai_agents",
    "from_pydantic_ai",
    "from_smolagents",
    "nested",
    "openai_agents_on_stream",
]
