"""A command in a process group of its own: what it inherits, where its output goes, and how it ends.

Shared by the tools that run commands, and by `exec` of a model's REPL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["Pipes", "kill_group", "start_bash"]

_SAFE_VARIABLES = ("PATH", "HOME", "LANG", "TERM", "TMPDIR", "TZ", "USER", "SHELL")
"""All that a command inherits: keys live in the environment. The locale is fixed, because the permission rules read a
command as UTF-8, and in some others a quote is not a quote."""

_PIPE_SECONDS = 1.0


async def start_bash(
    command: str, pipes: Pipes, *, cwd: str | Path | None, env: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    """Start a command; it writes into `pipes`, and whoever starts it ends it by `kill_group`. A cancel ends it here."""
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            "bash",
            "-c",
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipes.stdout,
            stderr=pipes.stderr,
            cwd=cwd,
            env={**_inherited(), **(env or {})},
            start_new_session=True,
        )
    )
    cancel: asyncio.CancelledError | None = None
    while not starting.done():  # its few turns of the loop; cancelled in them, asyncio would kill the shell alone
        try:
            await asyncio.wait([starting])
        except asyncio.CancelledError as error:
            cancel = error
    process = starting.result()
    if cancel is not None:
        await kill_group(process)
        raise cancel
    pipes.hand_over()
    return process


class Pipes:
    """The pipes of a command, ours and not the process object's: that one counts as ended only when they are closed, and a
    background job that left its process group would keep them open for as long as it likes."""

    def __init__(self, read: Callable[[str, asyncio.StreamReader], Coroutine[Any, Any, None]]) -> None:
        self._read = read
        self._transports: list[asyncio.ReadTransport] = []
        self._readers: list[asyncio.Task[None]] = []
        self._write_ends: list[int] = []

    async def __aenter__(self) -> Pipes:
        loop = asyncio.get_running_loop()
        try:
            for name in ("stdout", "stderr"):
                read_end, write_end = os.pipe()
                self._write_ends.append(write_end)
                stream = asyncio.StreamReader()
                factory = partial(asyncio.StreamReaderProtocol, stream)
                transport, _ = await loop.connect_read_pipe(factory, os.fdopen(read_end, "rb", 0))
                self._transports.append(transport)
                self._readers.append(asyncio.create_task(self._read(name, stream)))
        except BaseException:
            await self._close()
            raise
        self.stdout, self.stderr = self._write_ends
        return self

    def hand_over(self) -> None:
        """The command has its own copies now; ours would keep the pipes open."""
        while self._write_ends:
            os.close(self._write_ends.pop())

    async def __aexit__(self, *exc: object) -> None:
        """Read what is left, but do not wait for a process that has escaped and holds on to a pipe."""
        self.hand_over()
        try:
            await asyncio.wait(self._readers, timeout=_PIPE_SECONDS)
        finally:
            await self._close()

    async def _close(self) -> None:
        self.hand_over()
        for transport in self._transports:
            transport.close()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)


def _inherited() -> dict[str, str]:
    kept = {key: os.environ[key] for key in _SAFE_VARIABLES if key in os.environ}
    # A relative folder on the path would let a file of the workspace pass for `ls`.
    path = [folder for folder in kept.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(folder)]  # noqa: PTH117
    return {**kept, "PATH": os.pathsep.join(path), "LC_ALL": "C.UTF-8"}


async def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of the group, and reap the shell."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())
