"""The agent loop, driven through `invoke` with scripted models."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from support.clock import jump
from support.waiting import settle

from llm_gateway_nb.errors import ConfigurationError, InvalidMessagesError, ProviderAPIError
from llm_gateway_nb.graph import fold, project_messages
from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.testing import ScriptedLLM, Turn, call
from llm_gateway_nb.tools import tool
from llm_gateway_nb.types import (
    AssistantMessage,
    GeneratorInvokeParams,
    HarnessEvent,
    ImageContentPart,
    InvokeEnv,
    Permissions,
    RelayEvent,
    TextEvent,
    ToolCallEvent,
    ToolContext,
    ToolDefinition,
    ToolExecutionResult,
    ToolMessage,
    ToolProgressEvent,
    ToolResultEvent,
    UserMessage,
)

GO = [UserMessage(content="go")]


@tool
def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


async def collect(llm: Any, answer: Any = None, *, max_iterations: int = 10, **params: Any) -> list[HarnessEvent]:
    """All events of one run; every relay is answered with `answer(relay)` at once."""
    agent = create_agent_harness(llm, max_iterations=max_iterations)
    events = []
    async for event in agent.invoke(**{"messages": GO, **params}):
        events.append(event)
        if isinstance(event, RelayEvent) and answer is not None:
            event.respond(answer(event) if callable(answer) else answer)
    return events


def kinds(events: list[HarnessEvent]) -> list[str]:
    return [event.type for event in events if event.type not in {"text", "usage"}]


def results(events: list[HarnessEvent]) -> list[ToolResultEvent]:
    return [event for event in events if isinstance(event, ToolResultEvent)]


YES = {"approved": True}


async def test_a_model_that_only_talks_is_asked_once() -> None:
    with ScriptedLLM(["Hello there."]) as llm:
        events = await collect(llm)
    assert kinds(events) == ["harness_start", "harness_end"]
    assert "".join(event.content for event in events if isinstance(event, TextEvent)) == "Hello there."
    assert events[0].run_id == events[-1].run_id
    assert (events[-1].reason, events[-1].iterations) == ("final", 1)


async def test_the_models_events_keep_their_run_and_hang_from_the_agents() -> None:
    events = await collect(ScriptedLLM(["Hi."]))
    text = next(event for event in events if isinstance(event, TextEvent))
    assert text.run_id != events[0].run_id
    assert text.parent_id == events[0].run_id


async def test_parent_ids_are_absent_for_a_root_and_there_for_a_child() -> None:
    alone = await collect(ScriptedLLM(["Hi."]))
    child = await collect(ScriptedLLM(["Hi."]), env=InvokeEnv(parent_id="P"))
    assert "parentId" not in alone[0].model_dump()
    assert [event.parent_id for event in (child[0], child[-1])] == ["P", "P"]


async def test_an_allowed_tool_runs_unasked_and_the_model_reads_its_result() -> None:
    with ScriptedLLM([call("add", a=1), "It is 3."]) as llm:
        events = await collect(llm, tools=[add], permissions=Permissions(allowlist=["add"]))
        assert kinds(events) == ["harness_start", "tool_call", "tool_result", "harness_end"]
        assert llm.requests[1].messages[1:] == [
            AssistantMessage(
                content=None, tool_calls=[{"id": "call_1_1", "name": "add", "arguments": {"a": 1, "b": 2}}]
            ),
            ToolMessage(tool_call_id="call_1_1", content="3"),
        ]
    called = next(event for event in events if isinstance(event, ToolCallEvent))
    assert called.id == f"{events[0].run_id}/call_1_1"
    assert called.input == {"a": 1, "b": 2}, "defaults are filled in"
    assert results(events)[0].id == called.id
    assert results(events)[0].result == 3


async def test_what_no_rule_allows_asks_and_nothing_runs_before_the_answer() -> None:
    agent = create_agent_harness(ScriptedLLM([call("add", a=1), "ok"]))
    seen = []
    async with aclosing(agent.invoke(messages=GO, tools=[add])) as events:
        async for event in events:
            seen.append(event)
            if isinstance(event, RelayEvent):
                assert event.tool == "add"
                assert event.params == {"a": 1, "b": 2}
                assert event.why
                assert "respond" not in event.model_dump()
                assert event.respond(YES) is True
                assert event.respond(YES) is False
    assert kinds(seen) == ["harness_start", "relay", "tool_call", "tool_result", "harness_end"]


async def test_a_denial_is_a_result_that_the_model_reads() -> None:
    with ScriptedLLM([call("add", a=1), "Then not."]) as llm:
        events = await collect(llm, {"approved": False, "reason": "not today"}, tools=[add])
        assert "not today" in str(llm.requests[1].messages[-1].content)
    assert kinds(events) == ["harness_start", "relay", "tool_call", "tool_result", "harness_end"]
    assert results(events)[0].status == "denied"


async def test_all_questions_of_a_turn_are_asked_at_once_and_answers_may_come_in_any_order() -> None:
    agent = create_agent_harness(ScriptedLLM([[call("add", a=1), call("add", a=2), call("add", a=3)], "ok"]))
    relays: list[RelayEvent] = []
    order = []
    async for event in agent.invoke(messages=GO, tools=[add]):
        if isinstance(event, RelayEvent):
            relays.append(event)
            if len(relays) == 3:
                relays[2].respond(YES)
        if isinstance(event, ToolResultEvent):
            order.append(event.output)
            if len(order) < 3:
                relays[2 - len(order)].respond(YES)
    assert order == ["5", "4", "3"], "each starts as soon as it may"


async def test_always_answers_the_other_questions_that_the_rule_covers() -> None:
    @tool
    def look(path: str) -> str:
        """Look."""
        return path

    with ScriptedLLM([[call("look", path="/a/x"), call("look", path="/a/y"), call("add", a=1)], "ok"]) as llm:
        asked: list[RelayEvent] = []

        def answer(relay: RelayEvent) -> dict[str, Any]:
            return {"approved": True, "always": True}

        agent = create_agent_harness(llm)
        events = []
        async for event in agent.invoke(messages=GO, tools=[look, add]):
            events.append(event)
            if isinstance(event, RelayEvent):
                asked.append(event)
                if len(asked) == 3:
                    asked[0].respond(answer(event))
            if isinstance(event, ToolResultEvent) and len(results(events)) == 2:
                assert asked[2].respond(YES), "a question that the rule does not cover stays open"
    assert [result.status for result in results(events)] == ["ok", "ok", "ok"]


async def test_arguments_that_the_person_edited_are_what_runs_and_what_history_shows() -> None:
    with ScriptedLLM([call("add", a=1), "ok"]) as llm:
        events = await collect(llm, {"approved": True, "input": {"a": 10}}, tools=[add])
        assert llm.requests[1].messages[1].tool_calls[0].arguments == {"a": 10, "b": 2}
    assert results(events)[0].output == "12"


async def test_edited_arguments_that_do_not_fit_are_an_error_result() -> None:
    events = await collect(ScriptedLLM([call("add", a=1), "ok"]), {"approved": True, "input": {"a": "x"}}, tools=[add])
    assert results(events)[0].status == "error"


async def test_a_deny_rule_wins_over_an_allow_rule_and_asks_nobody() -> None:
    permissions = Permissions(allowlist=["add"], deny=[{"tool": "add"}])
    events = await collect(ScriptedLLM([call("add", a=1), "ok"]), tools=[add], permissions=permissions)
    assert "relay" not in kinds(events)
    assert results(events)[0].status == "denied"


@pytest.mark.parametrize(
    ("piece", "says"),
    [
        (call("nope", x=1), "no tool 'nope'. Offered are: add"),
        (call("add", a="x"), "a: Input should be a valid integer"),
        (Turn(calls=(type(call("add"))(id="c", name="add", arguments='{"a": '),)), 'not a JSON object: {"a": '),
        (call("blank"), "no `execute`"),
    ],
    ids=["unknown tool", "wrong argument", "broken JSON", "no executor"],
)
async def test_a_call_that_can_not_run_is_an_error_result_and_asks_nobody(piece: Any, says: str) -> None:
    blank = ToolDefinition(name="blank", description="", schema_={"type": "object"})
    with ScriptedLLM([[piece, call("add", a=1)], "ok"]) as llm:
        tools = [add] if piece.__class__ is type(call("x")) and piece.name == "nope" else [add, blank]
        events = await collect(llm, tools=tools, permissions=Permissions(allowlist=["add"]))
    assert "relay" not in kinds(events)
    by_status = {result.status: result for result in results(events)}
    assert says in by_status["error"].output
    assert by_status["ok"].output == "3", "the good one beside it runs"


async def test_a_tool_that_raises_is_an_error_result_and_the_run_goes_on() -> None:
    @tool
    def broken() -> None:
        """Raise."""
        raise OSError("disk on fire")

    with ScriptedLLM([call("broken"), "I see."]) as llm:
        events = await collect(llm, YES, tools=[broken])
    assert results(events)[0].status == "error"
    assert "disk on fire" in results(events)[0].output
    assert events[-1].reason == "final"


@pytest.mark.parametrize("how", ["exit", "circle", "cancel", "result", "validator"])
async def test_no_tool_takes_the_run_with_it(how: str) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    class Input(BaseModel):
        a: int

        @field_validator("a")
        @classmethod
        def check(cls, a: int) -> int:
            if how == "validator":
                raise ZeroDivisionError("in a validator")
            return a

    async def execute(given: Input, ctx: ToolContext) -> Any:
        match how:
            case "exit":
                sys.exit(3)
            case "circle":
                circle: list[Any] = []
                circle.append(circle)
                return circle
            case "cancel":
                raise asyncio.CancelledError
            case _:
                return Odd()

    odd = ToolDefinition(name="odd", description="", schema_=Input, execute=execute)
    permissions = Permissions(allowlist=["odd", "add"])
    with ScriptedLLM([[call("odd", a=1), call("add", a=1)], "I see."]) as llm:
        events = await collect(llm, tools=[odd, add], permissions=permissions)
    expected = {"exit": "error", "circle": "ok", "cancel": "cancelled", "result": "ok", "validator": "error"}
    assert {result.name: result.status for result in results(events)} == {"odd": expected[how], "add": "ok"}
    assert events[-1].reason == "final"


async def test_time_in_which_a_tool_waits_for_somebody_else_does_not_count() -> None:
    @tool(timeout_seconds=60)
    async def asks(ctx: ToolContext) -> str:
        """Ask somebody."""
        with ctx.waiting(), ctx.waiting():
            jump(600)
            await settle()
        return "answered"

    events = await collect(ScriptedLLM([call("asks"), "ok"]), YES, tools=[asks])
    assert results(events)[0].output == "answered"


async def test_an_answer_to_a_run_that_is_gone_does_not_count() -> None:
    async with aclosing(
        create_agent_harness(ScriptedLLM([call("add", a=1)])).invoke(messages=GO, tools=[add])
    ) as events:
        async for event in events:
            if isinstance(event, RelayEvent):
                break
    assert event.respond(YES) is False


async def test_tools_of_one_turn_run_side_by_side_and_results_come_as_they_are_ready() -> None:
    both = asyncio.Barrier(2)
    first_done = asyncio.Event()

    @tool
    async def work(n: int) -> int:
        """Work."""
        await both.wait()
        if n == 1:
            await first_done.wait()
        return n

    with ScriptedLLM([[call("work", n=1), call("work", n=2)], "ok"]) as llm:
        agent = create_agent_harness(llm)
        order = []
        async with asyncio.timeout(30):
            async for event in agent.invoke(messages=GO, tools=[work], permissions=Permissions(allowlist=["work"])):
                if isinstance(event, ToolResultEvent):
                    order.append(event.output)
                    first_done.set()
        assert order == ["2", "1"]
        assert [message.content for message in llm.requests[1].messages[-2:]] == ["1", "2"], "history keeps call order"


async def test_progress_comes_before_its_result() -> None:
    @tool
    def steps(ctx: ToolContext) -> str:
        """From a thread."""
        ctx.progress("one")
        ctx.progress({"done": 0.5})
        return "done"

    events = await collect(ScriptedLLM([call("steps"), "ok"]), YES, tools=[steps])
    assert kinds(events) == [
        "harness_start",
        "relay",
        "tool_call",
        "tool_progress",
        "tool_progress",
        "tool_result",
        "harness_end",
    ]
    progress = [event for event in events if isinstance(event, ToolProgressEvent)]
    assert [event.content for event in progress] == ["one", {"done": 0.5}]
    assert {event.tool_call_id for event in progress} == {results(events)[0].id}


async def test_a_tool_over_its_time_is_an_error_and_its_clock_does_not_run_while_it_is_asked() -> None:
    @tool(timeout_seconds=0.05)
    async def slow() -> None:
        """Never end."""
        await asyncio.get_running_loop().create_future()

    events = await collect(ScriptedLLM([call("slow"), "ok"]), YES, tools=[slow])
    assert "longer than 0.05 seconds" in results(events)[0].output


async def test_a_question_that_nobody_answers_in_time_counts_as_denied() -> None:
    agent = create_agent_harness(ScriptedLLM([call("add", a=1), "ok"]), relay_timeout=0.02)
    events = [event async for event in agent.invoke(messages=GO, tools=[add])]
    assert results(events)[0].status == "denied"
    assert "Nobody answered" in results(events)[0].output


async def test_what_a_tool_returns_becomes_what_the_model_reads() -> None:
    image = ImageContentPart(media_type="image/png", data="AAAA")
    given: dict[str, Any] = {
        "text": "plain",
        "json": {"a": [1]},
        "none": None,
        "empty": {"context": ""},
        "both": ToolExecutionResult(context="short", result={"long": 1}),
        "image": ToolExecutionResult(context=[image]),
    }

    @tool
    def fetch(what: str) -> Any:
        """Fetch."""
        return given[what]

    with ScriptedLLM([[call("fetch", what=what) for what in given], "ok"]) as llm:
        await collect(llm, tools=[fetch], permissions=Permissions(allowlist=["fetch"]))
        read = [message.content for message in llm.requests[1].messages if isinstance(message, ToolMessage)]
    assert read == ["plain", '{"a": [1]}', "", "", "short", [image]]


async def test_at_the_limit_one_call_without_tools_makes_the_answer() -> None:
    turns = [call("add", a=1), call("add", a=2), "That is all."]
    with ScriptedLLM(turns) as llm:
        messages = list(GO)
        events = await collect(
            llm, max_iterations=2, messages=messages, tools=[add], permissions=Permissions(allowlist=["add"])
        )
        assert [bool(request.tools) for request in llm.requests] == [True, True, False]
    assert messages == GO, "the caller's list is never changed"
    assert (events[-1].reason, events[-1].iterations) == ("max_iterations", 3)


async def test_the_closing_call_is_told_why_it_has_no_tools_and_nobody_else_sees_that() -> None:
    with ScriptedLLM([call("add", a=1), "That is all."]) as llm:
        events = await collect(llm, max_iterations=1, tools=[add], permissions=Permissions(allowlist=["add"]))
        last = llm.requests[-1].messages[-1]
    assert last.role == "system"
    assert "maximum number of tool call iterations" in str(last.content)
    assert all(message.role != "system" for message in project_messages(fold(events)))


async def test_calls_in_the_closing_turn_are_not_run() -> None:
    with ScriptedLLM([call("add", a=1), call("add", a=2)]) as llm:
        events = await collect(llm, max_iterations=1, tools=[add], permissions=Permissions(allowlist=["add"]))
    assert len(results(events)) == 1
    assert events[-1].type == "harness_end"


async def test_a_provider_that_fails_is_an_error_and_then_the_end() -> None:
    events = await collect(ScriptedLLM([["Half an", ProviderAPIError("overloaded")]]))
    assert [event.type for event in events[-2:]] == ["error", "harness_end"]
    assert events[-1].reason == "error"


async def test_a_harness_that_raises_still_ends_its_run() -> None:
    class Raises:
        async def invoke(self, params: GeneratorInvokeParams) -> AsyncIterator[HarnessEvent]:
            yield TextEvent(run_id="r", id="t", content="x")
            raise ZeroDivisionError("oh")

        async def supported_models(self) -> list[str]:
            return []

    events = await collect(Raises())
    assert [event.type for event in events] == ["harness_start", "text", "error", "harness_end"]


async def test_ids_that_a_service_uses_again_in_the_next_turn_stay_apart() -> None:
    with ScriptedLLM([call("add", "same", a=1), call("add", "same", a=2), "ok"]) as llm:
        events = await collect(llm, tools=[add], permissions=Permissions(allowlist=["add"]))
    assert len({result.id for result in results(events)}) == 2
    assert [result.output for result in results(events)] == ["3", "4"]


async def test_usage_is_summed_over_the_turns() -> None:
    llm = ScriptedLLM([Turn(calls=(call("add", a=1),), usage=(10, 1)), Turn("ok", usage=(20, 2))])
    events = await collect(llm, tools=[add], permissions=Permissions(allowlist=["add"]))
    assert events[-1].total_usage.model_dump() == {"inputTokens": 30, "outputTokens": 3}


async def test_the_model_of_the_invoke_wins_over_the_agents() -> None:
    llm = ScriptedLLM(["a", "b"])
    agent = create_agent_harness(llm, model="mine")
    for model in (None, "theirs"):
        async for _ in agent.invoke(messages=GO, model=model):
            pass
    assert [request.model for request in llm.requests] == ["mine", "theirs"]


@pytest.mark.parametrize("when", ["model", "relay", "tool"])
async def test_closing_the_events_at_any_point_leaves_no_task(when: str) -> None:
    held, gone = asyncio.Event(), asyncio.Event()

    @tool
    async def wait(ctx: ToolContext) -> None:
        """Wait for ever."""
        ctx.progress("here")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            gone.set()

    async def hold() -> None:
        held.set()
        await asyncio.get_running_loop().create_future()

    turns = [Turn("one two", wait=hold)] if when == "model" else [call("wait"), "ok"]
    before = asyncio.all_tasks()
    agent = create_agent_harness(ScriptedLLM(turns))
    permissions = Permissions(allowlist=["wait"]) if when == "tool" else None
    events = agent.invoke(messages=GO, tools=[wait], permissions=permissions)
    stop_at = {"model": "text", "relay": "relay", "tool": "tool_progress"}[when]
    async for event in events:
        if event.type == stop_at:
            break
    await events.aclose()
    assert asyncio.all_tasks() == before
    if when == "tool":
        assert gone.is_set()


async def test_cancelling_the_reader_leaves_no_task() -> None:
    asked = asyncio.Event()

    async def read() -> None:
        async for event in create_agent_harness(ScriptedLLM([call("add", a=1)])).invoke(messages=GO, tools=[add]):
            if isinstance(event, RelayEvent):
                asked.set()

    before = asyncio.all_tasks()
    task = asyncio.create_task(read())
    await asked.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert asyncio.all_tasks() == before


async def test_the_history_of_a_run_is_valid_for_the_next() -> None:
    first = ScriptedLLM([["Look:", call("add", a=1), call("nope")], "3 it is."])
    events = await collect(first, {"approved": False}, tools=[add])
    history = [*GO, *project_messages(fold(events))]
    assert [message.role for message in history] == ["user", "assistant", "tool", "tool", "assistant"]
    assert [call.id for call in history[1].tool_calls] == [history[2].tool_call_id, history[3].tool_call_id]
    with ScriptedLLM(["And on."]) as second:
        await collect(second, messages=[*history, UserMessage(content="and?")])


def test_what_is_no_harness_and_what_are_no_messages_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match="takes a harness"):
        create_agent_harness("gpt")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="max_iterations"):
        create_agent_harness(ScriptedLLM([]), max_iterations=0)
    agent = create_agent_harness(ScriptedLLM([]))
    with pytest.raises(InvalidMessagesError, match=r"messages\[0\]"):
        agent.invoke(messages=[{"role": "usr", "content": "x"}])
    with pytest.raises(TypeError, match="prompt"):
        agent.invoke(prompt="x")
