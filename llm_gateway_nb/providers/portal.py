"""Synchronous callers of coroutines: one event loop in a daemon thread, started when it is first needed.

A caller may stand in a running loop (a notebook's cell does) and can't start another one in its thread. The loop is kept,
so that connections are; at exit it is stopped in order, which closes them.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from llm_gateway_nb.errors import ConfigurationError

__all__ = ["run_sync"]

T = TypeVar("T")

_CANCEL_SECONDS = 5.0
_LOOK_SECONDS = 1.0
"""How often a waiting thread looks up. A signal that arrives in the very instant before it lies down does not wake it."""


class _Portal:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise ConfigurationError(
                "generate() was called from inside generate(); use `await llm.agenerate(…)` there."
            )
        loop = self._running_loop()
        context = contextvars.copy_context()
        done: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            task = loop.create_task(coroutine, context=context)
            tasks.append(task)
            task.add_done_callback(finish)

        def finish(task: asyncio.Task[T]) -> None:
            if task.cancelled():
                done.set_exception(asyncio.CancelledError())
            elif (error := task.exception()) is not None:
                done.set_exception(error)
            else:
                done.set_result(task.result())

        try:
            loop.call_soon_threadsafe(start)
            while not wait([done], timeout=_LOOK_SECONDS).done:
                pass
            return done.result()
        except BaseException:
            if not done.done():  # ours was interrupted, not the task: it ends with us
                loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
                wait([done], timeout=_CANCEL_SECONDS)
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                ready: Future[None] = Future()
                self._thread = threading.Thread(
                    target=lambda: asyncio.run(self._serve(ready)), name="llm_gateway_nb.generate", daemon=True
                )
                self._thread.start()
                ready.result()
                atexit.register(self.stop)
            assert self._loop is not None
            return self._loop

    async def _serve(self, ready: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        ready.set_result(None)
        await self._stop.wait()

    def stop(self) -> None:
        """End the loop; whatever runs in it is cancelled, and its connections are closed."""
        with self._lock:
            loop, thread, stop = self._loop, self._thread, self._stop
            self._loop = self._thread = self._stop = None
        if loop is not None and thread is not None and stop is not None:
            loop.call_soon_threadsafe(stop.set)
            thread.join(_CANCEL_SECONDS)
            atexit.unregister(self.stop)


_portal = _Portal()


def _forget_the_parents() -> None:
    global _portal
    _portal = _Portal()  # a forked child has no threads but its own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parents)


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Wait for a coroutine that runs in another thread's loop, in this thread's context variables.

    An interrupt (Ctrl-C, the stop button) cancels the coroutine, waits until it has tidied up, and goes on upward.
    """
    return _portal.run(coroutine)
