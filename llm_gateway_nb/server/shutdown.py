"""A server that is told to stop waits until its streams are over; so they have to be told first.

ASGI has no word for it: an app hears of the end after its connections are gone. uvicorn hears of it by a signal, and that
is where we listen too. We take the signal first and hand it on; a kernel's own signals are none of our business.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["on_server_stop"]


@contextmanager
def on_server_stop(callback: Callable[[], None]) -> Iterator[None]:
    """While this is open, `callback()` is called in the running loop when the server around it gets a signal to stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    ours: dict[signal.Signals, Any] = {}
    theirs: dict[signal.Signals, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        # A bound method of something that can be told to exit is a server's; anything else is left as it is.
        if not callable(handler) or not hasattr(getattr(handler, "__self__", None), "should_exit"):
            continue
        theirs[number] = handler

        def handle(
            signum: int, frame: FrameType | None, then: Callable[[int, FrameType | None], Any] = handler
        ) -> None:
            loop.call_soon_threadsafe(callback)
            then(signum, frame)

        ours[number] = handle
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handle in ours.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, theirs[number])
