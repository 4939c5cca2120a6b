"""Many runs at once: streams merged into one, agents that are spawned, asked, and stopped."""

from llm_gateway_nb.orchestrator.multiplexer import AgentMultiplexer
from llm_gateway_nb.orchestrator.orchestrator import AgentOrchestrator

__all__ = ["AgentMultiplexer", "AgentOrchestrator"]
