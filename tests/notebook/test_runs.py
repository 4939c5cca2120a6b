"""`run`, `start` and `run_sync` without a page: what they do, who decides, how they end."""

from __future__ import annotations

import ast
import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from llm_gateway_nb import agent_tool, create_agent_harness, doctor, run, run_sync, start, tool
from llm_gateway_nb.errors import ConfigurationError, InvalidMessagesError, ProviderAPIError
from llm_gateway_nb.graph import fold
from llm_gateway_nb.notebook.transcript import transcript
from llm_gateway_nb.permissions import matches_permissions
from llm_gateway_nb.testing import ScriptedLLM, Turn, call
from llm_gateway_nb.types import (
    HarnessEndEvent,
    HarnessEvent,
    RelayAnswerEvent,
    RelayEvent,
    TextEvent,
    ToolDefinition,
    ToolProgressEvent,
    ToolResultEvent,
    UserEvent,
)


@tool
def add(a: int, b: int) -> int:
    """Add."""
    print("adding")
    return a + b


def adding() -> Any:
    return create_agent_harness(ScriptedLLM([call("add", a=1, b=2), "It is 3."]))


async def test_a_run_gives_its_text_history_usage_and_reason() -> None:
    result = await run(adding(), "Add.", tools=[add], approvals="allow", system_prompt="Be brief.")
    assert (result.text, result.reason, result.error) == ("It is 3.", "final", None)
    assert [message.role for message in result.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert result.usage.output_tokens > 0
    assert isinstance(result.events[0], UserEvent)
    assert [event.seq for event in result.events] == list(range(len(result.events)))
    assert repr(result) == "RunResult('final', 'It is 3.')"


async def test_a_history_goes_on() -> None:
    first = await run(adding(), "Add.", tools=[add], approvals="allow")
    with ScriptedLLM(["Gladly."]) as llm:
        second = await run(llm, "And again?", messages=first.messages)
    assert [message.role for message in second.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
    ]


async def test_what_a_tool_prints_is_its_progress_and_not_the_cells(capsys: pytest.CaptureFixture[str]) -> None:
    result = await run(adding(), "Add.", tools=[add], approvals="allow")
    texts = [event.content["text"] for event in result.events if isinstance(event, ToolProgressEvent)]
    assert "".join(texts) == "adding\n"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("approvals", "status", "says"),
    [
        ("allow", "ok", "3"),
        ("deny", "denied", "approvals='deny'"),
        ("ask", "denied", '"tool": "add"'),
        (lambda relay: relay.params["a"] == 1, "ok", "3"),
        (lambda relay: {"approved": False, "reason": "no, thanks"}, "denied", "no, thanks"),
        (lambda relay: 1 / 0, "denied", "ZeroDivisionError"),
        (lambda relay: "yes", "denied", "not True, False or a response"),
    ],
)
async def test_who_decides(approvals: Any, status: str, says: str) -> None:
    result = await run(adding(), "Add.", tools=[add], approvals=approvals)
    answer = next(event for event in result.events if isinstance(event, ToolResultEvent))
    assert answer.status == status
    assert says in answer.output


async def test_the_rule_that_is_named_where_nobody_can_answer_allows_this_very_call_and_no_other() -> None:
    find = ToolDefinition(
        name="find",
        description="",
        schema_={"type": "object", "properties": {"what": {"type": "string"}}},
        execute=lambda given, ctx: asyncio.sleep(0, "found"),
        derive_permission=lambda _params: None,
    )
    asked = create_agent_harness(ScriptedLLM([call("find", what="a*b"), "Done."]))
    result = await run(asked, "Find.", tools=[find])
    denial = next(event for event in result.events if isinstance(event, ToolResultEvent))
    named = re.search(r"permissions=(\{'allowlist': \[.*?\]\})", denial.output)
    assert named is not None
    permissions = ast.literal_eval(named[1])
    assert matches_permissions({"name": "find", "arguments": {"what": "a*b"}}, permissions)
    assert not matches_permissions({"name": "find", "arguments": {"what": "a and b"}}, permissions)


async def test_an_answer_is_part_of_what_happened() -> None:
    result = await run(adding(), "Add.", tools=[add], approvals=lambda relay: {"approved": True, "always": True})
    kinds = [event.type for event in result.events if event.type in {"relay", "relay_answer", "tool_call"}]
    assert kinds == ["relay", "relay_answer", "tool_call"]
    answer = next(event for event in result.events if isinstance(event, RelayAnswerEvent))
    assert (answer.approved, answer.always, answer.by) == (True, True, "policy")
    assert transcript(fold(result.events)) == result.transcript()


async def test_an_async_function_may_decide() -> None:
    async def later(relay: RelayEvent) -> bool:
        await asyncio.sleep(0)
        return True

    assert (await run(adding(), "Add.", tools=[add], approvals=later)).text == "It is 3."


async def test_nobody_answering_in_time_counts_as_no() -> None:
    async def never(relay: RelayEvent) -> bool:
        await asyncio.get_running_loop().create_future()
        return True

    result = await run(adding(), "Add.", tools=[add], approvals=never, relay_timeout=0.02)
    answer = next(event for event in result.events if isinstance(event, ToolResultEvent))
    assert "Nobody answered within 0.02 seconds" in answer.output


async def never_answering(relay: RelayEvent) -> bool:
    await asyncio.get_running_loop().create_future()
    return True


async def test_start_returns_at_once_and_is_answered_by_hand() -> None:
    live = start(adding(), "Add.", tools=[add], approvals=never_answering)
    async for event in live:
        if isinstance(event, RelayEvent):
            assert [relay.id for relay in live.relays] == [event.id]
            assert live.respond(event.id, True) is True
            assert live.respond(event.id, True) is False
            assert live.relays == []
    assert live.done
    assert (await live).text == live.text == "It is 3."
    assert live.respond("unknown", True) is False


async def test_answers_and_cancels_come_from_any_thread() -> None:
    live = start(adding(), "Add.", tools=[add], approvals=never_answering)
    async for event in live:
        if isinstance(event, RelayEvent):
            assert await asyncio.to_thread(live.respond, event.id, True) is True
    assert (await live).text == "It is 3."
    waiting = start(adding(), "Add.", tools=[add], approvals=never_answering)
    async for event in waiting:
        if isinstance(event, RelayEvent):
            await asyncio.to_thread(waiting.cancel)
    assert (await waiting).reason == "cancelled"


async def test_late_readers_see_all_events_from_the_first() -> None:
    live = start(ScriptedLLM(["Hello there."]), "Hi.")
    await live
    seen = [event async for event in live]
    assert seen == live.events
    assert isinstance(seen[0], UserEvent)


@pytest.mark.parametrize("where", ["model", "relay", "tool"])
async def test_a_cancel_ends_everything_and_leaves_a_valid_history(where: str) -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> None:
        """Wait."""
        reached.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            gone.set()

    async def hold() -> None:
        reached.set()
        await asyncio.get_running_loop().create_future()

    async def deciding(relay: RelayEvent) -> bool:
        reached.set()
        return await never_answering(relay)

    turns = [Turn("one two", wait=hold)] if where == "model" else [["First.", call("wait")], "ok"]
    permissions = {"allowlist": ["wait"]} if where == "tool" else None
    before = asyncio.all_tasks()
    live = start(
        create_agent_harness(ScriptedLLM(turns)), "Go.", tools=[wait], approvals=deciding, permissions=permissions
    )
    await reached.wait()
    live.cancel()
    result = await live
    assert asyncio.all_tasks() == before
    assert result.reason == "cancelled"
    assert isinstance(result.events[-1], HarnessEndEvent)
    assert live.relays == []
    assert gone.is_set() == (where == "tool")
    with ScriptedLLM(["Welcome back."]) as llm:
        assert (await run(llm, "Go on.", messages=result.messages)).text == "Welcome back."


async def test_cancelling_the_awaiting_task_cancels_the_run_and_is_seen_as_a_cancel() -> None:
    reached = asyncio.Event()

    async def deciding(relay: RelayEvent) -> bool:
        reached.set()
        return await never_answering(relay)

    before = asyncio.all_tasks()
    task = asyncio.create_task(run(adding(), "Add.", tools=[add], approvals=deciding))
    await reached.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert asyncio.all_tasks() == before


async def test_a_run_that_is_cancelled_before_it_began_ends_and_says_so() -> None:
    live = start(ScriptedLLM([]), "Hello")
    live.cancel()
    assert (await live).reason == "cancelled"
    assert [event.type async for event in live] == ["harness_end"]


async def test_a_timeout_around_run_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await run(adding(), "Add.", tools=[add], approvals=never_answering)


async def test_a_failed_run_returns_with_its_error() -> None:
    result = await run(create_agent_harness(ScriptedLLM([ProviderAPIError("overloaded")])), "Go.")
    assert result.reason == "error"
    assert isinstance(result.error, ProviderAPIError)
    assert "overloaded" in result.transcript()


async def test_subagents_work_without_asking_for_an_orchestrator_and_nest_in_the_tree() -> None:
    turns = [call("agent", task="Count."), call("agent", task="Deeper."), "Three.", "They say three.", "It is three."]
    permissions = {"allowlist": ["agent"]}
    result = await run(create_agent_harness(ScriptedLLM(turns)), "Go.", tools=[agent_tool], permissions=permissions)
    assert result.text == "It is three."
    depth = {node.text(): sum(1 for _ in ancestors(node)) for node in result.tree.walk() if node.kind == "text"}
    assert depth == {"It is three.": 2, "They say three.": 4, "Three.": 6}
    assert len(result.messages) == 4, "what subagents said is their own history"


def ancestors(node: Any) -> Iterator[Any]:
    while (node := node.parent) is not None:
        yield node


async def test_a_failed_subagent_is_a_failed_call_and_not_a_failed_run() -> None:
    turns = [call("agent", task="x"), ProviderAPIError("overloaded"), "I go on without."]
    permissions = {"allowlist": ["agent"]}
    result = await run(create_agent_harness(ScriptedLLM(turns)), "Go.", tools=[agent_tool], permissions=permissions)
    assert (result.reason, result.error, result.text) == ("final", None, "I go on without.")
    assert next(event for event in result.events if isinstance(event, ToolResultEvent)).status == "error"


async def test_any_async_iterable_of_events_can_be_run() -> None:
    async def events() -> AsyncIterator[HarnessEvent]:
        yield TextEvent(run_id="r", id="t", content="From elsewhere.")

    result = await run(events())
    assert (result.text, result.reason) == ("From elsewhere.", "final")


async def test_a_source_that_raises_ends_as_an_error_and_hurts_nobody_else() -> None:
    async def events() -> AsyncIterator[HarnessEvent]:
        yield TextEvent(run_id="r", id="t", content="half")
        raise OSError("gone")

    broken, fine = await asyncio.gather(run(events()), run(ScriptedLLM(["ok"]), "Go."))
    assert (broken.reason, fine.reason) == ("error", "final")
    assert "gone" in str(broken.error)


async def test_run_sync_holds_inside_a_running_loop_while_other_tasks_go_on() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    result = run_sync(adding(), "Add.", tools=[add], approvals="allow")
    ticking.cancel()
    assert result.text == "It is 3."
    assert ticks > 0


def test_run_sync_works_in_a_script_and_in_a_thread() -> None:
    assert run_sync(adding(), "Add.", tools=[add], approvals="allow").text == "It is 3."
    texts: list[str] = []
    thread = threading.Thread(
        target=lambda: texts.append(run_sync(adding(), "Add.", tools=[add], approvals="allow").text)
    )
    thread.start()
    thread.join(60)
    assert texts == ["It is 3."]


def test_start_in_a_script_says_what_to_use() -> None:
    with pytest.raises(ConfigurationError, match="run_sync"):
        start(ScriptedLLM(["x"]), "Go.")


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"source": "gpt", "prompt": "x"}, ConfigurationError, "first argument is a harness"),
        ({"prompt": None}, ConfigurationError, "nothing to answer"),
        ({"prompt": 3}, ConfigurationError, "prompt is a text"),
        ({"messages": [{"role": "user"}]}, InvalidMessagesError, r"messages\[0\]"),
        ({"messages": {"role": "user", "content": "x"}}, InvalidMessagesError, "list of messages"),
        ({"prompt": "x", "tools": [print]}, ConfigurationError, "@tool"),
        ({"prompt": "x", "permissions": {"allowlist": [{"params": {}}]}}, ConfigurationError, "allowlist"),
        ({"prompt": "x", "approvals": "maybe"}, ConfigurationError, "approvals is 'ask'"),
    ],
)
async def test_what_is_wrong_is_said_in_one_sentence_before_anything_runs(
    arguments: Any, error: Any, says: str
) -> None:
    with ScriptedLLM([]) as llm:
        with pytest.raises(error, match=says):
            await run(**{"source": llm, **arguments})


def test_doctor_says_what_works_in_plain_python() -> None:
    found = doctor()
    assert not found.can_click
    assert found.place == "plain Python"
    assert "own loop" in found.run_sync
    assert "llm-gateway-nb" in found.versions


def test_importing_the_package_loads_neither_ipython_nor_widgets_nor_an_sdk() -> None:
    code = """
import sys, llm_gateway_nb
heavy = {"IPython", "ipywidgets", "anywidget", "openai", "anthropic", "xllamacpp", "pydantic"} & set(sys.modules)
assert not heavy, heavy
assert sorted(llm_gateway_nb.__all__) == llm_gateway_nb.__all__
for name in llm_gateway_nb.__all__: getattr(llm_gateway_nb, name)
assert not {"openai", "anthropic", "xllamacpp"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


CELLS = [
    """from llm_gateway_nb import *
from llm_gateway_nb.testing import ScriptedLLM, call
agent = lambda: create_agent_harness(ScriptedLLM([call("bash", command="echo hi"), "Said."]))""",
    'result = await run(agent(), "Say hi.", tools=[bash_tool])',
    'result = run_sync(agent(), "Say hi.", tools=[bash_tool], approvals="allow")',
    'live = start(agent(), "Say hi.", tools=[bash_tool], approvals="allow")',
    "(await live).text",
]


@pytest.mark.kernel
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
def test_executed_without_a_page_a_notebook_holds_every_run_and_no_widget(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    awaited, sync, started, last = (cell.outputs for cell in notebook.cells[1:])
    assert [dict(awaited[0].data), dict(sync[0].data)] == [{"text/plain": ""}] * 2
    assert "permissions={'allowlist'" in awaited[1].data["text/plain"], "nobody can answer, and it names the rule"
    assert "→ hi" in sync[1].data["text/plain"]
    assert "→ hi" in started[1].data["text/plain"], "filled in when it was awaited"
    assert last[0].data["text/plain"] == "'Said.'"
    assert "widgets" not in notebook.metadata
