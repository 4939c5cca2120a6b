"""`from_pydantic_ai` with the real package and its own test models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from llm_gateway_nb.adapters import from_pydantic_ai, nested
from llm_gateway_nb.graph import fold
from llm_gateway_nb.notebook import start
from llm_gateway_nb.types import RelayEvent, ToolCallEvent, ToolResultEvent

from .common import collect, kinds, only

pydantic_ai = pytest.importorskip("pydantic_ai")

from pydantic_ai import Agent, Tool  # noqa: E402
from pydantic_ai.messages import ModelMessage  # noqa: E402
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel  # noqa: E402
from pydantic_ai.models.test import TestModel  # noqa: E402


def add(a: int, b: int) -> int:
    """Add."""
    print(f"adding {a} and {b}")
    return a + b


def scripted(*turns: Any) -> FunctionModel:
    """Each turn a text, or a list of calls (id, name, JSON)."""
    script = iter(turns)

    async def stream(_messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[Any]:
        turn = next(script)
        if isinstance(turn, str):
            for word in turn.split(" "):
                yield f"{word} "
        else:
            yield {
                n: DeltaToolCall(name=name, json_args=arguments, tool_call_id=call_id)
                for n, (call_id, name, arguments) in enumerate(turn)
            }

    return FunctionModel(stream_function=stream)


async def test_text_streams_and_tools_show_with_their_results_and_tokens() -> None:
    agent = Agent(scripted([("c1", "add", '{"a": 1, "b": 2}')], "It is three."), tools=[add])
    events = await collect(from_pydantic_ai(agent, "1 + 2?"))
    assert kinds(events) == ["harness_start", "tool_call", "tool_result", "harness_end"]
    (call,), (result,) = only(events, ToolCallEvent), only(events, ToolResultEvent)
    assert (call.name, call.input, result.output, result.status) == ("add", {"a": 1, "b": 2}, "3", "ok")
    assert call.id == result.id == f"{events[0].run_id}/c1"
    texts = [event.content for event in events if event.type == "text"]
    assert texts == ["It ", "is ", "three. "]
    assert events[-1].total_usage.output_tokens > 0
    assert events[-1].reason == "final"


async def test_a_tool_that_requires_approval_asks_and_what_the_person_edits_is_what_runs() -> None:
    agent = Agent(scripted([("c1", "add", '{"a": 1, "b": 2}')], "done"), tools=[Tool(add, requires_approval=True)])
    events = await collect(from_pydantic_ai(agent, "go"), {"approved": True, "input": {"a": 40, "b": 2}})
    assert kinds(events) == ["harness_start", "relay", "tool_call", "tool_result", "harness_end"]
    (call,), (result,) = only(events, ToolCallEvent), only(events, ToolResultEvent)
    assert (call.input, result.output) == ({"a": 40, "b": 2}, "42")


async def test_a_denial_reaches_the_model_and_the_other_calls_of_the_batch_run() -> None:
    calls = [("c1", "add", '{"a": 1, "b": 2}'), ("c2", "add", '{"a": 3, "b": 4}')]
    agent = Agent(scripted(calls, "done"), tools=[Tool(add, requires_approval=True)])
    events = await collect(
        from_pydantic_ai(agent, "go"),
        lambda relay: {"approved": relay.params["a"] == 3, "reason": "not that one"},
    )
    assert len(only(events, RelayEvent)) == 2
    results = {event.id.rpartition("/")[2]: (event.status, event.output) for event in only(events, ToolResultEvent)}
    assert results == {"c1": ("denied", "Denied: not that one"), "c2": ("ok", "7")}


async def test_rules_answer_for_the_person_and_always_adds_one() -> None:
    calls = [("c1", "add", '{"a": 1, "b": 2}'), ("c2", "add", '{"a": 1, "b": 2}')]
    for permissions in ({"allowlist": ["add"]}, {"deny": [{"tool": "add"}]}):
        agent = Agent(scripted(calls, "done"), tools=[Tool(add, requires_approval=True)])
        run = start(from_pydantic_ai(agent), "go", permissions=permissions, panel=False, approvals="deny")
        result = await run
        assert not only(result.events, RelayEvent)
        assert {event.status for event in only(result.events, ToolResultEvent)} == {
            "ok" if "allowlist" in permissions else "denied"
        }
    agent = Agent(scripted(calls[:1], calls[1:], "done"), tools=[Tool(add, requires_approval=True)])
    events = await collect(from_pydantic_ai(agent, "go"), {"approved": True, "always": True})
    assert len(only(events, RelayEvent)) == 1, "the second call is covered by the rule of the first"


async def test_a_run_has_its_panel_its_answer_and_goes_on_from_its_history() -> None:
    agent = Agent(scripted([("c1", "add", '{"a": 1, "b": 2}')], "It is three."), tools=[add])
    result = await start(from_pydantic_ai(agent, "1 + 2?"), panel=False)
    assert result.text.strip() == "It is three."
    assert result.reason == "final"
    assert [message.role for message in result.messages] == ["user", "assistant", "tool", "assistant"]
    seen: list[ModelMessage] = []

    async def remember(messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str]:
        seen.extend(messages)
        yield "ok"

    again = Agent(FunctionModel(stream_function=remember), tools=[add])
    await start(from_pydantic_ai(again), "And now?", messages=result.messages, panel=False)
    assert [message.kind for message in seen] == ["request", "response", "request", "response", "request"]


async def test_an_agent_in_a_tool_is_shown_inside_its_call() -> None:
    inner = Agent(scripted([("i1", "add", '{"a": 5, "b": 6}')], "eleven"), tools=[add])

    async def research(task: str) -> str:
        """Research."""
        return await nested(from_pydantic_ai(inner), task)

    outer = Agent(scripted([("c1", "research", '{"task": "5 + 6"}')], "so it is"), tools=[research])
    events = await collect(from_pydantic_ai(outer, "go"))
    starts = [event for event in events if event.type == "harness_start"]
    assert starts[1].parent_id == f"{starts[0].run_id}/c1"
    (tool,) = [node for node in fold(events).roots[0].children if node.kind == "tool"]
    (child,) = [node for node in tool.children if node.kind == "run"]
    assert "tool" in [node.kind for node in child.children]
    assert only(events, ToolResultEvent)[-1].output.strip() == "eleven"
    assert events[-1].total_usage.output_tokens == sum(event.output_tokens for event in events if event.type == "usage")


async def test_structured_output_is_the_answer_as_json() -> None:
    class City(BaseModel):
        name: str

    agent = Agent(TestModel(custom_output_args={"name": "Paris"}), output_type=City)
    events = await collect(from_pydantic_ai(agent, "which?"))
    assert "".join(event.content for event in events if event.type == "text") == '{"name": "Paris"}'


async def test_a_tool_that_raises_ends_the_run_as_pydantic_ai_does_and_says_so() -> None:
    def broken() -> str:
        """Break."""
        raise RuntimeError("broken pipe")

    agent = Agent(scripted([("c1", "broken", "{}")], "never"), tools=[broken])
    events = await collect(from_pydantic_ai(agent, "go"))
    assert kinds(events)[-2:] == ["error", "harness_end"]
    assert "broken pipe" in str(next(event.error for event in events if event.type == "error"))
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
    agent = Agent(scripted([("c1", "slow", "{}")], "never"), tools=[slow])
    run = start(from_pydantic_ai(agent, "go"), panel=False)
    async with asyncio.timeout(30):
        async for event in run:
            if isinstance(event, ToolCallEvent):
                break
        run.cancel()
        result = await run
    assert gone.is_set()
    assert result.reason == "cancelled"
    assert asyncio.all_tasks() == before
