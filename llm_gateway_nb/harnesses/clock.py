"""A limit of time that stands still while somebody else is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

__all__ = ["Clock"]


class Clock:
    """`async with Clock(seconds) as clock:` is `asyncio.timeout`, with `clock.stopped()`: while a person is asked or a
    subagent runs, the time is not the caller's. Several may stop it at once; it goes on when the last one is back.

    Raises:
        TimeoutError: the time is up; `expired` tells it from one that came from inside.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)
        self._holders = 0
        self._left = 0.0

    @property
    def expired(self) -> bool:
        """Whether the time was up."""
        return self._timeout.expired()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Time in here does not count."""
        when = self._timeout.when() if self._seconds is not None else None
        if self._seconds is None or (when is None and not self._holders) or self.expired:
            yield
            return
        loop = asyncio.get_running_loop()
        if when is not None:
            self._left = when - loop.time()
            self._timeout.reschedule(None)
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders and not self.expired:
                self._timeout.reschedule(loop.time() + max(self._left, 0.0))

    async def __aenter__(self) -> Clock:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._timeout.__aexit__(kind, error, traceback)
