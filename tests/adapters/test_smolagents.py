"""`from_smolagents` with the real package and a model written against its interface."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from support.waiting import settle

from llm_gateway_nb.adapters import from_smolagents
from llm_gateway_nb.graph import fold
from llm_gateway_nb.notebook import start
from llm_gateway_nb.types import RelayEvent, ReplInputEvent, ReplOutputEvent, ToolCallEvent, ToolResultEvent

from .common import collect, kinds, only, said

pytest.importorskip("smolagents")

from smolagents import CodeAgent, Model, ToolCallingAgent, tool
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
)
from smolagents.monitoring import TokenUsage

FINAL = "final_answer"


class Scripted(Model):
    """Each turn a text, or a list of calls (id, name, arguments)."""

    def __init__(self, *turns: Any) -> None:
        super().__init__(model_id="scripted")
        self.turns = list(turns)
        self.seen: list[str] = []

    def generate(self, messages: Any, **options: Any) -> ChatMessage:
        self.seen.append(str(messages))
        turn = self.turns.pop(0)
        calls = None
        if not isinstance(turn, str):
            calls = [
                ChatMessageToolCall(
                    id=key, type="function", function=ChatMessageToolCallFunction(name=name, arguments=arguments)
                )
                for key, name, arguments in turn
            ]
        return ChatMessage(
            role=MessageRole.ASSISTANT,
            content=turn if isinstance(turn, str) else None,
            tool_calls=calls,
            token_usage=TokenUsage(input_tokens=7, output_tokens=3),
        )


@tool
def add(a: int, b: int) -> int:
    """Add.

    Args:
        a: one
        b: other
    """
    return a + b


def calling(*turns: Any, **options: Any) -> ToolCallingAgent:
    return ToolCallingAgent(tools=[add], model=Scripted(*turns), verbosity_level=0, **options)


CALL = ("c1", "add", {"a": 1, "b": 2})
DONE = [("f", FINAL, {"answer": "three"})]


async def test_tools_show_with_their_results_and_the_answer_is_the_text() -> None:
    events = await collect(from_smolagents(calling([CALL], DONE), "1 + 2?"))
    assert kinds(events) == ["harness_start", "tool_call", "tool_result", "harness_end"]
    (call,), (result,) = only(events, ToolCallEvent), only(events, ToolResultEvent)
    assert (call.name, call.input, result.output, result.status) == ("add", {"a": 1, "b": 2}, "3", "ok")
    assert said(events) == "three"
    assert events[-1].total_usage.input_tokens == 14


async def test_named_tools_ask_and_edited_arguments_run() -> None:
    agent = calling([CALL], DONE)
    events = await collect(from_smolagents(agent, "go", asks=["add"]), {"approved": True, "input": {"a": 40, "b": 2}})
    assert kinds(events) == ["harness_start", "relay", "tool_call", "tool_result", "harness_end"]
    assert (only(events, ToolCallEvent)[0].input, only(events, ToolResultEvent)[0].output) == ({"a": 40, "b": 2}, "42")


async def test_a_denial_reaches_the_model_and_the_other_call_of_the_batch_runs() -> None:
    agent = calling([CALL, ("c2", "add", {"a": 3, "b": 4})], DONE)
    events = await collect(
        from_smolagents(agent, "go", asks=["add"]),
        lambda relay: {"approved": relay.params["a"] == 3, "reason": "not that one"},
    )
    results = {event.id.rpartition("/")[2]: (event.status, event.output) for event in only(events, ToolResultEvent)}
    assert results == {"c1": ("denied", "Denied: not that one"), "c2": ("ok", "7")}
    assert "not that one" in agent.model.seen[1]
    assert sorted(agent.tools) == ["add", "final_answer"]


async def test_rules_answer_for_the_person() -> None:
    harness = from_smolagents(calling([CALL], DONE), asks=["add"])
    result = await start(harness, "go", permissions={"allowlist": ["add"]}, panel=False)
    assert not only(result.events, RelayEvent)
    assert (result.text, result.reason) == ("three", "final")


CODE = "Thought: add.\n<code>\nprint(add(1, 2))\n</code>"
CODE_DONE = "Thought: done.\n<code>\nfinal_answer('three')\n</code>"


async def test_the_code_of_a_code_agent_is_shown_as_repl_turns() -> None:
    agent = CodeAgent(tools=[add], model=Scripted(CODE, CODE_DONE), verbosity_level=0)
    events = await collect(from_smolagents(agent, "1 + 2?"))
    assert [event.code for event in only(events, ReplInputEvent)] == ["print(add(1, 2))", "final_answer('three')"]
    first, last = only(events, ReplOutputEvent)
    assert ("3" in first.stdout, first.error, first.done, last.done) == (True, None, False, True)
    assert said(events) == "Thought: add.Thought: done.three"
    assert kinds(events) == ["harness_start", *["repl_input", "repl_output"] * 2, "harness_end"]
    assert [event.type for event in events[1:3]] == ["text", "repl_input"], "the thought stands in front of its code"


async def test_code_asks_where_it_is_named_and_a_denial_is_an_error_that_the_model_reads() -> None:
    agent = CodeAgent(tools=[add], model=Scripted(CODE, CODE_DONE), verbosity_level=0)
    answers = iter([{"approved": False, "reason": "not today"}, {"approved": True}])
    events = await collect(from_smolagents(agent, "go", asks=["python_interpreter"]), lambda relay: next(answers))
    assert [event.status for event in only(events, ToolResultEvent)] == ["denied", "ok"]
    assert "not today" in agent.model.seen[1]
    assert only(events, RelayEvent)[0].params == {"code": "print(add(1, 2))"}


async def test_a_managed_agent_is_shown_in_the_call_that_calls_it() -> None:
    inner = calling(
        [("i1", "add", {"a": 5, "b": 6})], [("f", FINAL, {"answer": "eleven"})], name="adder", description="Adds."
    )
    outer = ToolCallingAgent(
        tools=[],
        managed_agents=[inner],
        model=Scripted([("c1", "adder", {"task": "5 + 6"})], [("f", FINAL, {"answer": "so it is"})]),
        verbosity_level=0,
    )
    events = await collect(from_smolagents(outer, "go"))
    starts = [event for event in events if event.type == "harness_start"]
    assert [event.parent_id for event in starts] == [None, f"{starts[0].run_id}/c1"]
    (node,) = [node for node in fold(events).roots[0].children if node.kind == "tool"]
    (child,) = [child for child in node.children if child.kind == "run"]
    assert "tool" in [below.kind for below in child.children]
    assert child.status == "final"
    assert said(events).endswith("so it is")


async def test_a_model_that_fails_is_an_error_and_the_end() -> None:
    events = await collect(from_smolagents(calling(), "go"))
    assert kinds(events)[-2:] == ["error", "harness_end"]
    assert events[-1].reason == "error"


async def test_a_stop_ends_after_the_tool_at_hand_and_leaves_no_thread() -> None:
    started, go_on = threading.Event(), threading.Event()

    @tool
    def wait() -> str:
        """Wait."""
        started.set()
        go_on.wait(60)
        return "waited"

    agent = ToolCallingAgent(tools=[wait], model=Scripted([("c1", "wait", {})], DONE), verbosity_level=0)
    live = start(from_smolagents(agent, "go"), panel=False)
    async with asyncio.timeout(60):
        await asyncio.to_thread(started.wait, 60)
        live.cancel()
        await settle()  # it has reached the agent before the tool comes back
        go_on.set()
        result = await live
    assert result.reason == "cancelled"
    assert len(agent.model.seen) == 1, "the model was not asked again"


async def test_a_stop_while_a_question_is_open_runs_nothing() -> None:
    agent = calling([CALL], DONE)
    live = start(from_smolagents(agent, "go", asks=["add"]), panel=False, approvals=lambda relay: asyncio.sleep(600))
    async with asyncio.timeout(60):
        async for event in live:
            if isinstance(event, RelayEvent):
                break
        live.cancel()
        result = await live
    assert result.reason == "cancelled"
    assert not [event for event in only(result.events, ToolResultEvent) if event.status == "ok"]
