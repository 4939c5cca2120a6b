"""A kernel that is there: its process, its two lines, and one turn at a time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from llm_gateway_nb._words import counted
from llm_gateway_nb.errors import ReplError
from llm_gateway_nb.repl.channel import HostChannel
from llm_gateway_nb.repl.client import KernelClient
from llm_gateway_nb.repl.output import Collector, Message, Outcome, report_of
from llm_gateway_nb.repl.process import Child

__all__ = ["Kernel"]

_GRACE_SECONDS = 5.0
_AGAIN_SECONDS = 2.0
_WAKE_SECONDS = 0.1


class Kernel:
    """A connected kernel. Belongs to the loop it was connected in."""

    def __init__(self, child: Child, channel: HostChannel, client: KernelClient) -> None:
        self.child = child
        self._channel = channel
        self._client = client
        self._clock: _Clock | None = None
        channel.on_change = self._calls_changed

    @classmethod
    async def connect(cls, child: Child, channel: HostChannel, setup: dict[str, Any], timeout: float) -> Kernel:
        """Wait until the process is up and both lines stand.

        Raises:
            ReplError: it did not come up, or not in time.
        """
        client: KernelClient | None = None
        death = asyncio.create_task(child.wait_ended())
        opening = asyncio.create_task(channel.open(child.listener, child.key, setup))
        try:
            await asyncio.wait([death, opening], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if opening.done() and opening.exception() is None:
                client = KernelClient(child.folder / "connection.json")
                opening = asyncio.create_task(client.connect())
                await asyncio.wait([death, opening], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if opening.done() and opening.exception() is None:
                    kernel = cls(child, channel, client)
                    client = None
                    return kernel
            why = (
                f"it ended with {child.cause()}"
                if death.done()
                else f"it was not there after {counted(timeout, 'second')}"
            )
            if opening.done() and not opening.cancelled() and (error := opening.exception()) is not None:
                why = str(error)
            raise ReplError(f"The REPL's kernel did not start: {why}.{_words(child.log)}")
        finally:
            for task in (death, opening):
                task.cancel()
            await asyncio.wait([death, opening])
            if client is not None:
                client.close()

    async def turn(self, code: str, output: Collector, timeout: float | None) -> tuple[Outcome, Message]:
        """Run code, whatever it does. A cancel interrupts it, or kills the process, before it goes on upwards."""
        self._clock = _Clock(timeout)
        self._channel.accepting = True
        running = asyncio.create_task(self._client.run(code, output.take))
        death = asyncio.create_task(self.child.wait_ended())
        late = asyncio.create_task(self._clock.over.wait())
        try:
            await asyncio.wait([running, death, late], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                reply = running.result()
                if "answer" in report_of(reply):
                    await self._channel.drop_calls()  # nobody waits for what it may still find out
                await self._over(death)
                return ("died" if death.done() and not reply else "done"), reply
            if death.done():
                return "died", {}
            return await self._stop(running)
        except asyncio.CancelledError:
            if not running.done():
                await self._stop(running)
            raise
        finally:
            self._channel.accepting = False
            self._clock.stop()
            self._clock = None
            for task in (running, death, late):
                task.cancel()
            await asyncio.wait([running, death, late])
            await self._channel.drop_calls()

    async def close(self) -> None:
        """Close both lines and end the process."""
        try:
            await self.child.end()
        finally:
            self._client.close()
            await self._channel.close()

    async def _over(self, death: asyncio.Task[None]) -> None:
        """Wait for the calls that the code began and did not await."""
        if self._channel.busy:
            settled = asyncio.create_task(self._channel.settle())
            try:
                await asyncio.wait([settled, death], return_when=asyncio.FIRST_COMPLETED)
            finally:
                settled.cancel()
                await asyncio.wait([settled])

    async def _stop(self, running: asyncio.Task[Message]) -> tuple[Outcome, Message]:
        """Interrupt what runs, and again if need be; kill it if it goes on."""
        await self._channel.drop_calls()
        if self.child.ended():
            return "died", {}
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                due = loop.time()
                while not running.done():
                    if loop.time() >= due:  # IPython ignores one that comes before the code has begun: so not once only
                        await self._client.interrupt()
                        due = loop.time() + _AGAIN_SECONDS
                    self._channel.wake()
                    await asyncio.wait([running], timeout=_WAKE_SECONDS)
                return "interrupted", running.result()
        self.child.kill()
        return "killed", {}

    def _calls_changed(self) -> None:
        if self._clock is not None:
            self._clock.pause() if self._channel.busy else self._clock.go_on()


class _Clock:
    """A turn's time. It stands still while a function of the host is at work: a person may be asked there."""

    def __init__(self, seconds: float | None) -> None:
        self.over = asyncio.Event()
        self._left = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self.go_on()

    def go_on(self) -> None:
        if self._left is not None and self._timer is None:
            self._since = self._loop.time()
            self._timer = self._loop.call_later(max(0.0, self._left), self.over.set)

    def pause(self) -> None:
        if self._timer is not None and self._left is not None:
            self._left -= self._loop.time() - self._since
            self.stop()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _words(log: str) -> str:
    return f" It said:\n{log}" if log else ""
