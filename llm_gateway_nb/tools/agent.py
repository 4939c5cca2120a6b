"""`agent_tool`: a subagent works on a task, and its answer is the result."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.types import ToolContext, ToolDefinition, ToolExecutionResult, ToolPermission

__all__ = ["agent_tool"]

_DESCRIPTION = "Give a task to a subagent that has the same tools and starts with no knowledge but the task."


class _Agent(BaseModel):
    model_config = ConfigDict(extra="forbid", title="Agent")

    task: str = Field(description="All that the subagent needs to know, word for word what it will read.", min_length=1)


def make_agent_tool(
    *, name: str = "agent", description: str = _DESCRIPTION, timeout_seconds: float | None = None
) -> ToolDefinition:
    """The tool with another name, description, or limit of time. The subagent may do what its parent may, never more."""

    async def execute(given: _Agent, ctx: ToolContext) -> ToolExecutionResult[str]:
        if ctx.spawn is None:
            raise ToolError(
                f"The tool {name!r} has nobody to give a task to: subagents work where a run is started by `run` or "
                "`start`, by an orchestrator, or with `InvokeEnv(spawn=...)`."
            )
        answer = await ctx.spawn(given.task)
        return ToolExecutionResult(context=answer or "[the subagent ended without an answer]", result=answer)

    def derive(_params: dict[str, Any]) -> ToolPermission:
        """Any task: no two are the same, and what a subagent does is asked for on its own."""
        return ToolPermission(tool=name)

    definition = ToolDefinition(
        name=name,
        description=description,
        schema_=_Agent,
        execute=execute,
        derive_permission=derive,
        timeout_seconds=timeout_seconds,
    )
    definition._configure = partial(
        make_agent_tool, name=name, description=description, timeout_seconds=timeout_seconds
    )
    return definition


agent_tool = make_agent_tool()
"""`agent(task)`: asks before it spawns. "Always" covers any task."""
