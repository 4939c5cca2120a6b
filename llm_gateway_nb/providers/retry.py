"""One retry layer for every provider: attempts, seconds, and what the service asked for.

Nothing is tried again once a piece of an answer was seen: what a person has read can't be taken back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from llm_gateway_nb.errors import (
    ConfigurationError,
    ProviderAPIError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
)

__all__ = ["Gate", "Limits", "Retried", "Wait", "passes", "without_secrets"]

T = TypeVar("T")
Wait = Callable[[RetryCallState], float]
"""A waiting strategy of tenacity, or any function of its state, in seconds."""
Gate = Callable[[], Awaitable[None]]
"""What an attempt has to pass: returns when it may go."""

_LONGEST_WAIT = 60.0  # seconds that a call waits because a service asks it to; longer, and the caller decides
_STATUS_THAT_PASSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_backoff = wait_random_exponential(multiplier=0.5, max=30)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take, in seconds, and how often it is tried again.

    Attributes:
        silence: until the first piece, and between two pieces, of one attempt.
        total: for the whole call, with all its attempts and the waiting between them.
        wait: seconds between two attempts; None is exponential with full jitter. A service that asks for more gets it.
        gate: awaited before each attempt, such as a rate limit; no clock runs while the first attempt waits there.
    """

    silence: float | None = None
    total: float | None = None
    retries: int = 2
    wait: Wait | None = None
    gate: Gate | None = None

    def __post_init__(self) -> None:
        for name, seconds in (("timeout", self.silence), ("total_timeout", self.total)):
            if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
                raise ConfigurationError(f"{name} is a number of seconds above 0, or None, not {seconds!r}.")
        if not isinstance(self.retries, int) or self.retries < 0:
            raise ConfigurationError(f"max_retries is 0 or more, not {self.retries!r}.")


class Retried(Generic[T]):
    """The pieces of one call, attempts made as the limits allow.

    Args:
        attempt: makes the pieces of one attempt; closing them closes the connection.
        who: provider and model, for errors.
    """

    def __init__(self, attempt: Callable[[], AsyncGenerator[T, None]], limits: Limits, who: tuple[str, str]) -> None:
        self._attempt = attempt
        self._limits = limits
        self._provider, self._model = who
        self._attempts = 0
        self._ends: float | None = None
        self._is_over = False
        self._failed: ProviderAPIError | None = None

    async def pieces(self) -> AsyncGenerator[T, None]:
        """
        Raises:
            ProviderAPIError: the last attempt's, with the number of `attempts`.
        """
        limits = self._limits
        if limits.gate is not None:
            await limits.gate()
        if limits.total is not None:
            self._ends = asyncio.get_running_loop().time() + limits.total
        try:
            pieces, piece = await self._open()
        except ProviderAPIError as error:
            error.attempts = self._attempts
            raise
        async with aclosing(pieces):
            if piece is None:
                return
            yield piece
            if limits.silence is None and limits.total is None:
                async for piece in pieces:
                    yield piece
            else:
                while (piece := await self._next(pieces)) is not None:
                    yield piece

    async def _open(self) -> tuple[AsyncGenerator[T, None], T | None]:
        try:
            return await self._first()  # most calls need no more, and setting up retries costs them a twentieth
        except ProviderAPIError as error:
            if not self._limits.retries or not passes(error) or self._is_over:
                raise
            self._failed = error
        left = float("inf") if self._ends is None else self._ends - asyncio.get_running_loop().time()
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._limits.retries + 1) | stop_before_delay(left),
            wait=self._wait,
            retry=retry_if_exception(lambda error: passes(error) and not self._is_over),
            reraise=True,
        )
        return await retrying(self._first)

    async def _first(self) -> tuple[AsyncGenerator[T, None], T | None]:
        if self._failed is not None:  # the attempt that was made already
            error, self._failed = self._failed, None
            raise error
        if self._attempts and self._limits.gate is not None:
            await self._before_the_end(self._limits.gate())
        self._attempts += 1
        pieces = self._attempt()
        try:
            return pieces, await self._next(pieces)
        except BaseException:
            await pieces.aclose()
            raise

    async def _next(self, pieces: AsyncGenerator[T, None]) -> T | None:
        silence, ends = self._limits.silence, self._ends
        if silence is None and ends is None:
            return await anext(pieces, None)
        now = asyncio.get_running_loop().time()
        until = min(now + silence if silence is not None else float("inf"), ends if ends is not None else float("inf"))
        try:
            async with asyncio.timeout_at(until):
                return await anext(pieces, None)
        except TimeoutError as error:
            if until == ends:
                raise self._over() from error
            raise self._late(f"said nothing for {silence:g} s; see `timeout=`") from error

    async def _before_the_end(self, waiting: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout_at(self._ends):
                await waiting
        except TimeoutError as error:
            raise self._over() from error

    def _over(self) -> ProviderTimeoutError:
        self._is_over = True
        return self._late(f"was not done after {self._limits.total:g} s; see `total_timeout=`")

    def _late(self, said: str) -> ProviderTimeoutError:
        return ProviderTimeoutError(
            f"{self._provider}: {self._model!r} {said}.", provider=self._provider, model=self._model
        )

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, ProviderAPIError) else None
        if self._limits.wait is not None:
            return max(asked or 0.0, float(self._limits.wait(state)))
        return asked if asked is not None else _backoff(state)


def passes(error: BaseException) -> bool:
    """Whether the same call may well succeed a little later."""
    if not isinstance(error, ProviderAPIError):
        return False
    if error.retry_after is not None and error.retry_after > _LONGEST_WAIT:
        return False
    if isinstance(error, RateLimitError | ProviderConnectionError | ProviderTimeoutError):
        return True
    return error.status in _STATUS_THAT_PASSES


_KEY_LIKE = re.compile(r"\b(sk|pk|key|api)[-_][A-Za-z0-9_\-]{12,}")


def without_secrets(text: str, *secrets: str | None) -> str:
    """`text` with keys taken out: services like to repeat the key they refuse."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[key]")
    return _KEY_LIKE.sub("[key]", text)
