"""The tool call that is being executed in this context, so that what it prints can be told from what anybody else does."""

from __future__ import annotations

from contextvars import ContextVar

from llm_gateway_nb.types import ToolContext

__all__ = ["current_tool"]

current_tool: ContextVar[ToolContext | None] = ContextVar("llm_gateway_nb_current_tool", default=None)
"""Set by a harness around `execute`; tasks and `asyncio.to_thread` inherit it."""
