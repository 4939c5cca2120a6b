"""What a stop leaves behind, of real processes and real connections: nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.openai_server import chunk, held, serve

from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.providers import create_llm
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import agent_tool, bash_tool
from llm_gateway_nb.types import HarnessEndEvent, Permissions, TextEvent, ToolProgressEvent, UserMessage

GO = [UserMessage(content="go")]
ALL = Permissions(allowlist=["agent", "bash"])


def alive(marker: str) -> list[str]:
    """The processes whose command line holds the marker."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if marker in line:
            found.append(line)
    return found


@pytest.mark.parametrize("how", ["kill the root", "kill the subagent", "leave"])
async def test_no_process_of_a_subagents_shell_survives(how: str, tmp_path: Path) -> None:
    seconds = f"300.{abs(hash(str(tmp_path))) % 10**9}"
    command = f"echo begun; sleep {seconds} & sleep {seconds}"
    script = {"go": [call("agent", task="sleep"), "ok"], "sleep": [call("bash", command=command, timeout=200), "never"]}
    orchestrator = AgentOrchestrator(create_agent_harness(ScriptedLLM(script)))
    root = orchestrator.spawn(messages=GO, tools=[agent_tool, bash_tool], permissions=ALL)
    async with asyncio.timeout(20):
        events = orchestrator.events()
        async for agent_id, event in events:
            if isinstance(event, ToolProgressEvent) and alive(seconds):
                if how == "leave":
                    break
                orchestrator.kill(root if how == "kill the root" else agent_id)
        await events.aclose()
    assert not alive(seconds)


async def test_a_kill_in_the_middle_of_a_model_call_closes_its_connection() -> None:
    began, gone = asyncio.Event(), asyncio.Event()
    async with serve(held(began, gone, chunk({"content": "Half an answer"}))) as server:
        llm = create_llm("openai-compatible", "m", base_url=server.base_url, api_key="k", max_retries=0)
        async with llm:
            orchestrator = AgentOrchestrator(create_agent_harness(llm))
            root = orchestrator.spawn(messages=GO)
            reasons = []
            async with asyncio.timeout(30):
                async for _, event in orchestrator.events():
                    if isinstance(event, TextEvent):
                        orchestrator.kill(root)
                    elif isinstance(event, HarnessEndEvent):
                        reasons.append(event.reason)
                await gone.wait()
            assert reasons == ["cancelled"]
