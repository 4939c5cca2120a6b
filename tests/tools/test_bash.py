"""`bash_tool` with a real bash."""

from __future__ import annotations

import asyncio
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from support.clock import jump
from support.processes import alive, below, gone
from support.waiting import settle

from llm_gateway_nb.errors import ConfigurationError, ToolInputError
from llm_gateway_nb.tools import bash_tool, plain_input, validate_input
from llm_gateway_nb.types import ToolContext, ToolExecutionResult


async def bash(command: str, tool: Any = bash_tool, progress: Any = None, **arguments: Any) -> ToolExecutionResult[Any]:
    given = validate_input(
        tool, {"command": command, "timeout": 60, **arguments}
    )  # its own 5 s can pass on a busy machine
    result = await tool.execute(given, ToolContext(emit_progress=progress))
    assert isinstance(result, ToolExecutionResult)
    return result


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_output_and_exit_code_are_what_the_model_reads() -> None:
    assert (await bash("echo hello")).context == "hello"
    failed = await bash("echo out; echo oops >&2; exit 3")
    assert failed.context in {
        "[stdout]\nout\n[stderr]\noops\n\n[exit code 3]",
        "[stderr]\noops\n[stdout]\nout\n\n[exit code 3]",  # two pipes have no order between them
    }
    assert failed.result == {"exitCode": 3, "timedOut": False}
    assert (await bash("true")).context == "[no output]"


async def test_output_is_progress_as_it_comes() -> None:
    seen: list[Any] = []
    await bash("echo out; echo err >&2", progress=seen.append)
    assert {(part["stream"], part["text"]) for part in seen} == {("stdout", "out\n"), ("stderr", "err\n")}


async def test_over_its_time_it_is_killed_with_what_it_had_said_so_far() -> None:
    result = await bash("echo started; sleep 600", progress=lambda _: jump(60))
    assert str(result.context).startswith("started")
    assert "timed out after 60 seconds" in str(result.context)


async def test_a_chatty_command_stops_at_its_time_and_its_output_is_bounded() -> None:
    tool = bash_tool(max_output=1000)
    seen: list[Any] = []

    def look(part: Any) -> None:
        seen.append(part)
        jump(60)

    result = await bash("yes | sed ''", tool, progress=look)
    assert len(str(result.context)) < 1200
    assert "characters left out" in str(result.context)
    assert sum(len(part["text"]) for part in seen) < 200_000, "the page is not flooded either"


async def test_100_mb_of_output_are_read_in_little_memory_and_the_cut_is_marked() -> None:
    tracemalloc.start()
    try:
        result = await bash("echo first; head -c 100000000 /dev/zero | tr '\\0' 'x'; echo; echo last", timeout=60)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    text = str(result.context)
    assert peak < 4_000_000
    assert text.startswith("first\nxxx")
    assert text.endswith("xxx\nlast")
    assert f"[… {100_000_000 + 6 + 6 - 30_000} characters left out …]" in text


async def test_streams_are_told_apart_where_both_have_something_to_say() -> None:
    assert (await bash("echo only >&2")).context == "[stderr]\nonly"
    assert (await bash("echo only")).context == "only"


def test_the_time_limit_is_in_the_schema_and_applied_from_there() -> None:
    assert validate_input(bash_tool, {"command": "ls"}).timeout == 5
    assert validate_input(bash_tool, {"command": "ls", "timeout": 10}).timeout == 10
    assert validate_input(bash_tool(timeout=60), {"command": "ls"}).timeout == 60
    assert bash_tool.json_schema()["properties"]["timeout"]["default"] == 5
    assert plain_input(validate_input(bash_tool, {"command": "ls"})) == {"command": "ls"}, (
        "what nobody said is not shown"
    )
    assert plain_input(validate_input(bash_tool, {"command": "ls", "timeout": 5})) == {"command": "ls", "timeout": 5}


async def test_no_folder_of_the_workspace_is_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "date").write_text("#!/bin/sh\necho evil\n")
    (tmp_path / "date").chmod(0o755)
    monkeypatch.setenv("PATH", f".::{os.environ['PATH']}")
    assert "evil" not in str((await bash("date", bash_tool(cwd=tmp_path))).context)


async def test_nothing_that_it_started_outlives_it(tmp_path: Path) -> None:
    await bash(f"sleep 60 & echo $! > {tmp_path}/pid")
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_a_process_that_left_the_group_does_not_hold_the_call(tmp_path: Path) -> None:
    left = (
        f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600' & until [ -s {tmp_path}/pid ]; do :; done; echo done"
    )
    result = await asyncio.wait_for(bash(left), 30)
    assert result.context == "done"
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    os.kill(pid, 9)


async def test_a_cancel_kills_the_whole_group(tmp_path: Path) -> None:
    started = asyncio.Event()
    task = asyncio.create_task(
        bash(f"sleep 60 & echo $! > {tmp_path}/pid; echo go; wait", progress=lambda _: started.set())
    )
    await asyncio.wait_for(started.wait(), 30)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_a_cancel_at_any_moment_leaves_no_process_task_or_descriptor(tmp_path: Path) -> None:
    open_before, ours, others = descriptors(), asyncio.all_tasks(), below()
    for turns in range(12):
        began = tmp_path / str(turns)
        call = asyncio.create_task(bash(f"sleep 60 & echo $! > {began}; wait", timeout=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        deadline = time.monotonic() + 0.5
        while below() - others and not began.exists() and time.monotonic() < deadline:
            pass  # the loop is held, so that the cancel comes when the shell has started something already
        started = below() - others
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert all([await gone(pid) for pid in started])
        await settle()  # asyncio closes pipes in the next turn of the loop
        assert asyncio.all_tasks() == ours
        assert descriptors() <= open_before + 2  # the loop's own watch over children


async def test_it_inherits_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "secret" not in str((await bash("env")).context)
    assert (await bash("echo $MINE", bash_tool(env={"MINE": "given"}))).context == "given"


async def test_options_give_a_copy(tmp_path: Path) -> None:
    here = bash_tool(cwd=tmp_path, timeout=30, max_timeout=60)
    assert (await bash("pwd", here)).context == str(tmp_path)
    assert (await bash("pwd", here(max_output=100))).context == str(tmp_path), "options add up"
    with pytest.raises(ToolInputError, match="timeout"):
        await bash("true", here, timeout=61)
    with pytest.raises(ConfigurationError, match="timeout is above 0"):
        bash_tool(timeout=0)
    with pytest.raises(TypeError, match="color"):
        bash_tool(color="red")


@pytest.mark.parametrize("arguments", [{}, {"command": ""}, {"command": 3}, {"command": "ls", "timeout": 0}])
def test_arguments_that_make_no_command_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolInputError):
        validate_input(bash_tool, arguments)


async def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert "�" in str((await bash(r"printf 'a\xff\xc3'; printf '\xa9'")).context)
