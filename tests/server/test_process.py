"""A server in a process of its own, under plain `uvicorn`, that is told to stop."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from support.gateway import HELLO
from support.processes import gone
from support.waiting import until

from llm_gateway_nb.server import RemoteHarness
from llm_gateway_nb.types import HarnessEndEvent, Permissions, ToolCallEvent

APP = """
from llm_gateway_nb import bash_tool, create_agent_harness
from llm_gateway_nb.permissions import PermissionPolicy
from llm_gateway_nb.server import create_app
from llm_gateway_nb.testing import ScriptedLLM, call

agent = create_agent_harness(ScriptedLLM([call("bash", command="echo $$ > PID; exec sleep 1000"), "x"]))
app = create_app(agent, tools=[bash_tool(timeout=1000)], policy=PermissionPolicy(), loopback=True)
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_runs_streams_shells_and_the_server(tmp_path: Path, sent: signal.Signals) -> None:
    pid_file = tmp_path / "pid"
    (tmp_path / "served.py").write_text(APP.replace("PID", str(pid_file)))
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "served:app", "--port", "0", "--no-access-log"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(100):
            assert server.stderr is not None
            url = None
            while url is None:
                line = (await server.stderr.readline()).decode()
                assert line, "the server did not start"
                url = re.search(r"http://127\.0\.0\.1:\d+", line)
            there = RemoteHarness(url[0])
            events = []
            async for event in there.invoke(messages=HELLO, permissions=Permissions()):
                events.append(event)
                if event.type == "relay":
                    event.respond({"approved": True})  # type: ignore[union-attr]
                if isinstance(event, ToolCallEvent):
                    await until(lambda: pid_file.exists() and pid_file.read_text().strip())
                    server.send_signal(sent)
            await server.wait()
        assert isinstance(events[-1], HarnessEndEvent)
        assert events[-1].reason == "cancelled"
        assert await gone(int(pid_file.read_text()))
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
