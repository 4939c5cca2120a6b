"""`from_openai_agents` with the real SDK and its own scripted model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from llm_gateway_nb.adapters import from_openai_agents, openai_agents_on_stream
from llm_gateway_nb.graph import fold
from llm_gateway_nb.notebook import start
from llm_gateway_nb.types import RelayEvent, ToolCallEvent, ToolResultEvent

from .common import collect, kinds, only, said

pytest.importorskip("agents")

from agents import Agent, RunHooks, Usage, function_tool, handoff, set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message, function_call


@pytest.fixture(autouse=True)
def _untraced() -> None:
    set_tracing_disabled(True)  # or it would send to the service


def model(*turns: Any) -> ScriptedModel:
    """Each turn a text, or a list of calls (id, name, arguments)."""
    return ScriptedModel(
        [
            [assistant_message(turn)]
            if isinstance(turn, str)
            else [function_call(name, arguments, call_id=key) for key, name, arguments in turn]
            for turn in turns
        ],
        default_usage=Usage(requests=1, input_tokens=7, output_tokens=3, total_tokens=10),
    )


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


free, guarded = function_tool(add), function_tool(add, needs_approval=True)
CALL = ("c1", "add", {"a": 1, "b": 2})


async def test_text_tools_and_tokens_are_told() -> None:
    events = await collect(from_openai_agents(Agent("a", model=model([CALL], "It is three."), tools=[free]), "1 + 2?"))
    assert kinds(events) == ["harness_start", "tool_call", "tool_result", "harness_end"]
    (call,), (result,) = only(events, ToolCallEvent), only(events, ToolResultEvent)
    assert (call.name, call.input, result.output, result.status) == ("add", {"a": 1, "b": 2}, "3", "ok")
    assert call.id == result.id == f"{events[0].run_id}/c1"
    assert said(events) == "It is three."
    assert events[-1].total_usage.input_tokens == 14


async def test_a_tool_that_needs_approval_asks_before_it_is_called() -> None:
    agent = Agent("a", model=model([CALL], "done"), tools=[guarded])
    events = await collect(from_openai_agents(agent, "go"), {"approved": True})
    assert kinds(events) == ["harness_start", "relay", "tool_call", "tool_result", "harness_end"]
    assert (only(events, RelayEvent)[0].params, only(events, ToolResultEvent)[0].output) == ({"a": 1, "b": 2}, "3")


async def test_a_denial_reaches_the_model_and_the_other_call_of_the_batch_runs() -> None:
    llm = model([CALL, ("c2", "add", {"a": 3, "b": 4})], "done")
    events = await collect(
        from_openai_agents(Agent("a", model=llm, tools=[guarded]), "go"),
        lambda relay: {"approved": relay.params["a"] == 3, "reason": "not that one"},
    )
    results = {event.id.rpartition("/")[2]: (event.status, event.output) for event in only(events, ToolResultEvent)}
    assert results == {"c1": ("denied", "Denied: not that one"), "c2": ("ok", "7")}
    assert "not that one" in str(llm.last_call.input if llm.last_call else None)


async def test_edited_arguments_are_denied_because_the_sdk_can_not_run_them() -> None:
    agent = Agent("a", model=model([CALL], "done"), tools=[guarded])
    events = await collect(from_openai_agents(agent, "go"), {"approved": True, "input": {"a": 5, "b": 5}})
    (result,) = only(events, ToolResultEvent)
    assert (result.status, "no other arguments" in result.output) == ("denied", True)


async def test_rules_answer_for_the_person() -> None:
    agent = Agent("a", model=model([CALL], "done"), tools=[guarded])
    result = await start(from_openai_agents(agent), "go", permissions={"allowlist": ["add"]}, panel=False)
    assert not only(result.events, RelayEvent)
    assert (result.text, result.reason) == ("done", "final")


async def test_an_agent_as_a_tool_is_shown_in_its_call_with_its_questions() -> None:
    inner = Agent("inner", model=model([("i1", "add", {"a": 5, "b": 6})], "eleven"), tools=[guarded])
    research = inner.as_tool("research", "Research.", on_stream=openai_agents_on_stream)
    outer = Agent("outer", model=model([("c1", "research", {"input": "5 + 6"})], "so it is"), tools=[research])
    events = await collect(from_openai_agents(outer, "go"), {"approved": True})
    starts = [event for event in events if event.type == "harness_start"]
    assert [event.parent_id for event in starts] == [None, f"{starts[0].run_id}/c1"]
    (tool,) = [node for node in fold(events).roots[0].children if node.kind == "tool"]
    (child,) = [node for node in tool.children if node.kind == "run"]
    assert [(node.kind, node.status) for node in child.children] == [("tool", "ok"), ("text", None)]
    assert [node.kind for node in child.children[0].children] == ["relay"]
    assert [event.output for event in only(events, ToolResultEvent)] == ["11", "eleven"]


async def test_a_handoff_is_shown() -> None:
    second = Agent("second", model=model("from the second"))
    name = handoff(second).tool_name
    first = Agent("first", model=model([("h1", name, {})]), handoffs=[second])
    events = await collect(from_openai_agents(first, "go"))
    assert [(event.type, event.name) for event in only(events, ToolCallEvent | ToolResultEvent)] == [
        ("tool_call", name),
        ("tool_result", name),
    ]
    assert said(events) == "from the second"


async def test_history_goes_in() -> None:
    first = await start(from_openai_agents(Agent("a", model=model([CALL], "three"), tools=[free])), "1+2?", panel=False)
    llm = model("ok")
    await start(from_openai_agents(Agent("a", model=llm)), "And now?", messages=first.messages, panel=False)
    assert llm.last_call is not None
    assert [item.get("role") or item.get("type") for item in llm.last_call.input] == [
        *("user", "function_call", "function_call_output", "assistant", "user")
    ]


async def test_structured_output_is_the_answer_as_json_and_own_hooks_still_run() -> None:
    class City(BaseModel):
        name: str

    seen: list[str] = []

    class Mine(RunHooks):  # type: ignore[misc]
        async def on_agent_start(self, context: Any, agent: Any) -> None:
            seen.append(agent.name)

    agent = Agent("a", model=model('{"name":"Paris"}'), output_type=City)
    events = await collect(from_openai_agents(agent, "which?", hooks=Mine()))
    assert said(events) == '{"name":"Paris"}'
    assert seen == ["a"]


async def test_a_model_that_fails_is_an_error_and_the_end() -> None:
    agent = Agent("a", model=ScriptedModel([RuntimeError("service down")]))
    events = await collect(from_openai_agents(agent, "go"))
    assert kinds(events) == ["harness_start", "error", "harness_end"]
    assert events[-1].reason == "error"


async def test_a_stop_cancels_the_agent_and_leaves_no_task() -> None:
    gone = asyncio.Event()

    async def slow() -> str:
        """Sleep."""
        try:
            await asyncio.sleep(60)
        finally:
            gone.set()
        return "late"

    before = asyncio.all_tasks()
    agent = Agent("a", model=model([("c1", "slow", {})]), tools=[function_tool(slow)])
    live = start(from_openai_agents(agent, "go"), panel=False)
    async with asyncio.timeout(30):
        async for event in live:
            if isinstance(event, ToolCallEvent):
                break
        live.cancel()
        result = await live
        await gone.wait()
    assert result.reason == "cancelled"
    assert asyncio.all_tasks() == before
