"""Agents side by side: subagents, questions by id, limits over the tree, and a kill that reaches everything below."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.clock import jump
from support.waiting import settle

from llm_gateway_nb.errors import ConfigurationError, InvalidMessagesError, ProviderAPIError
from llm_gateway_nb.graph import fold, project_messages
from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.providers.base import LLM, Finish, ModelRequest, Piece, TextDelta, ToolCallPiece, Usage
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import agent_tool, tool
from llm_gateway_nb.types import (
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    Permissions,
    RelayEvent,
    SystemMessage,
    TextEvent,
    ToolResultEvent,
    UserMessage,
)

GO = [UserMessage(content="go")]
ALL = Permissions(allowlist=["agent", "add"])
Events = list[tuple[str, HarnessEvent]]


@tool
def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


class ByTask(LLM):
    """A model that answers by what it is asked: a script for each task, whichever agent comes first."""

    provider = "by-task"

    def __init__(self, scripts: dict[str, list[Any]], hold: dict[str, Callable[[], Any]] | None = None) -> None:
        super().__init__("by-task", max_retries=0)
        self.scripts, self.hold = scripts, hold or {}
        self.requests: list[ModelRequest] = []

    async def _pieces(self, request: ModelRequest) -> AsyncIterator[Piece]:  # type: ignore[override]
        self.requests.append(request)
        task = next(str(m.content) for m in request.messages if isinstance(m, UserMessage))
        if task in self.hold:
            await self.hold[task]()
        said = self.scripts[task][sum(m.role == "assistant" for m in request.messages)]
        for number, piece in enumerate(said if isinstance(said, list) else [said]):
            if isinstance(piece, ToolCallPiece):
                yield ToolCallPiece(piece.id or f"c{number}", piece.name, piece.arguments)
            elif isinstance(piece, BaseException):
                raise piece
            else:
                yield TextDelta(piece)
        yield Usage(10, 1)
        yield Finish("stop")


async def collect(orchestrator: AgentOrchestrator, on: Callable[[str, HarnessEvent], None] | None = None) -> Events:
    seen: Events = []
    async for agent_id, event in orchestrator.events():
        seen.append((agent_id, event))
        if on is not None:
            on(agent_id, event)
    return seen


def events_of(seen: Events, kind: type[Any]) -> list[Any]:
    return [event for _, event in seen if isinstance(event, kind)]


async def test_a_spawn_gives_an_id_that_its_events_carry() -> None:
    orchestrator = AgentOrchestrator(create_agent_harness(ScriptedLLM(["one", "two"])))
    first, second = orchestrator.spawn(messages=GO), orchestrator.spawn(messages=GO)
    assert {uuid.UUID(each).version for each in (first, second)} == {7}
    seen = await collect(orchestrator)
    assert {agent_id for agent_id, _ in seen} == {first, second}
    assert len(events_of(seen, HarnessEndEvent)) == 2
    assert orchestrator._agents == {}


def test_spawn_says_at_once_what_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match="takes a harness"):
        AgentOrchestrator("gpt")  # type: ignore[arg-type]
    with pytest.raises(InvalidMessagesError):
        AgentOrchestrator(ScriptedLLM([])).spawn(messages=[{"role": "user"}])


async def test_a_relay_is_answered_by_its_id_once() -> None:
    orchestrator = AgentOrchestrator(create_agent_harness(ScriptedLLM([call("add", a=1), "ok"])))
    orchestrator.spawn(messages=GO, tools=[add])
    answers = []

    def answer(_: str, event: HarnessEvent) -> None:
        if isinstance(event, RelayEvent):
            assert "respond" not in event.model_dump()
            answers.append(orchestrator.resolve_relay("unknown", {"approved": True}))
            answers.append(orchestrator.resolve_relay(event.id, {"approved": False, "reason": "not today"}))
            answers.append(orchestrator.resolve_relay(event.id, {"approved": True}))

    seen = await collect(orchestrator, answer)
    assert answers == [False, True, False]
    assert events_of(seen, ToolResultEvent)[0].status == "denied"
    assert "not today" in events_of(seen, ToolResultEvent)[0].output


async def test_an_open_question_holds_up_nobody_else() -> None:
    llm = ByTask({"ask": [call("add", a=1), "asked"], "talk": ["I talk."]})
    orchestrator = AgentOrchestrator(create_agent_harness(llm))
    orchestrator.spawn(messages=[UserMessage(content="ask")], tools=[add])
    talker = orchestrator.spawn(messages=[UserMessage(content="talk")])
    relays: list[str] = []

    def note(agent_id: str, event: HarnessEvent) -> None:
        if isinstance(event, RelayEvent):
            relays.append(event.id)
        if agent_id == talker and isinstance(event, HarnessEndEvent):
            assert orchestrator.resolve_relay(relays[0], {"approved": True})

    assert {event.content for event in events_of(await collect(orchestrator, note), TextEvent)} == {"asked", "I talk."}


async def test_always_is_granted_before_anything_goes_on_and_answers_what_it_covers_in_the_whole_tree() -> None:
    llm = ByTask(
        {
            "go": [[call("agent", task="x"), call("agent", task="y")], "done"],
            "x": [call("look", path="/a/x"), "x done"],
            "y": [[call("look", path="/a/y"), call("add", a=1)], "y done"],
        }
    )

    @tool
    def look(path: str) -> str:
        """Look."""
        return path

    orchestrator = AgentOrchestrator(create_agent_harness(llm))
    orchestrator.spawn(messages=GO, tools=[agent_tool, look, add], permissions=Permissions(allowlist=["agent"]))
    asked: dict[str, RelayEvent] = {}

    def answer(_: str, event: HarnessEvent) -> None:
        if isinstance(event, RelayEvent):
            asked[f"{event.tool} {event.params.get('path', '')}"] = event
            if len(asked) == 3:
                assert orchestrator.resolve_relay(asked["look /a/x"].id, {"approved": True, "always": True})
        if isinstance(event, ToolResultEvent) and event.output == "/a/y":
            assert not orchestrator.resolve_relay(asked["look /a/y"].id, {"approved": True}), "decided by the rule"
            assert orchestrator.resolve_relay(asked["add "].id, {"approved": True}), "not covered: still open"

    seen = await collect(orchestrator, answer)
    assert sorted(event.output for event in events_of(seen, ToolResultEvent)) == [
        "/a/x",
        "/a/y",
        "3",
        "x done",
        "y done",
    ]


async def test_a_subagent_reads_its_task_and_has_the_model_tools_rules_and_system_prompt_of_its_parent() -> None:
    llm = ByTask({"go": [call("agent", task="  the *task* "), "I read it."], "  the *task* ": [call("add", a=1), "3"]})
    orchestrator = AgentOrchestrator(create_agent_harness(llm, model="m"))
    root = orchestrator.spawn(
        messages=[SystemMessage(content="Be brief."), *GO], tools=[agent_tool, add], permissions=ALL
    )
    seen = await collect(orchestrator)
    asked = llm.requests[1]
    assert [message.content for message in asked.messages] == ["Be brief.", "  the *task* "]
    assert ([each.name for each in asked.tools], asked.model) == (["agent", "add"], "m")
    start, child = events_of(seen, HarnessStartEvent)
    assert child.parent_id == f"{start.run_id}/c0"
    assert child.depth == 1
    assert {agent_id for agent_id, _ in seen} > {root}
    assert events_of(seen, ToolResultEvent)[-1].output == "3", "its last text is the result"
    assert not events_of(seen, RelayEvent)


async def test_subagents_of_one_turn_run_at_the_same_time() -> None:
    both = asyncio.Barrier(2)
    llm = ByTask(
        {"go": [[call("agent", task="x"), call("agent", task="y")], "ok"], "x": ["X"], "y": ["Y"]},
        hold={"x": both.wait, "y": both.wait},
    )
    orchestrator = AgentOrchestrator(create_agent_harness(llm))
    orchestrator.spawn(messages=GO, tools=[agent_tool], permissions=ALL)
    seen = await collect(orchestrator)
    assert {event.output for event in events_of(seen, ToolResultEvent)} == {"X", "Y"}


async def test_nobody_is_heard_before_the_call_that_spawned_it() -> None:
    tasks = [call("agent", task="x") for _ in range(5)]
    orchestrator = AgentOrchestrator(create_agent_harness(ByTask({"go": [tasks, "ok"], "x": ["X"]})))
    orchestrator.spawn(messages=GO, tools=[agent_tool], permissions=ALL)
    seen = await collect(orchestrator)
    assert len(fold(event for _, event in seen).roots) == 1
    called = {event.id: n for n, (_, event) in enumerate(seen) if event.type == "tool_call"}
    starts = [(n, event.parent_id) for n, (_, event) in enumerate(seen) if event.type == "harness_start"][1:]
    assert all(called[parent] < n for n, parent in starts)


async def test_three_levels_end_and_every_text_hangs_under_the_call_that_spawned_it() -> None:
    llm = ByTask(
        {"go": [call("agent", task="b"), "A"], "b": [call("agent", task="c"), "B"], "c": ["C"]},
    )
    orchestrator = AgentOrchestrator(create_agent_harness(llm))
    orchestrator.spawn(messages=GO, tools=[agent_tool], permissions=ALL)
    tree = fold(event for _, event in await collect(orchestrator))
    assert [node.text() for node in tree.walk() if node.kind == "text"] == ["C", "B", "A"]
    assert len(tree.roots) == 1


async def test_usage_of_a_run_counts_its_subagents_once() -> None:
    llm = ByTask(
        {
            "go": [[call("agent", task="b"), call("agent", task="b")], "A"],
            "b": [call("agent", task="c"), "B"],
            "c": ["C"],
        }
    )
    orchestrator = AgentOrchestrator(create_agent_harness(llm))
    orchestrator.spawn(messages=GO, tools=[agent_tool], permissions=ALL)
    ends = events_of(await collect(orchestrator), HarnessEndEvent)
    assert [end.total_usage.input_tokens for end in ends] == [10, 10, 30, 30, 80]


@pytest.mark.parametrize(
    ("options", "says"),
    [({"max_depth": 1}, "at depth 2"), ({"max_children": 1}, "No more than 1 subagent may")],
)
async def test_one_too_deep_or_too_many_is_a_failed_result(options: dict[str, int], says: str) -> None:
    llm = ByTask({"go": [call("agent", task="b"), "A"], "b": [call("agent", task="c"), "B"]})
    orchestrator = AgentOrchestrator(create_agent_harness(llm), **options)
    orchestrator.spawn(messages=GO, tools=[agent_tool], permissions=ALL)
    inner, outer = events_of(await collect(orchestrator), ToolResultEvent)
    assert (inner.status, outer.status) == ("error", "ok")
    assert says in inner.output


async def test_a_subagent_whose_provider_failed_is_a_failed_result_with_what_it_had_said() -> None:
    llm = ByTask({"go": [call("agent", task="b"), "I see."], "b": [["Half an ", ProviderAPIError("overloaded")]]})
    orchestrator = AgentOrchestrator(create_agent_harness(llm))
    orchestrator.spawn(messages=GO, tools=[agent_tool], permissions=ALL)
    seen = await collect(orchestrator)
    result = events_of(seen, ToolResultEvent)[0]
    assert result.status == "error"
    assert "overloaded" in result.output
    assert "Half an" in result.output
    assert seen[-1][1].reason == "final", "the parent goes on"


async def test_a_killed_subagent_is_a_failed_result_of_its_parent() -> None:
    held = asyncio.Event()
    llm = ByTask({"go": [call("agent", task="b"), "I see."], "b": ["never"]}, hold={"b": held.wait})
    orchestrator = AgentOrchestrator(create_agent_harness(llm))
    root = orchestrator.spawn(messages=GO, tools=[agent_tool], permissions=ALL)

    def kill(agent_id: str, event: HarnessEvent) -> None:
        if isinstance(event, HarnessStartEvent) and agent_id != root:
            orchestrator.kill(agent_id)

    seen = await collect(orchestrator, kill)
    assert events_of(seen, ToolResultEvent)[0].status == "error"
    assert "was stopped" in events_of(seen, ToolResultEvent)[0].output
    assert [end.reason for end in events_of(seen, HarnessEndEvent)] == ["cancelled", "final"]


async def test_a_kill_reaches_children_tools_and_questions_and_says_so_of_every_run() -> None:
    before, gone = asyncio.all_tasks(), asyncio.Event()

    @tool
    async def wait() -> None:
        """Wait."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            gone.set()

    llm = ByTask(
        {
            "go": [[call("agent", task="b"), call("wait")], "A"],
            "b": [call("add", a=1), "B"],
            "bystander": ["still here"],
        }
    )
    orchestrator = AgentOrchestrator(create_agent_harness(llm))
    root = orchestrator.spawn(
        messages=GO, tools=[agent_tool, add, wait], permissions=Permissions(allowlist=["agent", "wait"])
    )
    relays: list[RelayEvent] = []

    def kill(_: str, event: HarnessEvent) -> None:
        if isinstance(event, RelayEvent):
            relays.append(event)
            orchestrator.kill(root)
            orchestrator.kill(root)
            orchestrator.kill("unknown")
            assert not orchestrator.resolve_relay(event.id, {"approved": True})
            orchestrator.spawn(messages=[UserMessage(content="bystander")])

    seen = await collect(orchestrator, kill)
    assert gone.is_set()
    assert not relays[0].respond({"approved": True}), "asked directly, too: nobody is there"
    reasons = [end.reason for end in events_of(seen, HarnessEndEvent)]
    assert sorted(reasons) == ["cancelled", "cancelled", "final"]
    assert {start.run_id for start in events_of(seen, HarnessStartEvent)} == {
        end.run_id for end in events_of(seen, HarnessEndEvent)
    }
    assert (
        project_messages(fold(event for _, event in seen))[1].content
        == "The call was interrupted before it had a result."
    )
    assert asyncio.all_tasks() == before


async def test_killed_before_it_began_it_says_nothing_and_the_stream_ends() -> None:
    orchestrator = AgentOrchestrator(create_agent_harness(ScriptedLLM(["x"])))
    orchestrator.kill(orchestrator.spawn(messages=GO))
    assert await collect(orchestrator) == []


async def test_a_harness_that_raises_hurts_only_its_own_agent() -> None:
    class Breaks:
        async def invoke(self, params: GeneratorInvokeParams) -> AsyncIterator[HarnessEvent]:
            yield HarnessStartEvent(run_id="r")
            if params.model == "bad":
                raise OSError("gone")
            yield HarnessEndEvent(run_id="r", reason="final")

        async def supported_models(self) -> list[str]:
            return []

    orchestrator = AgentOrchestrator(Breaks())
    bad = orchestrator.spawn(messages=GO, model="bad")
    good = orchestrator.spawn(messages=GO)
    seen = await collect(orchestrator)
    assert [event.type for agent_id, event in seen if agent_id == bad] == ["harness_start", "error", "harness_end"]
    assert [event.type for agent_id, event in seen if agent_id == good] == ["harness_start", "harness_end"]


@pytest.mark.parametrize("steps", [1, 3, 5, 8, 12])
async def test_a_reader_that_leaves_stops_everything_and_leaves_no_task(steps: int) -> None:
    before = asyncio.all_tasks()
    llm = ByTask(
        {
            "go": [[call("agent", task="b"), call("agent", task="b")], "A"],
            "b": [call("agent", task="c"), "B"],
            "c": ["C"],
        }
    )
    orchestrator = AgentOrchestrator(create_agent_harness(llm))
    orchestrator.spawn(messages=GO, tools=[agent_tool], permissions=ALL)
    events = orchestrator.events()
    for _ in range(steps):
        await anext(events)
    await events.aclose()
    assert asyncio.all_tasks() == before
    assert orchestrator._agents == {}


async def test_the_clock_of_a_tool_stands_still_while_its_subagent_runs() -> None:
    async def longer() -> None:
        jump(600)
        await settle()

    llm = ByTask({"go": [call("agent", task="b"), "A"], "b": ["B"]}, hold={"b": longer})
    orchestrator = AgentOrchestrator(create_agent_harness(llm, tool_timeout=60))
    orchestrator.spawn(messages=GO, tools=[agent_tool], permissions=ALL)
    assert events_of(await collect(orchestrator), ToolResultEvent)[0].output == "B"
