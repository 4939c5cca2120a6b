"""How a call waits inside a cell or a script: `hold` from synchronous code, `until` from a coroutine.

`hold` picks the plainest way there is, and `way_to_hold` tells which and why (for `doctor()`):

- no loop runs in this thread (a script, terminal IPython, a worker thread): a loop of its own, here, then closed;
- one runs: it is driven re-entrantly, unpatched, also where the user has applied `nest_asyncio` to it;
- that is not possible on this loop: `nest_asyncio`, of whichever kind the user has applied, else `nest_asyncio2`, for
  want of any other way. `nest_asyncio` 1.6 on ipykernel 7.1 and later is refused: it loses the cells queued behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.notebook.kernel.frontend import ipykernel_version
from llm_gateway_nb.notebook.kernel.interrupts import sigint_cancels
from llm_gateway_nb.notebook.kernel.reentrant import obstacle, run_reentrant

__all__ = ["Way", "hold", "nest_patch", "until", "way_to_hold"]

T = TypeVar("T")


class Way(NamedTuple):
    """A way of holding, and in a clause why it is this one; `refused` means that `hold` would raise."""

    name: Literal["own loop", "reentrant", "nest_asyncio", "nest_asyncio2", "refused"]
    reason: str


def nest_patch(loop: asyncio.AbstractEventLoop) -> Literal["nest_asyncio", "nest_asyncio2"] | None:
    """Which of the two has patched the loop (its whole class, in fact), if any."""
    cls = type(loop)
    if hasattr(cls, "_nest_asyncio2"):
        return "nest_asyncio2"
    return "nest_asyncio" if getattr(cls, "_nest_patched", False) else None


def way_to_hold() -> Way:
    """How `hold` would wait if it were called right here."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return Way("own loop", "no event loop runs in this thread")
    hindrance = obstacle(loop)
    if hindrance is None:
        return Way("reentrant", "the event loop of this thread can be driven from inside, unpatched")
    applied = nest_patch(loop)
    version = ipykernel_version()
    if applied == "nest_asyncio" and version is not None and version >= (7, 1):
        return Way(
            "refused",
            f"{hindrance}, and the nest_asyncio 1.6 applied here loses queued cells on ipykernel 7.1 and later; restart "
            "the kernel and call `nest_asyncio2.apply()` instead, or use `await`",
        )
    if applied is not None:
        return Way(applied, f"{hindrance}, and {applied} has been applied here")
    if not isinstance(loop, asyncio.BaseEventLoop):
        return Way("refused", f"{hindrance}, and nothing else can re-enter it either; use `await`")
    return Way("nest_asyncio2", f"{hindrance}")


def hold(coro: Coroutine[Any, Any, T]) -> T:
    """Run `coro` to its end and return its result, from synchronous code, wherever that runs.

    In a kernel the loop goes on turning: clicks arrive, other tasks run, and the cells queued behind wait their turn.
    Interrupting cancels the coroutine, waits until it has cleaned up, and raises; interrupting again raises at once.
    A cancel of the task that called `hold` cancels the coroutine, too. May be nested.

    Raises:
        KeyboardInterrupt: the person interrupted.
        ConfigurationError: a loop runs in this thread that nothing can re-enter; the message says what to do.
    """
    way = way_to_hold()
    match way.name:
        case "own loop":
            # With a factory of its own the runner leaves the thread's current event loop as it is.
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                return runner.run(
                    until(coro, heartbeat=1.0)
                )  # else an interrupt just before the loop lies down is late
        case "refused":
            coro.close()  # it never starts: no warning on top of the error
            raise ConfigurationError(f"A synchronous call cannot wait here: {way.reason}.")
        case "reentrant":
            return _hold_in(asyncio.get_running_loop(), coro, run_reentrant)
        case "nest_asyncio" | "nest_asyncio2":
            return _hold_in(asyncio.get_running_loop(), coro, _run_nested)


def _hold_in(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, T],
    drive: Callable[[asyncio.AbstractEventLoop, asyncio.Future[Any]], None],
) -> T:
    task = loop.create_task(coro)
    with sigint_cancels(loop, task) as interrupts:
        try:
            drive(loop, task)
        except KeyboardInterrupt:
            # The second SIGINT, or one that a hold nested in this one has turned into an exception: it came out of
            # some task of the loop and has unwound ours only if it was that one.
            if not task.cancelling():
                task.cancel()  # once: one more would tear the clean-up that goes on
            if interrupts.count < 2 and not task.done():
                drive(loop, task)
            if task.done() and not task.cancelled():
                task.exception()  # seen: it is what we raise
            raise
    if not task.done():
        task.cancel()
        raise RuntimeError("The event loop was stopped while a synchronous call waited in it.")
    if task.cancelled() and interrupts.count:
        raise KeyboardInterrupt
    return task.result()


def _run_nested(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
    """Turn `loop` by its patched `run_until_complete`; patch it first if nobody has."""
    if nest_patch(loop) is None:
        import nest_asyncio2  # only ever here, and never by an import of ours: it patches asyncio for the process

        nest_asyncio2.apply(loop)
    # Not the future itself: what it raises would be raised here, and its `result` is the caller's to take.
    loop.run_until_complete(asyncio.wait([future]))


async def until(awaitable: Awaitable[T], heartbeat: float = 0.2) -> T:
    """`await awaitable`, with the loop woken every `heartbeat` seconds so that the stop button is seen.

    ipykernel cancels a cell from its SIGINT handler with a plain `call_soon`, which does not wake an idle selector: a
    cell that only waits for a click would be stopped by the next event, whenever that is. Any timer will do.

    As with a plain await, a cancel goes on to what is awaited, and what comes of that is the outcome: an awaited task
    has its clean-up time. A second cancel in that time is raised at once.
    """
    future = asyncio.ensure_future(awaitable)
    beat = partial(asyncio.wait, (future,), timeout=heartbeat)
    try:
        while not future.done():
            await beat()
    except asyncio.CancelledError:
        future.cancel()
        while not future.done():
            await beat()
    return future.result()
