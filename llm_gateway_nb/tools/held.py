"""What the tools of one run hold open between their calls, such as a REPL with its variables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

__all__ = ["Held"]

T = TypeVar("T")


class Held:
    """Made by whoever runs the tools, and closed by it when the run is over, however it ended."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._values: dict[Any, Any] = {}
        self._opening = asyncio.Lock()

    async def get(self, key: Any, make: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """What stands under `key`: entered by the first who asks, and left when the run is over."""
        async with self._opening:
            if key not in self._values:
                self._values[key] = await self._stack.enter_async_context(make())
            value: T = self._values[key]
            return value

    async def aclose(self) -> None:
        """Leave all, the last one first."""
        self._values.clear()
        await self._stack.aclose()
