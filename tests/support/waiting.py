"""How a test waits: for a condition, with a limit that only a failure reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["settle", "until"]


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Return as soon as it holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def settle() -> None:
    """Let every task run until it waits for something that only the test will bring."""
    for _ in range(10):
        await asyncio.sleep(0)
