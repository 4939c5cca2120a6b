"""Subagents on the workers of a real cluster on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from support.waiting import until

from llm_gateway_nb import agent_tool, create_agent_harness, run, tool
from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.permissions import Grants, PermissionPolicy
from llm_gateway_nb.server import DaskExecutor
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.types import (
    GeneratorInvokeParams,
    HarnessEvent,
    InvokeEnv,
    Permissions,
    RelayEvent,
    ToolResultEvent,
    UserMessage,
)

GO = [UserMessage(content="go")]


def mark(path: str, text: str) -> None:
    Path(path).write_text(text)


@tool
async def where() -> str:
    """Where this runs."""
    return str(os.getpid())


@tool
async def hold(path: str) -> str:
    """Run for ever, and leave a mark of the beginning and the end."""
    mark(path, str(os.getpid()))
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        mark(path + ".end", "ended")
    return ""


@tool
async def hold_once(path: str) -> str:
    """Hold the first time; go through the second."""
    if Path(path).exists():  # noqa: ASYNC240
        return "held"
    mark(path, str(os.getpid()))
    await asyncio.get_running_loop().create_future()
    return ""


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def orchestrator(client: Client, here: list[Any], there: list[Any], **options: Any) -> AgentOrchestrator:
    """The parent's script here, and a subagent's there, each with the scripts whole."""

    def make() -> Any:
        return create_agent_harness(ScriptedLLM(there))

    executor = DaskExecutor(client, make_harness=make)
    return AgentOrchestrator(create_agent_harness(ScriptedLLM(here)), executor=executor, **options)


async def events(agents: AgentOrchestrator, **params: Any) -> AsyncIterator[HarnessEvent]:
    agents.spawn(messages=GO, tools=[agent_tool, where, hold], **params)
    async for _, event in agents.events():
        yield event


ALL = Permissions(allowlist=["agent", "where", "hold"])


async def test_subagents_run_on_workers_and_one_tree_shows_them(client: Client) -> None:
    two = [call("agent", task="One."), call("agent", task="Two.")]
    agents = orchestrator(client, [two, "Both are back."], [call("where"), "Found it."])
    result = await run(events(agents, permissions=ALL), panel=False)
    outputs = [e.output for e in result.events if isinstance(e, ToolResultEvent)]
    pids = {output for output in outputs if output.isdecimal()}
    assert outputs.count("Found it.") == 2
    assert pids
    assert str(os.getpid()) not in pids
    assert result.text == "Both are back."
    assert [node.kind for node in result.tree.roots] == ["run"]
    assert len([node for node in result.tree.nodes if node.kind == "run"]) == 3


async def test_a_client_of_the_running_loop_does_as_well(client: Client) -> None:
    async with Client(client.scheduler.address, asynchronous=True, set_as_default=False) as here:
        agents = orchestrator(here, [call("agent", task="One."), "Back."], [call("where"), "Found it."])
        told = [event async for event in events(agents, permissions=ALL)]
    outputs = [event.output for event in told if isinstance(event, ToolResultEvent)]
    assert outputs[-1] == "Found it."
    assert outputs[0] != str(os.getpid())


async def test_a_subagents_subagent_runs_where_it_does_and_is_seen_here(client: Client) -> None:
    there = [call("agent", task="Deeper."), call("where"), "Deep.", "Middle."]
    agents = orchestrator(client, [call("agent", task="Down."), "Up again."], there)
    result = await run(events(agents, permissions=ALL), panel=False)
    outputs = [event.output for event in result.events if isinstance(event, ToolResultEvent)]
    assert outputs[1:] == ["Deep.", "Middle."]
    assert result.usage.output_tokens == sum(e.output_tokens for e in result.events if e.type == "usage")  # type: ignore[union-attr]


async def test_the_policy_holds_there_too(client: Client) -> None:
    agents = orchestrator(client, [call("agent", task="Ask."), "Done."], [call("where"), "No."])
    grants = Grants(ALL, policy=PermissionPolicy(deny=["where"]))
    told = [event async for event in events(agents, env=InvokeEnv(grants=grants))]
    result = next(event for event in told if isinstance(event, ToolResultEvent))
    assert (result.name, result.status, "policy" in result.output) == ("where", "denied", True)


async def test_a_question_from_a_worker_is_answered_here(client: Client) -> None:
    agents = orchestrator(client, [call("agent", task="Ask."), "Done."], [call("where"), "I was told no."])
    told = []
    async for event in events(agents, permissions=Permissions(allowlist=["agent"])):
        told.append(event)
        if isinstance(event, RelayEvent):
            assert agents.resolve_relay(event.id, {"approved": False, "reason": "not there"})
    results = [event for event in told if isinstance(event, ToolResultEvent)]
    assert [(event.name, event.status) for event in results] == [("where", "denied"), ("agent", "ok")]
    assert "not there" in results[0].output


async def test_a_kill_here_ends_what_runs_there(client: Client, tmp_path: Any) -> None:
    path = tmp_path / "mark"
    agents = orchestrator(client, [call("agent", task="Hold."), "x"], [call("hold", path=str(path)), "x"])
    root = agents.spawn(messages=GO, tools=[agent_tool, hold], permissions=ALL)
    reading = asyncio.create_task(_collect(agents))
    await until(lambda: path.exists() and path.read_text(), 60)
    assert int(path.read_text()) != os.getpid()
    agents.kill(root)
    ends = [event for event in await reading if event.type == "harness_end"]
    assert {event.reason for event in ends} == {"cancelled"}  # type: ignore[union-attr]
    await until(lambda: (tmp_path / "mark.end").exists())


async def _collect(agents: AgentOrchestrator) -> list[HarnessEvent]:
    return [event async for _, event in agents.events()]


async def test_a_lost_worker_is_a_failed_call_and_the_run_goes_on(
    client: Client, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_gateway_nb.server.dask._LOST_SECONDS", 1.0)
    path = tmp_path / "mark"
    agents = orchestrator(client, [call("agent", task="Hold."), "It was lost."], [call("hold", path=str(path)), "x"])
    agents.spawn(messages=GO, tools=[agent_tool, hold], permissions=ALL)
    reading = asyncio.create_task(_collect(agents))
    await until(lambda: path.exists() and path.read_text(), 60)
    os.kill(int(path.read_text()), signal.SIGKILL)
    told = await reading
    assert [event.error.__class__.__name__ for event in told if event.type == "error"] == ["ProviderConnectionError"]  # type: ignore[union-attr]
    result = next(event for event in told if isinstance(event, ToolResultEvent))
    assert (result.name, result.status) == ("agent", "error")
    assert told[-1].reason == "final"  # type: ignore[union-attr]


async def test_if_asked_the_agent_of_a_lost_worker_runs_once_more_elsewhere(
    client: Client, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_gateway_nb.server.dask._LOST_SECONDS", 1.0)
    path = tmp_path / "mark"
    there = [call("hold_once", path=str(path)), "It held."]
    executor = DaskExecutor(client, make_harness=lambda: create_agent_harness(ScriptedLLM(there)), retries=1)
    here = create_agent_harness(ScriptedLLM([call("agent", task="Hold."), "It worked."]))
    agents = AgentOrchestrator(here, executor=executor)
    agents.spawn(messages=GO, tools=[agent_tool, hold_once], permissions=Permissions(allowlist=["agent", "hold_once"]))
    reading = asyncio.create_task(_collect(agents))
    await until(lambda: path.exists() and path.read_text(), 60)
    os.kill(int(path.read_text()), signal.SIGKILL)
    told = await reading
    ends = [event.reason for event in told if event.type == "harness_end"]  # type: ignore[union-attr]
    assert ends == ["error", "final", "final"]
    result = [event for event in told if isinstance(event, ToolResultEvent)][-1]
    assert (result.name, result.status, result.output) == ("agent", "ok", "It held.")


async def test_a_batch_runs_on_workers(client: Client) -> None:
    executor = DaskExecutor(
        client,
        make_harness=lambda: create_agent_harness(ScriptedLLM([call("where"), "Found it."])),
        takes_roots=True,
    )
    agents = AgentOrchestrator(create_agent_harness(ScriptedLLM([])), executor=executor)
    spawned = {agents.spawn(messages=GO, tools=[where], permissions=ALL) for _ in range(8)}
    told = [(agent_id, event) async for agent_id, event in agents.events()]
    pids = [event.output for _, event in told if isinstance(event, ToolResultEvent)]
    assert len(pids) == 8
    assert str(os.getpid()) not in pids
    assert {agent_id for agent_id, _ in told} == spawned


async def test_what_can_not_be_sent_is_told_with_the_way_out(client: Client) -> None:
    class Connected:
        """A harness that holds something that no other process can have."""

        model = "m"

        def __init__(self) -> None:
            self.lock = threading.Lock()

    with pytest.raises(ConfigurationError, match="make_harness="):
        async for _ in DaskExecutor(client).invoke(Connected(), GeneratorInvokeParams(messages=GO)):  # type: ignore[arg-type]
            pass


async def test_a_harness_that_can_not_be_made_there_is_told(client: Client) -> None:
    def make() -> Any:
        raise ValueError("no key on this machine")

    agents = AgentOrchestrator(
        create_agent_harness(ScriptedLLM([call("agent", task="Go."), "x"])),
        executor=DaskExecutor(client, make_harness=make),
    )
    told = [event async for event in events(agents, permissions=ALL)]
    result = next(event for event in told if isinstance(event, ToolResultEvent))
    assert (result.status, "no key on this machine" in result.output) == ("error", True)


def test_an_executor_takes_a_client() -> None:
    with pytest.raises(ConfigurationError, match="takes a client"):
        DaskExecutor("tcp://127.0.0.1:8786")  # type: ignore[arg-type]
