"""SIGINT while a run holds a cell: from synchronous code the first cancels the work, the second stops it on the spot."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interrupts", "counts_sigint", "sigint_cancels"]


class Interrupts:
    """How often SIGINT came."""

    count = 0


@contextmanager
def sigint_cancels(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> Iterator[Interrupts]:
    """Within, the first SIGINT cancels `task` and every further one raises `KeyboardInterrupt`; then the handler is
    the one from before.

    Python runs signal handlers in the main thread alone; in any other, and where a handler is not Python's to give
    back, this does nothing.
    """
    interrupts = Interrupts()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        interrupts.count += 1
        if interrupts.count > 1:
            raise KeyboardInterrupt
        # Not `task.cancel()`: this runs between any two bytecodes, and an idle selector has to be woken up.
        loop.call_soon_threadsafe(task.cancel)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def counts_sigint() -> Iterator[Interrupts]:
    """Within, SIGINT is counted and then handled as before: so that a cancelled `await` knows whether it was the person.

    It also wakes the running loop, so that the stop button is seen at once, and not at the next heartbeat of `until`.
    Does nothing where handlers do not run: outside the main thread. Those of several tasks may end in any order.
    """
    interrupts = Interrupts()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield interrupts
        return
    counter = _Counter(interrupts, before, asyncio._get_running_loop())
    signal.signal(signal.SIGINT, counter)
    try:
        yield interrupts
    finally:
        counter.ended = True
        first = current = signal.getsignal(signal.SIGINT)
        while isinstance(current, _Counter) and current.ended:
            current = current.before  # past those that ended while a younger one stood in front of them
        if current is not first:  # else somebody has installed a handler since, who keeps it
            signal.signal(signal.SIGINT, current)


class _Counter:
    """A handler that counts, passes on, and wakes a loop."""

    def __init__(
        self,
        interrupts: Interrupts,
        before: Callable[[int, FrameType | None], Any],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self._interrupts, self.before, self._loop = interrupts, before, loop
        self.ended = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._interrupts.count += 1
        self.before(number, frame)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: None)
