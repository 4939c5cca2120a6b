"""`from_langgraph` with the real packages and their own fake models."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm_gateway_nb.adapters import from_langgraph
from llm_gateway_nb.graph import fold
from llm_gateway_nb.notebook import start
from llm_gateway_nb.types import ReasoningEvent, RelayEvent, ToolCallEvent, ToolResultEvent

from .common import collect, kinds, only, said

pytest.importorskip("langgraph")
pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models.fake_chat_models import (
    FakeMessagesListChatModel,
    GenericFakeChatModel,
)
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


class Scripted(FakeMessagesListChatModel):
    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self


def model(*turns: Any) -> Scripted:
    """Each turn a text, or a list of calls (id, name, arguments)."""
    return Scripted(
        responses=[
            AIMessage(turn)
            if isinstance(turn, str)
            else AIMessage("", tool_calls=[{"id": key, "name": name, "args": args} for key, name, args in turn])
            for turn in turns
        ]
    )


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def asking(*turns: Any, **options: Any) -> Any:
    middleware = [HumanInTheLoopMiddleware(interrupt_on={"add": True}, **options)]
    return create_agent(model(*turns), [add], middleware=middleware, checkpointer=InMemorySaver())


CALL = ("c1", "add", {"a": 1, "b": 2})


async def test_text_streams_word_by_word() -> None:
    agent = create_agent(GenericFakeChatModel(messages=iter([AIMessage("Paris it is")])), [])
    events = await collect(from_langgraph(agent, "which?"))
    texts = [event for event in events if event.type == "text"]
    assert [event.content for event in texts] == ["Paris", " ", "it", " ", "is"]
    assert len({event.id for event in texts}) == 1
    assert kinds(events) == ["harness_start", "harness_end"]


async def test_tools_show_with_their_results() -> None:
    events = await collect(from_langgraph(create_agent(model([CALL], "three"), [add]), "1 + 2?"))
    assert kinds(events) == ["harness_start", "tool_call", "tool_result", "harness_end"]
    (call,), (result,) = only(events, ToolCallEvent), only(events, ToolResultEvent)
    assert (call.name, call.input, result.output, result.status) == ("add", {"a": 1, "b": 2}, "3", "ok")
    assert call.id == result.id == f"{events[0].run_id}/c1"
    assert said(events) == "three"


async def test_thinking_and_tokens_are_told() -> None:
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    message = AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "ok"}], usage_metadata=usage)
    events = await collect(from_langgraph(create_agent(Scripted(responses=[message]), []), "go"))
    assert [event.content for event in only(events, ReasoningEvent)] == ["hm"]
    assert (said(events), events[-1].total_usage.input_tokens) == ("ok", 7)


@pytest.mark.parametrize("options", [{}, {"interrupt_mode": "per_call"}])
async def test_an_interrupt_is_a_question_and_edited_arguments_run(options: dict[str, Any]) -> None:
    events = await collect(
        from_langgraph(asking([CALL], "done", **options), "go"), {"approved": True, "input": {"a": 40, "b": 2}}
    )
    assert [kind for kind in kinds(events) if kind != "tool_call"] == [
        *("harness_start", "relay", "tool_result", "harness_end")
    ]
    assert only(events, RelayEvent)[0].tool_call_id == f"{events[0].run_id}/c1"
    assert only(events, ToolCallEvent)[-1].input == {"a": 40, "b": 2}
    assert only(events, ToolResultEvent)[0].output.endswith("42")
    assert [node.status for node in fold(events).nodes if node.kind == "relay"] == ["approved"]


async def test_a_denial_reaches_the_model_and_the_other_call_of_the_batch_runs() -> None:
    agent = asking([CALL, ("c2", "add", {"a": 3, "b": 4})], "done")
    events = await collect(
        from_langgraph(agent, "go"), lambda relay: {"approved": relay.params["a"] == 3, "reason": "not that one"}
    )
    results = {event.id.rpartition("/")[2]: (event.status, event.output) for event in only(events, ToolResultEvent)}
    assert results == {"c1": ("denied", "Denied: not that one"), "c2": ("ok", "7")}
    assert said(events) == "done"


async def test_rules_answer_for_the_person() -> None:
    result = await start(from_langgraph(asking([CALL], "done"), "go"), permissions={"allowlist": ["add"]}, panel=False)
    assert not only(result.events, RelayEvent)
    assert (result.text, result.reason) == ("done", "final")


async def test_a_graph_inside_a_tool_is_shown_in_its_call() -> None:
    inner = create_agent(model([("i1", "add", {"a": 5, "b": 6})], "eleven"), [add])

    @tool
    async def research(task: str) -> str:
        """Research."""
        result = await inner.ainvoke({"messages": [("user", task)]})
        return str(result["messages"][-1].content)

    outer = create_agent(model([("c1", "research", {"task": "5 + 6"})], "so it is"), [research])
    events = await collect(from_langgraph(outer, "go"))
    starts = [event for event in events if event.type == "harness_start"]
    ends = [event for event in events if event.type == "harness_end"]
    assert starts[1].parent_id == f"{starts[0].run_id}/c1"
    assert [event.run_id for event in ends] == [starts[1].run_id, starts[0].run_id]
    (node,) = [node for node in fold(events).roots[0].children if node.kind == "tool"]
    (child,) = [child for child in node.children if child.kind == "run"]
    assert [inside.kind for inside in child.children] == ["tool", "text"]


async def test_a_plain_interrupt_of_a_graph_is_a_question_too() -> None:
    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"resumed with {interrupt('Really?')}")]}

    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=InMemorySaver())
    for answer, value in [
        ({"approved": True}, True),
        ({"approved": False}, False),
        ({"approved": True, "input": {"resume": "later"}}, "later"),
    ]:
        events = await collect(from_langgraph(graph, "go"), answer)
        assert only(events, RelayEvent)[0].params["value"] == "Really?"
        assert said(events) == f"resumed with {value}"


async def test_history_goes_in_unless_the_thread_remembers() -> None:
    seen: list[list[str]] = []

    def node(state: MessagesState) -> dict[str, Any]:
        seen.append([str(message.content) for message in state["messages"]])
        return {"messages": [AIMessage("ok")]}

    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=InMemorySaver())
    first = await start(from_langgraph(graph), "one", panel=False)
    await start(from_langgraph(graph), "two", messages=first.messages, panel=False)
    thread = from_langgraph(graph, config={"configurable": {"thread_id": "t"}})
    third = await start(thread, "three", panel=False)
    await start(thread, "four", messages=third.messages, panel=False)
    assert seen == [["one"], ["one", "ok", "two"], ["three"], ["three", "ok", "four"]]


async def test_a_node_that_raises_is_an_error_and_the_end() -> None:
    def node(state: MessagesState) -> dict[str, Any]:
        raise RuntimeError("broken node")

    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    events = await collect(from_langgraph(builder.compile(), "go"))
    assert kinds(events) == ["harness_start", "error", "harness_end"]
    assert events[-1].reason == "error"


async def test_a_stop_cancels_the_graph_and_leaves_no_task() -> None:
    gone = asyncio.Event()

    @tool
    async def slow() -> str:
        """Sleep."""
        try:
            await asyncio.sleep(60)
        finally:
            gone.set()
        return "late"

    before = asyncio.all_tasks()
    live = start(from_langgraph(create_agent(model([("c1", "slow", {})]), [slow]), "go"), panel=False)
    async with asyncio.timeout(30):
        async for event in live:
            if isinstance(event, ToolCallEvent):
                break
        live.cancel()
        result = await live
    assert gone.is_set()
    assert result.reason == "cancelled"
    assert asyncio.all_tasks() == before
