"""`with_rate_limit`: a true rate, over all calls, loops and threads that share it.

A bucket of our own: aiolimiter's belongs to one event loop, while an `LLM` serves several, and `generate` has its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar
from weakref import WeakKeyDictionary

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.harnesses.stream import as_generator
from llm_gateway_nb.harnesses.wrapped import wrap
from llm_gateway_nb.providers.base import LLM
from llm_gateway_nb.types import GeneratorHarnessModule, GeneratorInvokeParams, HarnessEvent

__all__ = ["RateLimit", "with_rate_limit"]

HarnessT = TypeVar("HarnessT", bound=GeneratorHarnessModule)


class RateLimit:
    """So many a second, the first `per_second` of them at once, callers served in the order they came.

    Nothing is handed out before it is there, so a cancelled caller takes nothing with it. Use one for several harnesses
    that share a service's limit: `with_rate_limit(llm, limit)`.
    """

    def __init__(self, per_second: float) -> None:
        if isinstance(per_second, bool) or not isinstance(per_second, int | float) or not 0 < per_second < float("inf"):
            raise ConfigurationError(f"per_second is a number above 0, not {per_second!r}.")
        self.per_second = per_second
        self._room = max(1.0, float(per_second))
        self._left = self._room
        self._at = time.monotonic()
        self._lock = threading.Lock()
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def acquire(self) -> None:
        """Return when one more may go."""
        loop = asyncio.get_running_loop()
        with self._lock:
            line = self._lines.setdefault(loop, asyncio.Lock())
        async with line:  # only the head of a line looks at the clock
            while seconds := self._take():  # noqa: ASYNC110  (it is time that is waited for)
                await asyncio.sleep(seconds)

    def _take(self) -> float:
        """0 when one was taken, else the seconds until there may be one."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._room, self._left + (now - self._at) * self.per_second)
            self._at = now
            if self._left < 1.0:
                return max((1.0 - self._left) / self.per_second, 0.001)
            self._left -= 1.0
            return 0.0

    def __repr__(self) -> str:
        return f"RateLimit({self.per_second:g})"


def with_rate_limit(harness: HarnessT, per_second: float | RateLimit = 5) -> HarnessT:
    """`harness` with at most `per_second` calls a second, in the order they were made; a burst is at most `per_second` too.

    An `LLM` stays an `LLM`: each of its attempts is a request and takes its turn, copies made by `with_options` share the
    limit, and no time-out runs while a call waits for its first turn. Of any other harness it is the invokes that count.
    """
    limit = per_second if isinstance(per_second, RateLimit) else RateLimit(per_second)
    if isinstance(harness, LLM):
        return harness.with_options(gate=limit.acquire)

    async def around(
        inner: GeneratorHarnessModule, params: GeneratorInvokeParams
    ) -> AsyncGenerator[HarnessEvent, None]:
        await limit.acquire()
        async with aclosing(as_generator(inner.invoke(params))) as events:
            async for event in events:
                yield event

    wrapped: HarnessT = wrap(harness, around, "with_rate_limit", per_second=per_second)
    return wrapped
