"""Loops around models, and wrappers of harnesses: async generators of `HarnessEvent`."""

from llm_gateway_nb.harnesses.agent import AgentHarness, create_agent_harness

__all__ = ["AgentHarness", "create_agent_harness"]
