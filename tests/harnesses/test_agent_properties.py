"""Whatever the order in which tools, questions and cancels come: nothing is lost, doubled or left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway_nb.graph import fold, project_messages
from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import agent_tool, tool
from llm_gateway_nb.types import (
    AssistantMessage,
    HarnessEvent,
    Permissions,
    RelayEvent,
    ToolCallEvent,
    ToolContext,
    ToolMessage,
    ToolProgressEvent,
    ToolResultEvent,
    UserMessage,
)

GO = [UserMessage(content="go")]

SAID = "said."


@tool
async def work(steps: int, fails: bool, ctx: ToolContext) -> str:
    """Work for some turns of the loop."""
    for step in range(steps):
        ctx.progress(step)
        await asyncio.sleep(0)
    if fails:
        raise OSError("no")
    return "done"


ask = work(name="ask")
calls = st.builds(
    lambda name, steps, fails: call(name, steps=steps, fails=fails),
    st.sampled_from(["work", "ask", "nobody"]),
    st.integers(0, 4),
    st.booleans(),
)
turns = st.lists(st.lists(calls, min_size=1, max_size=4).map(lambda some: ["Let me see. ", *some]), max_size=3)
answers = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=5)


def invoke(script: list[Any], answering: list[tuple[bool, int]]) -> Any:
    """An agent's events; each question is answered by a task of its own, some turns of the loop later."""
    agent = create_agent_harness(ScriptedLLM([*script, SAID]))
    events = agent.invoke(messages=GO, tools=[work, ask], permissions=Permissions(allowlist=["work"]))
    asked = 0

    async def stream() -> Any:
        nonlocal asked
        async with aclosing(events), asyncio.TaskGroup() as group:
            async for event in events:
                if isinstance(event, RelayEvent):
                    approved, later = answering[asked % len(answering)]
                    asked += 1
                    group.create_task(answer(event, approved, later))
                yield event

    async def answer(event: RelayEvent, approved: bool, later: int) -> None:
        for _ in range(later):
            await asyncio.sleep(0)
        event.respond({"approved": approved})

    return stream()


def check_whole(events: list[HarnessEvent], script: list[Any]) -> None:
    assert (events[0].type, events[-1].type) == ("harness_start", "harness_end")
    called = [event.id for event in events if isinstance(event, ToolCallEvent)]
    answered = [event.id for event in events if isinstance(event, ToolResultEvent)]
    wanted = sum(len(turn) - 1 for turn in script)
    assert len(called) == len(answered) == len(set(called)) == wanted
    assert set(called) == set(answered)
    place = {id(event): n for n, event in enumerate(events)}
    for result in (event for event in events if isinstance(event, ToolResultEvent)):
        mine = [e for e in events if isinstance(e, ToolProgressEvent) and e.tool_call_id == result.id]
        assert [e.content for e in mine] == list(range(len(mine))), "in order, none twice"
        assert all(place[id(e)] < place[id(result)] for e in mine)


def check_history(events: list[HarnessEvent]) -> None:
    open_calls: list[str] = []
    for message in project_messages(fold(events)):
        if isinstance(message, ToolMessage):
            assert open_calls.pop(0) == message.tool_call_id
        else:
            assert not open_calls, "every call has its result before the next turn"
            assert isinstance(message, AssistantMessage)
            open_calls = [each.id for each in message.tool_calls or ()]
    assert not open_calls


@settings(max_examples=60, deadline=None)
@given(turns, answers)
def test_every_call_has_one_result_after_its_progress_whatever_comes_first(
    script: list[Any], answering: list[tuple[bool, int]]
) -> None:
    async def main() -> list[HarnessEvent]:
        async with asyncio.timeout(30):
            return [event async for event in invoke(script, answering)]

    events = asyncio.run(main())
    check_whole(events, script)
    check_history(events)


@settings(max_examples=80, deadline=None)
@given(turns, answers, st.integers(0, 60))
def test_a_cancel_at_any_point_leaves_no_task_and_a_valid_history(
    script: list[Any], answering: list[tuple[bool, int]], at: int
) -> None:
    events: list[HarnessEvent] = []

    async def read() -> None:
        async with aclosing(invoke(script, answering)) as stream:
            async for event in stream:
                events.append(event)

    async def main() -> None:
        before = asyncio.all_tasks()
        reading = asyncio.create_task(read())
        for _ in range(at):
            await asyncio.sleep(0)
        reading.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait([reading])
        assert asyncio.all_tasks() == before

    asyncio.run(main())
    check_history(events)


trees = st.recursive(st.just(()), lambda below: st.lists(below, min_size=1, max_size=3).map(tuple), max_leaves=8)


def scripted(tree: Any) -> list[Any]:
    """Turns for a whole tree of agents: an agent calls one subagent a turn, so that one script serves all in order."""
    turns: list[Any] = []
    for child in tree:
        turns += [call("agent", task="go"), *scripted(child)]
    return [*turns, SAID]


@settings(max_examples=60, deadline=None)
@given(st.lists(trees, min_size=1, max_size=3), st.none() | st.integers(0, 80), st.booleans())
def test_a_tree_of_agents_loses_nothing_and_ends_whole_however_it_is_stopped(
    forest: list[Any], at: int | None, kill: bool
) -> None:
    seen: list[tuple[str, HarnessEvent]] = []

    async def main() -> None:
        before = asyncio.all_tasks()
        orchestrators = [
            AgentOrchestrator(create_agent_harness(ScriptedLLM(scripted(tree))), max_depth=10) for tree in forest
        ]
        roots = [
            each.spawn(messages=GO, tools=[agent_tool], permissions=Permissions(allowlist=["agent"]))
            for each in orchestrators
        ]

        async def read(orchestrator: AgentOrchestrator) -> None:
            async with aclosing(orchestrator.events()) as events:
                async for item in events:
                    seen.append(item)

        reading = [asyncio.create_task(read(each)) for each in orchestrators]
        if at is not None:
            for _ in range(at):
                await asyncio.sleep(0)
            for task, orchestrator, root in zip(reading, orchestrators, roots, strict=True):
                if kill:
                    orchestrator.kill(root)
                else:
                    task.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait(reading)
        assert asyncio.all_tasks() == before

    asyncio.run(main())
    started = Counter(event.run_id for _, event in seen if event.type == "harness_start")
    ended = Counter(event.run_id for _, event in seen if event.type == "harness_end")
    assert set(started.values()) | set(ended.values()) <= {1}
    if at is None or kill:
        assert started == ended, "each run that a reader saw begin, it saw end"
    if at is None:
        assert len(started) == sum(scripted(tree).count(SAID) for tree in forest)
    last: dict[str, str] = {}
    for agent_id, event in seen:
        assert last.get(agent_id) != "harness_end", "nothing comes after the end"
        last[agent_id] = event.type
