"""Rules as a run uses them up."""

from __future__ import annotations

from typing import Any

import pytest

from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import bash_tool
from llm_gateway_nb.types import RelayEvent, ToolCallEvent, ToolResultEvent

STATUS = call("bash", command="echo one")


async def run(*turns: Any, permissions: dict[str, Any], answer: bool = False) -> list[Any]:
    agent = create_agent_harness(ScriptedLLM(list(turns)))
    events = []
    messages = [{"role": "user", "content": "go"}]
    async for event in agent.invoke(messages=messages, tools=[bash_tool], permissions=permissions):
        events.append(event)
        if isinstance(event, RelayEvent):
            event.respond({"approved": answer})
    return events


@pytest.mark.parametrize(
    "turns", [([STATUS, STATUS], "done"), (STATUS, STATUS, "done")], ids=["one batch", "two turns"]
)
async def test_one_allow_once_rule_lets_one_of_two_calls_through(turns: tuple[Any, ...]) -> None:
    rules = {"allow_once": [{"tool": "bash", "params": {"command": "echo *"}}]}
    events = await run(*turns, permissions=rules)
    assert len([event for event in events if isinstance(event, RelayEvent)]) == 1
    assert sorted(event.status for event in events if isinstance(event, ToolResultEvent)) == ["denied", "ok"]


async def test_a_prefix_rule_lets_no_second_command_run_beside_the_first() -> None:
    rules = {"allowlist": [{"tool": "bash", "params": {"command": "echo *"}}]}
    events = await run(call("bash", command="echo one; echo two | tee evil"), "done", permissions=rules)
    (relay,) = [event for event in events if isinstance(event, RelayEvent)]
    assert relay.why == 'asked because: no rule covers bash(command="tee evil")'
    (told,) = [event for event in events if isinstance(event, ToolCallEvent)]
    assert told.input == {"command": "echo one; echo two | tee evil"}
