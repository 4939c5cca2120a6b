"""`Repl`: Python that keeps its variables, in a process of its own, and cannot take this one down.

Separation, not a sandbox: the process has none of our variables, no keys in its environment, bounds on memory, time and
output, and a folder of its own; it may read and write what the person at the keyboard may. `repl="sandbox"` is another
matter, see `sandbox.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, assert_never

from llm_gateway_nb._words import counted
from llm_gateway_nb.errors import ConfigurationError, ReplError
from llm_gateway_nb.repl.channel import HostChannel, HostFunction, declared
from llm_gateway_nb.repl.output import Collector, Message, Outcome, Piece, ReplResult, report_of
from llm_gateway_nb.repl.process import Child, ReplKind
from llm_gateway_nb.repl.sandbox import check_sandbox
from llm_gateway_nb.repl.spare import SPARES

if TYPE_CHECKING:
    from llm_gateway_nb.repl.kernel import Kernel

__all__ = ["Repl"]

_GIB = 1024**3


class Repl:
    """A Python REPL. `async with Repl() as repl:` starts it without waiting; `await repl.execute(code)` runs a turn.

    One turn runs at a time; further calls wait. Any number of REPLs may be open at once. A REPL belongs to the event loop
    that it was opened in.

    Args:
        repl: "kernel", a process of its own; or "sandbox", under bubblewrap.
        cwd: where the code starts; None is an empty folder that goes with the REPL.
        env: more environment variables; beside them it gets PATH, HOME, the locale and little else.
        functions: coroutine functions of this process that the code can await, by name.
        variables: JSON values that the code finds, by name. They come back after a restart.
        answers: whether the code has `FINAL(value)` and `FINAL_VAR(name)`.
        memory_bytes: what the process may have of memory; beyond it the code gets a `MemoryError`. None sets no bound.
        max_output: characters of a turn's stdout, and of its stderr, that are kept.
        start_timeout: seconds in which a kernel has to be there.

    Raises:
        ConfigurationError: there is no sandbox here.
    """

    def __init__(
        self,
        repl: ReplKind = "kernel",
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        functions: Mapping[str, HostFunction] | None = None,
        variables: Mapping[str, Any] | None = None,
        answers: bool = False,
        memory_bytes: int | None = 4 * _GIB,
        max_output: int = 200_000,
        start_timeout: float = 60.0,
    ) -> None:
        if repl not in ("kernel", "sandbox"):
            raise ConfigurationError(f"repl is 'kernel' or 'sandbox', not {repl!r}.")
        if repl == "sandbox":
            check_sandbox()
        self._kind = repl
        self._cwd = cwd
        self._env = dict(env or {})
        self._functions = dict(functions or {})
        self._variables = dict(variables or {})
        self._answers = answers
        self._memory_bytes = memory_bytes
        self._max_output = max_output
        self._start_timeout = start_timeout
        self._names: list[str] = []
        self._kept: dict[str, str] = {}
        self._child: Child | None = None
        self._kernel: Kernel | None = None
        self._turns = asyncio.Lock()
        self._is_open = False

    def __repr__(self) -> str:
        state = "closed" if not self._is_open else "ready" if self._kernel is not None else "starting"
        return f"Repl({self._kind!r}, {state})"

    @property
    def pid(self) -> int | None:
        """The process, where there is one."""
        return self._child.pid if self._child is not None else None

    async def __aenter__(self) -> Self:
        self._is_open = True
        SPARES.opened()
        try:
            self._child = SPARES.take(self._kind)
        except BaseException:
            self._is_open = False
            SPARES.closed()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the process with everything that it has started. Harmless when it is closed."""
        if self._is_open:
            self._is_open = False
            SPARES.closed()
        await self._discard()

    def kill(self) -> None:
        """End the process at once, whatever it does. A turn that runs is over; close the REPL as ever."""
        if self._child is not None:
            self._child.kill()

    async def execute(
        self, code: str, *, timeout: float | None = None, on_output: Callable[[Piece], None] | None = None
    ) -> ReplResult:
        """Run code as a cell would: top-level `await`, the last expression's value shown, variables kept.

        Never raises for what the code does. A turn over its time is interrupted; one that goes on all the same is killed,
        and the next turn begins in a new process with what could be kept; the result says which variables are lost. The
        turn is over when the calls of the host's functions that it began are over, and while one is under way its clock
        stands still. A cancel interrupts the code, or kills it.

        Args:
            timeout: seconds of the code's own time; None sets no limit.
            on_output: called with each piece of output as it comes.

        Raises:
            ReplError: the kernel did not start; the message has its own words.
        """
        if not self._is_open:
            raise ReplError("This REPL is closed; open one with `async with Repl() as repl:`.")
        async with self._turns:
            try:
                kernel, lost = await self._ready()
                if lost:
                    return ReplResult(error=f"Nothing was run. {lost}", restarted=True)
                started = time.perf_counter()
                output = Collector(self._max_output, on_output)
                outcome, reply = await kernel.turn(code, output, timeout)
                result = self._result(kernel, outcome, reply, output, timeout)
            except BaseException:
                if self._child is not None and self._child.ended():  # a cancel that had to kill
                    await self._renew()
                raise
            if result.restarted:
                await self._renew()
            else:
                SPARES.stand_by()
            return replace(result, duration_ms=(time.perf_counter() - started) * 1000)

    async def _ready(self) -> tuple[Kernel, str]:
        """The kernel; and if it had to be replaced because it died between two turns, what that cost."""
        lost = ""
        if self._kernel is not None and self._kernel.child.ended():
            lost = f"Since the last turn the REPL's process ended ({self._kernel.child.cause()}). {self._loss()}"
            await self._renew()
        if self._kernel is None:
            if self._child is None:
                self._child = SPARES.take(self._kind)
            # Here and not above: jupyter_client takes its 50 ms to import, and whoever has no REPL need not wait for it.
            from llm_gateway_nb.repl.kernel import Kernel

            channel = HostChannel(self._functions)
            try:
                self._kernel = await Kernel.connect(self._child, channel, self._setup(), self._start_timeout)
            except BaseException:
                await channel.close()
                self._child.kill()
                self._child = None
                raise
        return self._kernel, lost

    def _setup(self) -> dict[str, Any]:
        assert self._child is not None
        return {
            "cwd": str(self._cwd if self._cwd is not None else self._child.folder / "work"),
            "env": self._env,
            "memoryBytes": self._memory_bytes,
            "maxOutput": self._max_output,
            "functions": declared(self._functions),
            "answers": self._answers,
            "variables": self._variables,
            "kept": self._kept,
        }

    def _result(
        self, kernel: Kernel, outcome: Outcome, reply: Message, output: Collector, timeout: float | None
    ) -> ReplResult:
        report = report_of(reply)
        if "names" in report:
            self._names, self._kept = report["names"], report["kept"]
        error = output.error
        if error is None and reply.get("status") == "error":  # its message was lost among too many
            error = "\n".join(reply.get("traceback") or []) or f"{reply.get('ename')}: {reply.get('evalue')}"
        late = (
            f"Stopped: the turn took longer than {counted(timeout, 'second')}." if timeout is not None else "Stopped."
        )
        match outcome:
            case "done":
                pass
            case "interrupted":
                error = f"{late}\n{error}" if error else late
            case "killed":
                error = f"{late} An interrupt did not help, so its process was killed. {self._loss()}"
            case "died":
                error = f"The REPL's process died in this turn ({kernel.child.cause()}). {self._loss()}"
            case _:
                assert_never(outcome)
        return ReplResult(
            stdout=output.text("stdout"),
            stderr=output.text("stderr"),
            mime=output.mime,
            error=error,
            answer=report.get("answer") if error is None else None,
            truncated=bool(report.get("cut")) or output.truncated,
            restarted=outcome in ("killed", "died"),
        )

    def _loss(self) -> str:
        """What a new process has of the old one's, in words."""
        kept = sorted({*self._variables, *self._kept})
        lost = sorted(set(self._names) - set(self._kept))
        return (
            "The next turn begins in a new process. "
            f"Lost variables: {', '.join(lost) or 'none'}. Kept as they were after the last turn without an error: "
            f"{', '.join(kept) or 'none'}."
        )

    async def _renew(self) -> None:
        """Let the process go, and have the next one start while nobody waits for it yet."""
        await self._discard()
        self._names = list(self._kept)
        if self._is_open:
            self._child = SPARES.take(self._kind)

    async def _discard(self) -> None:
        child, kernel = self._child, self._kernel
        self._child = self._kernel = None
        if kernel is not None:
            await kernel.close()
        elif child is not None:
            await child.end()
