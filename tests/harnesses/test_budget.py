"""Budgets over a tree of runs: who is asked, what stops, what does not count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from support.clock import jump
from support.waiting import settle

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.graph import fold, project_messages
from llm_gateway_nb.harnesses import create_agent_harness, with_budget
from llm_gateway_nb.notebook import run
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.testing import ScriptedLLM, Turn, call
from llm_gateway_nb.tools import agent_tool, tool
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    ErrorEvent,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    Permissions,
    RelayEvent,
    TextEvent,
    ToolResultEvent,
    UsageEvent,
    UserMessage,
)

GO = [UserMessage(content="go")]
ALL = Permissions(allowlist=["agent", "add", "wait"])
NO = {"approved": False, "reason": "enough"}


@tool
def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


@tool
async def wait() -> None:
    """Wait for ever."""
    jump(600)
    await asyncio.get_running_loop().create_future()


async def collect(harness: Any, answers: list[Any], **params: Any) -> list[HarnessEvent]:
    """All events of a tree of agents; the n-th question about a budget gets the n-th answer, permissions are given."""
    orchestrator = AgentOrchestrator(harness)
    orchestrator.spawn(**{"messages": GO, "permissions": ALL, "tools": [add, wait, agent_tool], **params})
    events = []
    async with aclosing(orchestrator.events()) as stream:
        async for _, event in stream:
            events.append(event)
            if isinstance(event, BudgetRelayEvent):
                assert orchestrator.resolve_relay(event.id, answers.pop(0))
            elif isinstance(event, RelayEvent):
                orchestrator.resolve_relay(event.id, {"approved": True})
    assert not answers, "each answer was asked for"
    return events


def of(events: list[HarnessEvent], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def priced(turns: list[Any]) -> ScriptedLLM:
    llm = ScriptedLLM(turns, model="gpt-4o-mini")
    llm.provider = "openai"
    return llm


def turn(piece: Any, tokens: int = 100) -> Turn:
    return Turn(calls=(piece,), usage=(tokens, 0)) if not isinstance(piece, str) else Turn(piece, usage=(tokens, 0))


async def test_at_the_limit_a_no_stops_before_the_tools_run_and_the_agent_sums_up() -> None:
    with ScriptedLLM([turn(call("add", a=1)), turn(call("add", a=2)), "As far as I got."]) as llm:
        events = await collect(with_budget(create_agent_harness(llm), tokens=150), [NO])
        assert llm.requests[-1].tools == []
        assert "200 of 150 tokens are used): enough" in str(llm.requests[-1].messages[-1].content)
    question = of(events, BudgetRelayEvent)[0]
    assert (question.unit, question.limit, question.used) == ("tokens", 150, 200)
    assert [result.status for result in of(events, ToolResultEvent)] == ["ok", "cancelled"]
    assert "budget is used up" in of(events, ToolResultEvent)[1].output
    assert of(events, TextEvent)[-1].content == "got."
    assert of(events, HarnessEndEvent)[-1].reason == "budget"
    assert len(project_messages(fold(events))) == 5, "a valid history, with both calls and their results"


async def test_a_yes_gives_as_much_again_or_what_it_names() -> None:
    script = [turn(call("add", a=n)) for n in range(5)]
    with ScriptedLLM([*script, turn("done")]) as llm:
        answers = [{"approved": True}, {"approved": True, "input": {"limit": 1000}}]
        events = await collect(with_budget(create_agent_harness(llm), tokens=150), answers)
    assert [question.limit for question in of(events, BudgetRelayEvent)] == [150, 300]
    assert of(events, HarnessEndEvent)[-1].reason == "final"


async def test_a_run_that_ends_within_its_budget_is_not_asked_even_if_its_last_word_passes_it() -> None:
    events = await collect(with_budget(create_agent_harness(ScriptedLLM([turn("done", 1000)])), tokens=10), [])
    assert of(events, HarnessEndEvent)[-1].reason == "final"


async def test_calls_are_counted_before_they_are_made() -> None:
    with ScriptedLLM([call("add", a=1), call("add", a=2), "That is all."]) as llm:
        events = await collect(with_budget(create_agent_harness(llm), calls=2), [NO])
    assert of(events, HarnessEndEvent)[-1].reason == "budget"


async def test_dollars_are_counted_by_known_prices() -> None:
    script = [Turn(calls=(call("add", a=1),), usage=(1_000_000, 0)), Turn("That is all.", usage=(0, 0))]
    events = await collect(with_budget(create_agent_harness(priced(script)), usd=0.01), [NO])
    assert of(events, BudgetRelayEvent)[0].unit == "usd"


async def test_without_a_known_price_a_budget_in_dollars_is_an_error_and_not_no_limit() -> None:
    events = await collect(with_budget(create_agent_harness(ScriptedLLM([call("add", a=1)])), usd=1), [])
    assert "no known price" in str(of(events, ErrorEvent)[0].error)
    assert of(events, HarnessEndEvent)[-1].reason == "error"


async def test_a_budget_counts_over_the_whole_tree_and_only_its_root_sums_up() -> None:
    script = [
        turn(call("agent", task="one")),
        turn(call("add", a=1)),
        turn(call("add", a=2)),  # the subagent, which reaches the limit
        turn("As far as we got."),
    ]
    with ScriptedLLM(script) as llm:
        events = await collect(with_budget(create_agent_harness(llm), tokens=300), [NO])
    assert [end.reason for end in of(events, HarnessEndEvent)] == ["budget", "budget"]
    assert [result.status for result in of(events, ToolResultEvent)] == ["ok", "cancelled", "error"]
    assert "budget is used up" in of(events, ToolResultEvent)[2].output


async def test_agents_that_come_to_the_limit_together_wait_for_one_answer() -> None:
    calls = tuple(call("agent", task="x") for _ in range(3))
    subagents = [turn(call("add", a=1)) for _ in range(3)] + [turn("done") for _ in range(3)]
    with ScriptedLLM([Turn(calls=calls, usage=(100, 0)), *subagents, turn("all done")]) as llm:
        answers = [{"approved": True, "input": {"limit": 10_000}}]
        events = await collect(with_budget(create_agent_harness(llm), tokens=150), answers)
    assert len(of(events, BudgetRelayEvent)) == 1
    assert {end.reason for end in of(events, HarnessEndEvent)} == {"final"}


async def test_when_the_time_is_up_running_tools_are_stopped() -> None:
    with ScriptedLLM([call("wait"), "That is all."]) as llm:
        events = await collect(with_budget(create_agent_harness(llm), seconds=60), [NO])
    assert of(events, BudgetRelayEvent)[0].unit == "seconds"
    assert of(events, ToolResultEvent)[0].status == "cancelled"
    assert of(events, HarnessEndEvent)[-1].reason == "budget"


async def test_time_in_which_a_person_is_asked_does_not_count() -> None:
    agent = with_budget(create_agent_harness(ScriptedLLM([call("add", a=1), "done"])), seconds=60)
    events = []
    async for event in agent.invoke(messages=GO, tools=[add]):
        events.append(event)
        if isinstance(event, RelayEvent):
            jump(600)
            await settle()
            event.respond({"approved": True})
    assert not of(events, BudgetRelayEvent)
    assert events[-1].reason == "final"


async def test_an_asker_that_is_killed_leaves_the_question_to_the_next_one() -> None:
    calls = tuple(call("agent", task="x") for _ in range(2))
    subagents = [turn(call("add", a=1)) for _ in range(2)]
    llm = ScriptedLLM([Turn(calls=calls, usage=(100, 0)), *subagents, turn("done"), turn("all done")])
    orchestrator = AgentOrchestrator(with_budget(create_agent_harness(llm), tokens=150))
    orchestrator.spawn(messages=GO, permissions=ALL, tools=[add, agent_tool])
    questions: list[BudgetRelayEvent] = []
    async with asyncio.timeout(30):
        async for agent_id, event in orchestrator.events():
            if isinstance(event, BudgetRelayEvent):
                questions.append(event)
                if len(questions) == 1:
                    orchestrator.kill(agent_id)
                else:
                    assert orchestrator.resolve_relay(event.id, {"approved": True, "input": {"limit": 10_000}})
    assert len({question.run_id for question in questions}) == 2
    assert questions[0].respond({"approved": True}) is False


async def test_a_budget_around_the_model_ends_the_run_with_its_reason() -> None:
    llm = with_budget(ScriptedLLM([call("add", a=1), call("add", a=2)]), calls=1)
    events = await collect(create_agent_harness(llm), [NO])
    assert of(events, HarnessEndEvent)[-1].reason == "budget"


async def test_a_harness_that_knows_no_budgets_is_cut_off() -> None:
    closed = asyncio.Event()

    class Loop:
        async def invoke(self, params: GeneratorInvokeParams) -> AsyncIterator[HarnessEvent]:
            try:
                yield HarnessStartEvent(run_id="r")
                while True:
                    yield UsageEvent(run_id="r", input_tokens=100, output_tokens=0)
            finally:
                closed.set()

        async def supported_models(self) -> list[str]:
            return []

    events = await collect(with_budget(Loop(), tokens=250), [{"approved": True}, NO])
    assert closed.is_set()
    assert len(of(events, UsageEvent)) == 5
    assert [event.reason for event in of(events, HarnessEndEvent)] == ["budget"]


async def test_run_takes_a_budget_and_where_nobody_can_answer_it_stops() -> None:
    llm = ScriptedLLM([turn(call("add", a=1)), "As far as I got."])
    permissions = {"allowlist": ["add"]}
    result = await run(create_agent_harness(llm), "Go.", tools=[add], permissions=permissions, budget={"tokens": 50})
    assert (result.reason, result.text) == ("budget", "As far as I got.")
    assert result.error is None


async def test_a_function_may_decide_on_more() -> None:
    llm = ScriptedLLM([turn(call("add", a=1)), "Done."])
    result = await run(
        create_agent_harness(llm),
        "Go.",
        tools=[add],
        permissions={"allowlist": ["add"]},
        budget={"tokens": 50},
        approvals=lambda relay: isinstance(relay, BudgetRelayEvent),
    )
    assert (result.reason, result.text) == ("final", "Done.")


@pytest.mark.parametrize("limits", [{}, {"tokens": 0}, {"seconds": -1}, {"calls": True}, {"usd": "1"}])
def test_a_budget_that_is_none_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="budget"):
        with_budget(ScriptedLLM([]), **limits)


@pytest.mark.parametrize("budget", [5, {"dollars": 1}])
async def test_run_says_what_a_budget_looks_like(budget: Any) -> None:
    with pytest.raises(ConfigurationError, match="budget is a dict of limits"):
        await run(ScriptedLLM(["x"]), "Go.", budget=budget)
