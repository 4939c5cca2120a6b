"""What comes from another thread, or from the page, and belongs where a run lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["call_in"]


def call_in(loop: asyncio.AbstractEventLoop, callback: Callable[..., Any], *arguments: Any) -> None:
    """Call this where `loop` runs: now if that is here, else soon. From any thread; nothing happens in a closed loop."""
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        callback(*arguments)
        return
    with suppress(RuntimeError):  # the loop is closed: the kernel ends
        loop.call_soon_threadsafe(callback, *arguments)
