"""Loops around models, and wrappers of harnesses: async generators of `HarnessEvent`."""

from llm_gateway_nb.harnesses.agent import AgentHarness, create_agent_harness
from llm_gateway_nb.harnesses.rate_limit import RateLimit, with_rate_limit
from llm_gateway_nb.harnesses.record import record
from llm_gateway_nb.harnesses.replay import Replay, replay
from llm_gateway_nb.harnesses.retry import with_retry

__all__ = [
    "AgentHarness",
    "RateLimit",
    "Replay",
    "create_agent_harness",
    "record",
    "replay",
    "with_rate_limit",
    "with_retry",
]
