"""How a test waits: for a condition, with a limit that only a failure reaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

__all__ = ["settle", "until"]


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Return as soon as it holds. The limit is one of real time, wherever `clock.jump` has moved the loop's."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(f"It did not hold within {seconds:g} s.")
        await asyncio.sleep(0.005)


async def settle() -> None:
    """Let every task run until it waits for something that only the test will bring."""
    for _ in range(10):
        await asyncio.sleep(0)
