"""Drive the loop that is already running in this thread, from inside one of its own callbacks, and patch nothing.

This is what lets synchronous code in a cell wait for a coroutine while clicks, timers and sockets go on. It is one more
`BaseEventLoop._run_once`, written so that the one further up the stack notices nothing:

- the task that is suspended under us is taken off its post for that time, or no other task could step;
- a handle whose `contextvars.Context` is entered further up cannot run now and is put off until we leave. Since
  ipykernel 7.1 each shell message is a task in one shared Context; running such a handle raises, and the cell in it
  would be lost for ever (what `nest_asyncio` 1.6 does);
- the outer `_run_once` has counted its ready handles and will pop that many: what we took is made up for with
  cancelled ones.

It needs private parts of asyncio that have stood since 3.7; `obstacle` says whether they are all there.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import time
from asyncio import selector_events, tasks
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["obstacle", "run_reentrant"]

_LOOP_PARTS = (
    "_ready",
    "_scheduled",
    "_selector",
    "_process_events",
    "_clock_resolution",
    "_stopping",
    "_timer_cancelled_count",
)
_HANDLE_PARTS = ("_cancelled", "_context", "_run", "_scheduled", "_when")
_LONGEST_SELECT_SECONDS = 1.0  # a signal that arrives in the very instant before it does not end it
_BACK_OFF_SECONDS = 0.01


def obstacle(loop: asyncio.AbstractEventLoop) -> str | None:
    """Why `run_reentrant` cannot drive this loop, as a clause for a message, or None if it can."""
    cls = type(loop)
    if not isinstance(loop, selector_events.BaseSelectorEventLoop):
        return f"{cls.__module__}.{cls.__qualname__} is not a selector loop of asyncio"
    # A loop of a GUI toolkit inherits from asyncio's and runs some other way: its `run_forever` is its own.
    home = getattr(cls, "run_forever", cls).__module__
    if home.partition(".")[0] not in {"asyncio", "nest_asyncio", "nest_asyncio2"}:
        return f"{cls.__module__}.{cls.__qualname__} is driven by {home}"
    missing = [name for name in _LOOP_PARTS if not hasattr(loop, name)]
    timer = asyncio.TimerHandle(0.0, _nothing, (), loop)
    missing += [f"TimerHandle.{name}" for name in _HANDLE_PARTS if not hasattr(timer, name)]
    if not hasattr(tasks, "_current_tasks") and not hasattr(tasks, "_swap_current_task"):
        missing.append("_swap_current_task")
    return f"this Python's asyncio has no {', '.join(missing)}" if missing else None


def run_reentrant(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
    """Turn `loop`, which is running in this thread, until `future` is done; its outcome stays in it.

    May be nested. If the task that called us is cancelled meanwhile, `future` is cancelled: the caller cannot be
    reached while it does not await. Returns with `future` pending if somebody stops the loop.

    Raises:
        KeyboardInterrupt: raised in a callback or by a signal handler; the loop can be used further.
    """
    inner: Any = loop  # private parts from here on; `obstacle` has seen that they are there
    ready: deque[asyncio.Handle] = inner._ready
    counted_outside = len(ready)  # at most as many will the outer `_run_once` still pop
    put_off: dict[int, asyncio.Handle] = {}  # by identity: timers compare equal by time
    caller = asyncio.current_task(loop)
    cancels_before = 0 if caller is None else caller.cancelling()
    resume = _suspend_current_task(loop)
    try:
        while not future.done() and not inner._stopping:
            _turn(inner, put_off)
            if caller is not None and caller.cancelling() > cancels_before:
                cancels_before = caller.cancelling()
                future.cancel()
    finally:
        resume()
        ready.extendleft(reversed(put_off.values()))
        for _ in range(counted_outside - len(ready)):
            ready.append(_spent_handle(loop))


def _turn(inner: Any, put_off: dict[int, asyncio.Handle]) -> None:
    """One round: wait for events or the next timer, then run what was ready at that time."""
    ready: deque[Any] = inner._ready
    timers: list[Any] = inner._scheduled  # looked up every turn: asyncio replaces the list when it purges it
    while timers and timers[0]._cancelled:
        inner._timer_cancelled_count -= 1
        heapq.heappop(timers)._scheduled = False
    if ready or inner._stopping:
        timeout = 0.0
    elif timers:
        timeout = min(max(timers[0]._when - inner.time(), 0.0), _LONGEST_SELECT_SECONDS)
    else:
        timeout = _LONGEST_SELECT_SECONDS
    inner._process_events(inner._selector.select(timeout))
    due = inner.time() + inner._clock_resolution
    while timers and timers[0]._when < due:
        timer = heapq.heappop(timers)
        timer._scheduled = False
        ready.append(timer)
    spinning = bool(ready)
    for _ in range(len(ready)):
        if not ready:
            break  # a loop nested in one of these handles has taken them
        handle = ready.popleft()
        if handle._cancelled:
            spinning = False
        elif not _is_entered(handle._context):
            spinning = False
            handle._run()
        elif id(handle) not in put_off:
            spinning = False
            put_off[id(handle)] = handle
    if spinning:
        # Nothing but a reader we have put off already, whose socket stays readable until it may run: do not burn a
        # core for it, whatever else is awaited can wait a moment.
        time.sleep(_BACK_OFF_SECONDS)


def _is_entered(context: contextvars.Context) -> bool:
    """Whether some frame up the stack runs in `context`; it has no flag to ask, so try with a call that does nothing."""
    try:
        context.run(_nothing)
    except RuntimeError:
        return True
    return False


def _suspend_current_task(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Let no task be the current one of `loop`; the returned function undoes it.

    Up to 3.13 C and Python tasks share a dict. From 3.14 on a C task stands in the thread's state, which only
    `_swap_current_task` reaches, and the dict holds those in pure Python.
    """
    current: dict[Any, Any] = getattr(tasks, "_current_tasks", {})
    in_dict = current.pop(loop, None)
    in_thread = asyncio.current_task(loop)
    swap: Callable[[Any, Any], Any] | None = getattr(tasks, "_swap_current_task", None)
    if in_thread is not None and swap is not None:
        swap(loop, None)  # never without a task: it raises KeyError then

    def resume() -> None:
        if in_dict is not None:
            current[loop] = in_dict
        if in_thread is not None and swap is not None:
            swap(loop, in_thread)

    return resume


def _spent_handle(loop: asyncio.AbstractEventLoop) -> asyncio.Handle:
    """A handle that is cancelled: `_run_once` pops it and goes on."""
    handle = asyncio.Handle(_nothing, (), loop)
    handle.cancel()
    return handle


def _nothing() -> None:
    """Called where only the calling matters."""
