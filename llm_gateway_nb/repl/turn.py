"""One turn of a REPL as events, in order: its input, its output as it comes, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

from llm_gateway_nb.errors import StreamClosedError
from llm_gateway_nb.primitives import Passthrough, create_passthrough
from llm_gateway_nb.repl.output import Piece, ReplResult, clipped
from llm_gateway_nb.types import (
    HarnessEvent,
    ReplInputEvent,
    ReplOutputEvent,
    ReplProgressEvent,
    new_id,
)

__all__ = ["ReplTurn", "RunsCode"]


class RunsCode(Protocol):
    """A `Repl`, or something like it."""

    async def execute(
        self, code: str, *, timeout: float | None = None, on_output: Callable[[Piece], None] | None = None
    ) -> ReplResult: ...

    def kill(self) -> None: ...


class ReplTurn:
    """Read `events()` to its end; then `result` is there. Its `id` is the parent of whatever the code starts."""

    def __init__(
        self,
        repl: RunsCode,
        code: str,
        *,
        run_id: str,
        parent_id: str | None,
        iteration: int | None,
        timeout: float,
        max_stdout: int,
    ) -> None:
        self.id = new_id()
        self.result = ReplResult()
        self._repl = repl
        self._code = code
        self._of = {"run_id": run_id, "parent_id": parent_id}
        self._iteration = iteration
        self._timeout = timeout
        self._max_stdout = max_stdout
        self._stream: Passthrough[HarnessEvent] = create_passthrough()
        self._stopped: str | None = None

    async def events(self) -> AsyncGenerator[HarnessEvent, None]:
        """`repl_input`, what happens, `repl_output`. Closing it ends the REPL's process and what the code has asked for."""
        yield ReplInputEvent(**self._of, id=self.id, code=self._code, iteration=self._iteration)
        owner = asyncio.create_task(self._execute())
        owner.add_done_callback(lambda _: self._stream.end())
        try:
            async for event in self._stream.iterable:
                yield event
            await owner
        finally:
            if not owner.done():
                self._repl.kill()  # nobody wants to know how the code takes an interrupt
                owner.cancel()
                await asyncio.wait([owner])
        result = self.result
        stdout = result.stdout.removesuffix("\n")
        yield ReplOutputEvent(
            **self._of,
            id=self.id,
            stdout=clipped(stdout, self._max_stdout),
            error=self._stopped or result.error,
            done=result.answer is not None,
            iteration=self._iteration,
            duration_ms=result.duration_ms,
            truncated=(result.truncated or len(stdout) > self._max_stdout) or None,
            mime=result.mime or None,
        )

    def push(self, event: HarnessEvent) -> None:
        """Something that the code's doing brought about."""
        self._stream.push(event)

    def say(self, event: HarnessEvent) -> bool:
        """Something of the run, while the code runs. False if the turn is over."""
        try:
            self._stream.push(event)
        except StreamClosedError:
            return False
        return True

    def progress(self, stream: str, text: str, **more: Any) -> None:
        """Output, as it comes."""
        self.push(ReplProgressEvent(**self._of, id=new_id(), chunk=text, stream=stream, repl_id=self.id, **more))

    def stop(self, why: str) -> None:
        """End the REPL's process, whatever the code does; `why` is what became of the turn."""
        self._stopped = why
        self._repl.kill()

    async def _execute(self) -> None:
        self.result = await self._repl.execute(self._code, timeout=self._timeout, on_output=self._put)

    def _put(self, piece: Piece) -> None:
        if piece.kind != "mime":
            self.progress(piece.kind, piece.text)
