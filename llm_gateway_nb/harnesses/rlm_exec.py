"""`exec` of a model's REPL: a shell command, as a tool that the permission rules and a person decide on like any other."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from llm_gateway_nb._words import counted
from llm_gateway_nb.permissions import derive_permission
from llm_gateway_nb.repl import clipped
from llm_gateway_nb.tools.process import Pipes, kill_group, start_bash
from llm_gateway_nb.types import ToolContext, ToolDefinition, ToolExecutionResult

__all__ = ["make_exec_tool"]

_MAX_KEPT = 1_000_000
_MAX_SECONDS = 600.0
_METRICS_SECONDS = 1.0


def make_exec_tool(*, timeout: float, cwd: str | Path | None) -> ToolDefinition:
    """The tool. Its progress is `{"stream", "text"}` as output comes, and once a second `{"metrics"}`: what the process
    uses. Its result has `stdout`, `stderr`, `exit_code` (-1 where it was over its time) and `timed_out`."""

    most = max(timeout, _MAX_SECONDS)

    class Exec(BaseModel):
        model_config = ConfigDict(extra="forbid")

        command: str = Field(min_length=1)
        timeout: float | None = Field(default=None, gt=0, le=most)

    async def execute(given: Exec, ctx: ToolContext) -> ToolExecutionResult[dict[str, Any]]:
        output = _Output(ctx)
        seconds = timeout if given.timeout is None else given.timeout
        timed_out = False
        async with Pipes(output.read) as pipes:
            process = await start_bash(given.command, pipes, cwd=cwd, env=None)
            measuring = asyncio.create_task(_measure(process.pid, ctx))
            try:
                async with asyncio.timeout(seconds):
                    await process.wait()
            except TimeoutError:
                timed_out = True
            finally:
                measuring.cancel()
                await asyncio.wait([measuring])
                await kill_group(process)
        note = f"[timed out after {counted(seconds, 'second')}]" if timed_out else ""
        return ToolExecutionResult(
            context="",
            result={
                "stdout": output.text("stdout"),
                "stderr": "\n".join(part for part in (output.text("stderr").rstrip("\n"), note) if part),
                "exit_code": -1 if timed_out else process.returncode,
                "timed_out": timed_out,
            },
        )

    return ToolDefinition(
        name="exec",
        description="Run a shell command.",
        schema_=Exec,
        execute=execute,
        derive_permission=lambda params: derive_permission("exec", {"command": params["command"]}, root=cwd),
    )


class _Output:
    """Both streams, told apart. What is over the bound is read and let go, so that the command does not stop on it."""

    def __init__(self, ctx: ToolContext) -> None:
        self._kept: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._sizes = {"stdout": 0, "stderr": 0}
        self._ctx = ctx

    async def read(self, name: str, stream: asyncio.StreamReader) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := await stream.read(65536):
            self._add(name, decoder.decode(data))
        self._add(name, decoder.decode(b"", final=True))

    def _add(self, name: str, text: str) -> None:
        if not text:
            return
        if self._sizes[name] < _MAX_KEPT:
            self._kept[name].append(text)
            self._ctx.progress({"stream": name, "text": clipped(text, 10_000)})
        self._sizes[name] += len(text)

    def text(self, name: str) -> str:
        text = "".join(self._kept[name])
        lost = self._sizes[name] - len(text)
        return f"{text}\n[… {lost} characters left out]" if lost else text


async def _measure(pid: int, ctx: ToolContext) -> None:
    """Once a second what the command and its children use, where the system tells."""
    started = time.monotonic()
    while True:
        await asyncio.sleep(_METRICS_SECONDS)
        with contextlib.suppress(OSError, ValueError, IndexError):
            ctx.progress({"metrics": _used(pid, time.monotonic() - started)})


def _used(pid: int, wall: float) -> dict[str, Any]:
    """Processor in percent of one, memory in KB, time in milliseconds."""
    ticks = pages = 0
    for each in (pid, *_children(pid)):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        pages += int(fields[21])
    cpu = 100 * ticks / os.sysconf("SC_CLK_TCK") / wall
    return {
        "pid": pid,
        "cpu": round(cpu, 1),
        "rss": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "wall": round(wall * 1000),
    }


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
