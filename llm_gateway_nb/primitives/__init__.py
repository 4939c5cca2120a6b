"""Async primitives that know nothing of models: a promise, a queue, and a stream that is fed by hand."""

from llm_gateway_nb.primitives.async_queue import AsyncQueue
from llm_gateway_nb.primitives.deferred import Deferred, deferred
from llm_gateway_nb.primitives.passthrough import Passthrough, create_passthrough

__all__ = ["AsyncQueue", "Deferred", "Passthrough", "create_passthrough", "deferred"]
