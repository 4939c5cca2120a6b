"""`mcp_tools` with real servers, as programs and over HTTP on loopback."""

from __future__ import annotations

import asyncio
import io
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.ports import free_port
from support.processes import below, gone
from support.waiting import until

from llm_gateway_nb.errors import ConfigurationError, ToolError
from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import mcp_tools, validate_input
from llm_gateway_nb.types import ImageContentPart, RelayEvent, ToolContext, ToolDefinition, ToolResultEvent

SERVER = str(Path(__file__).parents[1] / "support" / "mcp_server.py")
COMMAND = [sys.executable, SERVER]


async def use(tools: list[ToolDefinition], name: str, progress: Any = None, **arguments: Any) -> Any:
    tool = next(tool for tool in tools if tool.name == name)
    assert tool.execute is not None
    return await tool.execute(validate_input(tool, arguments), ToolContext(emit_progress=progress))


async def test_a_program_s_tools_are_ours_with_their_schemas_and_it_inherits_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with asyncio.timeout(60), mcp_tools(COMMAND, env={"MINE": "x"}) as tools:
        assert [tool.name for tool in tools] == ["add", "broken", "picture", "environment", "pid", "die", "slow"]
        assert (tools[0].description, tools[0].json_schema()["required"]) == ("Add two numbers.", ["a"])
        result = await use(tools, "add", a=1)
        assert (result.context, result.result) == ("3", {"result": 3})
        with pytest.raises(ToolError, match="out of order"):
            await use(tools, "broken")
        (image,) = (await use(tools, "picture")).context
        assert isinstance(image, ImageContentPart)
        assert image.media_type == "image/png"
        names = str((await use(tools, "environment")).context).split()
        assert "OPENAI_API_KEY" not in names
        assert "MINE" in names


async def test_opened_in_one_task_and_closed_in_another_as_cells_do_and_no_process_stays() -> None:
    before = asyncio.all_tasks()
    async with asyncio.timeout(60):
        server = mcp_tools(COMMAND)
        tools = await asyncio.create_task(server.open())
        pid = int((await use(tools, "pid")).context)
        assert "open, tools=7" in repr(server)
        await asyncio.create_task(server.aclose())
        await server.aclose()
        assert await gone(pid)
        with pytest.raises(ToolError, match="closed"):
            await use(tools, "add", a=1)
        assert asyncio.all_tasks() == before
        assert (await use(await server, "add", a=2)).context == "4", "and it can be opened again"
        await server.aclose()


async def test_a_server_that_never_answers_can_be_given_up() -> None:
    before, others = asyncio.all_tasks(), below()
    async with asyncio.timeout(60):
        server = mcp_tools([sys.executable, "-c", "import time; time.sleep(600)"])
        opening = asyncio.create_task(server.open())
        await until(lambda: below() - others)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        opening = asyncio.create_task(server.open())
        await until(lambda: below() - others)
        await server.aclose()
        with pytest.raises(ConfigurationError, match="closed while"):
            await opening
    await until(lambda: not below() - others)
    assert asyncio.all_tasks() == before


async def test_opened_twice_at_once_it_starts_once() -> None:
    others = below()
    async with asyncio.timeout(60):
        server = mcp_tools(COMMAND)
        first, second = await asyncio.gather(server.open(), server.open())
        assert first is second
        assert len(below() - others) == 1
        await server.aclose()
    await until(lambda: not below() - others)


async def test_two_tools_that_would_have_one_name_are_refused(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(
        "from mcp.server.mcpserver import MCPServer\n"
        "server = MCPServer('t')\n"
        "server.tool(name='a.b')(lambda: 'dot')\n"
        "server.tool(name='a_b')(lambda: 'line')\n"
        "server.run()\n"
    )
    async with asyncio.timeout(60):
        with pytest.raises(ConfigurationError, match=r"both be called 'a_b'.*only="):
            await mcp_tools([sys.executable, str(program)])
        async with mcp_tools([sys.executable, str(program)], only=["a.b"]) as tools:
            assert (await use(tools, "a_b")).context == "dot"


async def test_where_stderr_is_no_file_as_in_a_notebook_it_works_and_its_last_words_are_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    async with asyncio.timeout(60), mcp_tools(COMMAND, only=["die"]) as tools:
        assert [tool.name for tool in tools] == ["die"]
        with pytest.raises(ToolError, match="last words"):
            await use(tools, "die")


async def test_a_server_that_does_not_start_says_why() -> None:
    async with asyncio.timeout(60):
        with pytest.raises(ConfigurationError, match="did not start"):
            await mcp_tools("no-such-program-anywhere --x")
        with pytest.raises(ConfigurationError, match=r"(?s)did not start.*ModuleNotFoundError: .*nowhere"):
            await mcp_tools([sys.executable, "-c", "import nowhere"])
        with pytest.raises(ConfigurationError, match="has no tool 'sub'; it has"):
            await mcp_tools(COMMAND, only=["sub"])
    with pytest.raises(ConfigurationError, match="a command or an address"):
        mcp_tools("")


async def test_its_tools_ask_like_any_tool_and_progress_is_shown() -> None:
    async with asyncio.timeout(60), mcp_tools(COMMAND, prefix="t_") as tools:
        agent = create_agent_harness(ScriptedLLM([call("t_add", a=1), "ok"]))
        events = []
        async for event in agent.invoke(messages=[{"role": "user", "content": "go"}], tools=tools):
            events.append(event)
            if isinstance(event, RelayEvent):
                assert event.rule == {"tool": "t_add", "params": {"a": "1", "b": "2"}}
                event.respond({"approved": True})
        (result,) = [event for event in events if isinstance(event, ToolResultEvent)]
        assert (result.status, result.output) == ("ok", "3")

        seen: asyncio.Queue[Any] = asyncio.Queue()
        task = asyncio.create_task(use(tools, "t_slow", seen.put_nowait))
        assert (await seen.get())["text"] == "half way\n"
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (await use(tools, "t_add", a=5)).context == "7", "a cancelled call leaves the connection whole"


@asynccontextmanager
async def http_server() -> Any:
    port = free_port()
    process = await asyncio.create_subprocess_exec(*COMMAND, str(port), stderr=asyncio.subprocess.DEVNULL)
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.returncode is None
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            break
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        await process.wait()


async def test_a_server_at_an_address_works_the_same() -> None:
    async with asyncio.timeout(60), http_server() as url:
        async with mcp_tools(url, headers={"Authorization": "Bearer x"}) as tools:
            assert (await use(tools, "add", a=1)).context == "3"
            with pytest.raises(ToolError, match="out of order"):
                await use(tools, "broken")
    with pytest.raises(ConfigurationError, match="did not start"):
        await mcp_tools(url)


def test_without_the_sdk_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'llm-gateway-nb\[mcp\]'"):
        mcp_tools("x")


def test_a_description_of_it_holds_no_secret() -> None:
    assert "hunter2" not in repr(mcp_tools("x", env={"KEY": "hunter2"}, headers={"A": "hunter2"}))
