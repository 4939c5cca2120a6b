"""Any stream of events as an async generator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import TypeVar, cast

__all__ = ["as_generator"]

T = TypeVar("T")


def as_generator(stream: AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """`stream` with `aclose()`; itself, if it has one: a layer less for every event to pass."""
    if hasattr(stream, "aclose"):
        return cast("AsyncGenerator[T, None]", stream)
    return _wrapped(stream)


async def _wrapped(stream: AsyncIterable[T]) -> AsyncGenerator[T, None]:
    iterator = aiter(stream)
    try:
        async for item in iterator:
            yield item
    finally:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()
