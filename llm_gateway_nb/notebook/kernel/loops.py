"""What comes from another thread, or from the page, and belongs where a run lives; and what lives there unnamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from llm_gateway_nb.errors import ConfigurationError

__all__ = ["call_in", "check_loop", "kept"]


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


def check_loop(what: str, otherwise: str) -> None:
    """
    Raises:
        ConfigurationError: no loop runs here; `what` needs one, and a script has `otherwise`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            f"{what} needs a running event loop, as a notebook has; in a script use {otherwise}."
        ) from None


def kept(task: asyncio.Task[None]) -> asyncio.Task[None]:
    """`task`, which goes on though nobody may have kept a name for what it belongs to: a loop holds its tasks weakly."""
    _alive.add(task)
    task.add_done_callback(_alive.discard)
    return task


_alive: set[asyncio.Task[None]] = set()
