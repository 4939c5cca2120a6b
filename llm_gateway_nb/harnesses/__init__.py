"""Loops around models, and wrappers of harnesses: async generators of `HarnessEvent`."""

from llm_gateway_nb.harnesses.agent import AgentHarness, create_agent_harness
from llm_gateway_nb.harnesses.budget import with_budget
from llm_gateway_nb.harnesses.callback import as_callback_harness, as_generator_harness
from llm_gateway_nb.harnesses.compaction import with_compaction
from llm_gateway_nb.harnesses.otel import with_otel
from llm_gateway_nb.harnesses.rate_limit import RateLimit, with_rate_limit
from llm_gateway_nb.harnesses.record import record
from llm_gateway_nb.harnesses.registry import list_harnesses, load_harness, register_harness, unregister_harness
from llm_gateway_nb.harnesses.replay import Replay, replay
from llm_gateway_nb.harnesses.retry import with_retry
from llm_gateway_nb.harnesses.rlm import RlmHarness, create_rlm_harness
from llm_gateway_nb.harnesses.rlm_config import RlmConfig

__all__ = [
    "AgentHarness",
    "RateLimit",
    "Replay",
    "RlmConfig",
    "RlmHarness",
    "as_callback_harness",
    "as_generator_harness",
    "create_agent_harness",
    "create_rlm_harness",
    "list_harnesses",
    "load_harness",
    "record",
    "register_harness",
    "replay",
    "unregister_harness",
    "with_budget",
    "with_compaction",
    "with_otel",
    "with_rate_limit",
    "with_retry",
]
