"""`with_retry`: once more, as long as nobody has seen anything."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from tenacity import wait_fixed

from llm_gateway_nb.errors import ConfigurationError, ProviderAPIError
from llm_gateway_nb.harnesses.stream import as_generator
from llm_gateway_nb.harnesses.wrapped import wrap
from llm_gateway_nb.providers.base import LLM
from llm_gateway_nb.providers.retry import Limits, Retried, Wait, passes
from llm_gateway_nb.types import (
    ErrorEvent,
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    UsageEvent,
)

__all__ = ["with_retry"]

HarnessT = TypeVar("HarnessT", bound=GeneratorHarnessModule)

_UNSEEN = (HarnessStartEvent, UsageEvent, ErrorEvent, HarnessEndEvent)


def with_retry(harness: HarnessT, attempts: int = 3, wait: Wait | float | None = None) -> HarnessT:
    """`harness`, tried up to `attempts` times where a failure may pass: 429, 5xx, a time-out, a connection that broke.

    Nothing is tried again after the first visible event (text, reasoning, a call): what a person has read can't be taken
    back. A key that is refused, or a request, is not tried again either.

    An `LLM` stays an `LLM`; this takes the place of its `max_retries`, so that attempts never multiply. Any other harness
    is invoked anew, and the events of an attempt that failed unseen are dropped; the models inside it keep retries of
    their own.

    Args:
        wait: seconds between two attempts, or a strategy of tenacity; None is exponential with jitter. What the service
            asks for (Retry-After) is waited for at least.
    """
    if not isinstance(attempts, int) or attempts < 1:
        raise ConfigurationError(f"attempts is a whole number from 1 up, not {attempts!r}.")
    if isinstance(wait, int | float):
        wait = wait_fixed(wait)
    if isinstance(harness, LLM):
        return harness.with_options(max_retries=attempts - 1, retry_wait=wait)
    limits = Limits(retries=attempts - 1, wait=wait)

    async def around(
        inner: GeneratorHarnessModule, params: GeneratorInvokeParams
    ) -> AsyncGenerator[HarnessEvent, None]:
        failed: list[HarnessEvent] = []
        retried = Retried(lambda: _attempt(inner, params, failed), limits, ("harness", params.model or ""))
        try:
            async with aclosing(retried.pieces()) as batches:
                async for batch in batches:
                    for event in batch:
                        yield event
        except ProviderAPIError:
            if not failed:
                raise
            for event in failed:
                yield event

    wrapped: HarnessT = wrap(harness, around, "with_retry", attempts=attempts)
    return wrapped


async def _attempt(
    inner: GeneratorHarnessModule, params: GeneratorInvokeParams, failed: list[HarnessEvent]
) -> AsyncGenerator[list[HarnessEvent], None]:
    """Batches of events, the first one up to the first event that can be seen.

    Raises:
        ProviderAPIError: that of an attempt that ended unseen; its events are in `failed` then.
    """
    failed.clear()
    held: list[HarnessEvent] = []
    error: ProviderAPIError | None = None
    seen = False
    async with aclosing(as_generator(inner.invoke(params))) as events:
        async for event in events:
            if seen:
                yield [event]
                continue
            held.append(event)
            seen = not isinstance(event, _UNSEEN)
            if seen:
                yield held
            elif isinstance(event, ErrorEvent) and isinstance(event.error, ProviderAPIError):
                error = event.error
    if seen:
        return
    if error is not None and passes(error):
        failed.extend(held)
        raise error
    if held:
        yield held
