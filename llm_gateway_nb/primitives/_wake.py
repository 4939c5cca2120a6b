"""Waking a coroutine that may wait on another event loop, in another thread.

A waiter is a future that belongs to the loop of the coroutine that awaits it, and carries no value: it only says
"come and look". What there is to see stays with the primitive, so a waiter that never comes takes nothing with it.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop  # documented for those who build on loops; unlike its twin it raises nothing
from threading import get_ident
from typing import Any, TypeAlias

Waiter: TypeAlias = "asyncio.Future[None]"


def wake(waiter: Waiter, behind: Waiter | None = None) -> bool:
    """Let the coroutine that awaits `waiter` go on. False if it never will: cancelled, or its loop was closed.

    Two waiters of one loop resume in the order in which they were woken, if the second call names the first as
    `behind`. Safe from any thread.
    """
    loop: Any = waiter.get_loop()
    try:
        # What asyncio's loops note for themselves. Up to Python 3.11 `_get_running_loop` asks the system for the number of
        # the process each time, and that takes a tenth of a hand-off.
        is_ours = loop._thread_id == get_ident()
    except AttributeError:  # some other's loop, such as uvloop's
        is_ours = _get_running_loop() is loop
    # A wake from another thread takes a detour through the loop's ready queue. One that follows it takes the same way,
    # for the short one would overtake it.
    if is_ours and (behind is None or behind.done()):
        try:
            waiter.set_result(None)
        except asyncio.InvalidStateError:
            return False
        return True
    return not waiter.done() and _settle_soon(loop, waiter, None)


def turn_away(waiter: Waiter, error: BaseException) -> None:
    """Raise `error` in the coroutine that awaits `waiter`, unless it was woken or cancelled before. From any thread."""
    loop = waiter.get_loop()
    if _get_running_loop() is loop:
        _settle(waiter, error)
    else:
        _settle_soon(loop, waiter, error)


def _settle_soon(loop: asyncio.AbstractEventLoop, waiter: Waiter, error: BaseException | None) -> bool:
    try:
        loop.call_soon_threadsafe(_settle, waiter, error)
    except RuntimeError:
        if loop.is_closed():
            return False
        raise
    return True


def _settle(waiter: Waiter, error: BaseException | None) -> None:
    if not waiter.done():
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


def check_raisable(error: object) -> None:
    """Refuse what no coroutine could raise, where it is handed in rather than where it would be raised.

    Raises:
        TypeError: `error` is no exception instance, or is one that would read as the end of an iteration.
    """
    if not isinstance(error, BaseException):
        raise TypeError(f"An error has to be an exception instance, such as ValueError('why'); this is {error!r}.")
    if isinstance(error, StopIteration | StopAsyncIteration):
        raise TypeError(f"{error!r} would read as the end of an iteration; wrap it in an exception of your own.")
