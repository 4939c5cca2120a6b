"""Conversations: a model and the history of what was said to it."""

from llm_gateway_nb.sessions.session import BasicSession

__all__ = ["BasicSession"]
