"""A first-in, first-out queue between coroutines that loses no value to a cancelled reader.

A value is never handed to a waiter; the waiter is *called*, and takes the oldest value when it resumes. Between the
two it may be cancelled, its task may be forgotten, or its loop may be closed: the value still lies at the front of
the queue, in its order, for the next in line. Giving the value away with the call (as a future's result) would mean
putting it back behind values that others took meanwhile.

There is no lock: taken at each step it would cost more than all the rest, and the garbage collector may end a
forgotten `pop` at any time, inside a locked section too. Every step is one atomic operation on a deque. After a step
that could let somebody be called (a value or a waiter came, a called one took its value or left) the same thread looks
whether somebody has to be; so of two threads at least the later one sees what both did, and no waiter is forgotten.
Two threads may call two waiters for one value; the one who comes too late goes back to the head of the line. Values
keep their order in any case, because every taker takes the oldest.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from llm_gateway_nb.primitives._wake import Waiter, turn_away, wake

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class AsyncQueue(Generic[T]):
    """An unbounded queue: `push` never blocks, `pop` waits.

    Values come out in the order they went in. Waiters of one event loop are served in the order they called; among
    several loops the values keep their order, and a loop that is busy holds up none of the others. Nothing has to
    be closed. May be made with no running loop.
    """

    __slots__ = ("__weakref__", "_called", "_line", "_values")

    def __init__(self) -> None:
        self._values: deque[T] = deque()
        self._line: deque[Waiter] = deque()  # those who wait, in the order they called `pop`
        self._called: deque[Waiter] = deque()  # those who were told to come and take one, one for each value

    def push(self, value: T) -> None:
        """Append a value, and call the waiter who has waited longest. Safe from any thread; never blocks."""
        self._values.append(value)
        if self._line:
            self._call_one()

    def pop(self) -> Coroutine[Any, Any, T]:
        """Take the oldest value, waiting for one if need be; does not yield to the loop if one is free.

        `None` is a value like any other. On cancel the waiter leaves the line, and a value that it was called for
        stays at the front, for the next in line or the next `pop`. The same holds under `asyncio.wait_for`.
        """
        return self._take(None)

    @property
    def length(self) -> int:
        """How many values lie here that nobody waits for."""
        return max(0, len(self._values) - len(self._called) - len(self._line))

    def __len__(self) -> int:
        return self.length

    def _peek(self) -> tuple[list[T], int]:
        """For a view: the values that nobody waits for, the next one first, and how many coroutines wait in vain."""
        values = self._values.copy()  # one atomic step
        promised = len(self._called) + len(self._line)
        return list(values)[promised:], max(0, promised - len(values))

    def __repr__(self) -> str:
        return f"AsyncQueue(length={self.length})"

    async def _take(self, taker: _Taker[T] | None) -> T:
        # The taker is told what happens here. Wrapped around this in a coroutine of its own, it would double the price
        # of a value that lies ready.
        if taker is not None and taker.closed:
            raise StopAsyncIteration
        if self._values and not self._called:
            try:
                value = self._values.popleft()
            except IndexError:
                pass  # another thread was quicker
            else:
                if taker is not None and (taker.counts or value is taker.mark):
                    return taker.took(value)
                return value
        loop = get_running_loop()
        waiter: Waiter = Future(loop=loop)  # what `loop.create_future()` makes, for five sixths of the price
        self._line.append(waiter)
        while True:
            if self._values and self._may_call(loop):
                self._call_all()
            if taker is not None:
                taker.waiting.append(waiter)
                if taker.closed:  # by another thread, which may have looked before we stood there
                    turn_away(waiter, StopAsyncIteration())
            try:
                await waiter
            except BaseException:
                if not (_remove(self._called, waiter) or _remove(self._line, waiter) or loop.is_closed()):
                    waiter.cancel()  # another thread holds it, between line and call, and has to see that nobody comes
                self._call_all()
                raise
            finally:
                if taker is not None:
                    taker.waiting.remove(waiter)
            try:
                value = self._values.popleft()
            except IndexError:  # another thread was quicker
                late, waiter = waiter, Future(loop=loop)
                self._line.appendleft(waiter)
                self._called.remove(late)
                continue
            self._called.remove(waiter)
            if self._line:
                self._call_all()
            if taker is not None and (taker.counts or value is taker.mark):
                return taker.took(value)
            return value

    def _call_all(self) -> None:
        """Call the first in line, one for each value that nobody has been called for."""
        while self._line and len(self._called) < len(self._values):
            self._call_one()

    def _call_one(self) -> None:
        line, called = self._line, self._called
        while line:
            try:
                waiter = line.popleft()
            except IndexError:  # another thread was quicker
                return
            behind = called[-1] if called else None
            called.append(waiter)  # before it can come
            if wake(waiter, behind):
                return
            _remove(called, waiter)

    def _may_call(self, loop: AbstractEventLoop) -> bool:
        """Whether one who comes now from `loop` need not let those go first who have been called.

        Behind a waiter of its own loop it has to: that one was first, and resumes in this turn. But another loop may
        be busy for long, and one that was closed never comes for its value.
        """
        for first in tuple(self._called):
            if not first.get_loop().is_closed():
                return first.get_loop() is not loop
            _remove(self._called, first)
        return True


class _Taker(Protocol[T]):
    """One who takes values in a way of its own: a reader of a `Passthrough`."""

    closed: bool
    """Takes no more: `StopAsyncIteration` instead of a value."""

    waiting: deque[Waiter]
    """What it stands in line with; one who closes a taker turns these away."""

    counts: bool
    """Is told of every value that it took; otherwise of `mark` alone, because telling costs."""

    mark: object

    def took(self, value: T) -> T:
        """It took this value; what this returns or raises is the outcome."""


def _remove(waiters: deque[Waiter], waiter: Waiter) -> bool:
    try:
        waiters.remove(waiter)
    except ValueError:
        return False
    return True
