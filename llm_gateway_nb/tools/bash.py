"""`bash_tool`: a shell command in a process group of its own, its output as it comes, gone with the run.

Separation, not a sandbox: the command can do what the person at the keyboard can do. That is why it asks.
"""

from __future__ import annotations

import asyncio
import codecs
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from llm_gateway_nb._words import counted
from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.permissions import derive_permission
from llm_gateway_nb.tools.process import Pipes, kill_group, start_bash
from llm_gateway_nb.types import ToolContext, ToolDefinition, ToolExecutionResult

__all__ = ["bash_tool"]


def make_bash_tool(
    *,
    timeout: float = 5.0,
    max_timeout: float | None = None,
    cwd: str | Path | None = None,
    env: dict[str, str] | None = None,
    max_output: int = 30_000,
) -> ToolDefinition:
    """The tool with other options.

    Args:
        timeout: seconds a command may run where the model does not say; it reads this in the schema.
        max_timeout: the most it may say; None is 600, or `timeout` if that is more.
        cwd: where commands start; None is the notebook's folder at the time of the call.
        env: more environment variables; beside them a command gets PATH, HOME, the locale and little else.
        max_output: characters of output that the model reads; of more it gets the beginning and the end.
    """

    if timeout <= 0 or (max_timeout is not None and max_timeout < timeout):
        raise ConfigurationError(f"bash_tool: timeout is above 0 and at most max_timeout, not {timeout!r}.")
    seconds, most = timeout, max(timeout, 600.0) if max_timeout is None else max_timeout

    class Bash(BaseModel):
        model_config = ConfigDict(extra="forbid")

        command: str = Field(description="The command, as typed into bash.", min_length=1)
        timeout: float = Field(default=seconds, gt=0, le=most, description="Seconds it may run.", repr=False)

    async def execute(given: Bash, ctx: ToolContext) -> ToolExecutionResult[dict[str, Any]]:
        output = _Output(max_output, ctx)
        async with Pipes(output.read) as pipes:
            process = await start_bash(given.command, pipes, cwd=cwd, env=env)
            timed_out = False
            try:
                async with asyncio.timeout(given.timeout):
                    await process.wait()
            except TimeoutError:
                timed_out = True
            finally:
                await kill_group(process)
        note = f"\n[timed out after {counted(given.timeout, 'second')}]" if timed_out else ""
        if process.returncode and not timed_out:
            note = f"\n[exit code {process.returncode}]"
        text = (output.text() + note).strip("\n") or "[no output]"
        result = {"exitCode": None if timed_out else process.returncode, "timedOut": timed_out}
        return ToolExecutionResult(context=text, result=result)

    definition = ToolDefinition(
        name="bash",
        description="Run a bash command and read its output.",
        schema_=Bash,
        execute=execute,
        derive_permission=lambda params: derive_permission("bash", {"command": params["command"]}, root=cwd),
    )
    definition._configure = partial(
        make_bash_tool, timeout=timeout, max_timeout=max_timeout, cwd=cwd, env=env, max_output=max_output
    )
    return definition


class _Output:
    """What both streams said, in the order it came: all of it up to a limit, then only the beginning and the end.

    Where stderr said anything, a line tells where each stream begins.
    """

    def __init__(self, limit: int, ctx: ToolContext) -> None:
        self._half = limit // 2
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._head_size = self._tail_size = self._size = 0
        self._stream: str | None = None
        self._first: str | None = None
        self._has_stderr = False
        self._at_line_start = True
        self._ctx = ctx

    async def read(self, name: str, stream: asyncio.StreamReader) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := await stream.read(65536):
            self._add(name, decoder.decode(data))
        self._add(name, decoder.decode(b"", final=True))

    def _add(self, name: str, text: str) -> None:
        if not text:
            return
        if self._size < 2 * self._half:  # a person is shown as much as the model reads; more would only fill the page
            self._ctx.progress({"stream": name, "text": text})
        if name != self._stream:
            if self._stream is None:
                self._first = name
            else:
                self._keep(f"{'' if self._at_line_start else chr(10)}[{name}]\n")
            self._stream = name
            self._has_stderr = self._has_stderr or name == "stderr"
        self._at_line_start = text.endswith("\n")
        self._keep(text)

    def _keep(self, text: str) -> None:
        self._size += len(text)
        room = self._half - self._head_size
        head, rest = text[:room], text[room:]
        if head:
            self._head.append(head)
            self._head_size += len(head)
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
            while self._tail_size - len(self._tail[0]) >= self._half:
                self._tail_size -= len(self._tail.popleft())

    def text(self) -> str:
        tail = "".join(self._tail)[-self._half :]
        cut = self._size - self._head_size - len(tail)
        marker = f"\n[… {cut} characters left out …]\n" if cut else ""
        label = f"[{self._first}]\n" if self._has_stderr else ""
        return label + "".join(self._head) + marker + tail


bash_tool = make_bash_tool()
"""`bash(command, timeout)`: asks before every command that no rule allows. Options: `bash_tool(cwd="/tmp")`."""
