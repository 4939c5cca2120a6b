"""`agent_tool` hands its task on, word for word, and its answer back."""

from __future__ import annotations

from typing import Any

import pytest

from llm_gateway_nb.errors import ToolError, ToolInputError
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.tools import agent_tool, validate_input
from llm_gateway_nb.types import Permissions, ToolCall, ToolContext


async def agent(task: str, tool: Any = agent_tool, **context: Any) -> Any:
    return await tool.execute(validate_input(tool, {"task": task}), ToolContext(**context))


async def test_the_subagent_reads_the_task_word_for_word_and_its_answer_is_the_result() -> None:
    tasks: list[str] = []

    async def spawn(task: str) -> str:
        tasks.append(task)
        return "42"

    result = await agent("  count\n\tthe *stars*  ", spawn=spawn)
    assert tasks == ["  count\n\tthe *stars*  "]
    assert (result.context, result.result) == ("42", "42")


async def test_without_anybody_who_spawns_it_says_where_subagents_work() -> None:
    with pytest.raises(ToolError, match="subagents work where a run is started by `run` or `start`"):
        await agent("anything")


async def test_an_empty_answer_does_not_read_as_a_success() -> None:
    async def spawn(task: str) -> str:
        return ""

    assert (await agent("think", spawn=spawn)).context == "[the subagent ended without an answer]"


async def test_a_subagent_that_fails_is_a_call_that_fails() -> None:
    async def spawn(task: str) -> str:
        raise RuntimeError("out of money")

    with pytest.raises(RuntimeError, match="out of money"):
        await agent("think", spawn=spawn)


@pytest.mark.parametrize("arguments", [{}, {"task": ""}, {"task": 3}, {"task": "x", "model": "y"}])
def test_arguments_that_make_no_task_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolInputError, match="'agent' do not fit"):
        validate_input(agent_tool, arguments)


@pytest.mark.parametrize("tool", [agent_tool, agent_tool(name="researcher")(description="Finds things out.")])
def test_always_covers_any_task_of_this_tool_and_nothing_else(tool: Any) -> None:
    assert tool.derive_permission is not None
    grants = Grants(Permissions())
    call = ToolCall(id="1", name=tool.name, arguments={"task": "one"})
    decision = grants.decide(call, derive=tool.derive_permission)
    assert decision.outcome == "ask"
    assert decision.rule is not None
    grants.grant(decision.rule)
    other = ToolCall(id="2", name=tool.name, arguments={"task": "another"})
    assert grants.decide(other).outcome == "allow"
    assert grants.decide(ToolCall(id="3", name="bash", arguments={"command": "ls"})).outcome == "ask"


def test_options_give_a_copy() -> None:
    named = agent_tool(name="researcher", timeout_seconds=5)
    assert (named.name, named.timeout_seconds, agent_tool.name) == ("researcher", 5, "agent")
    with pytest.raises(TypeError, match="colour"):
        agent_tool(colour="red")
