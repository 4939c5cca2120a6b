"""`gather_with_progress`: many at once, with a bar; order kept, and nothing left running."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Iterable
from typing import Any, Literal, TypeVar, overload

from llm_gateway_nb._bar import progress_bar
from llm_gateway_nb.errors import ConfigurationError

__all__ = ["gather_with_progress"]

T = TypeVar("T")


@overload
async def gather_with_progress(
    awaitables: Iterable[Awaitable[T]],
    limit: int | None = None,
    *,
    return_exceptions: Literal[False] = False,
    description: str | None = None,
    progress: bool = True,
) -> list[T]: ...


@overload
async def gather_with_progress(
    awaitables: Iterable[Awaitable[T]],
    limit: int | None = None,
    *,
    return_exceptions: bool,
    description: str | None = None,
    progress: bool = True,
) -> list[T | BaseException]: ...


async def gather_with_progress(
    awaitables: Iterable[Awaitable[Any]],
    limit: int | None = None,
    *,
    return_exceptions: bool = False,
    description: str | None = None,
    progress: bool = True,
) -> list[Any]:
    """The results, in the order of `awaitables`, with a bar in a notebook and a line in a terminal.

    Unlike `asyncio.gather`, it leaves nothing running: at the first failure, and on a cancel, the others are cancelled and
    waited for, and what was not begun is not begun.

    Args:
        limit: how many at once; None is all.
        return_exceptions: a failure stands in the list at its place, and the others go on.
        description: written before the bar.
        progress: False shows nothing.

    Raises:
        Exception: the first failure, as it was raised.
    """
    if inspect.isawaitable(awaitables):
        _let_go([awaitables])
        raise ConfigurationError("gather_with_progress takes a list of awaitables, not one: [llm.agenerate(…), …].")
    items = list(awaitables)
    for item in items:
        if not inspect.isawaitable(item):
            _let_go(items)
            raise ConfigurationError(f"gather_with_progress takes awaitables, such as llm.agenerate(…), not {item!r}.")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        _let_go(items)
        raise ConfigurationError(f"limit is a whole number from 1 up, or None, not {limit!r}.")
    results: list[Any] = [None] * len(items)
    todo = iter(range(len(items)))
    begun: set[int] = set()

    async def work() -> None:
        for index in todo:
            begun.add(index)
            try:
                results[index] = await items[index]
            except asyncio.CancelledError as error:
                if _is_ours(asyncio.current_task()):
                    raise
                if not return_exceptions:  # a group would overlook it
                    raise _ItemCancelledError from error
                results[index] = error
            except Exception as error:
                if not return_exceptions:
                    raise
                results[index] = error
            bar.update()

    bar = progress_bar(len(items), description, shown=progress)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(limit or len(items), len(items))):
                group.create_task(work())
    except BaseExceptionGroup as failed:
        first = failed.exceptions[0]
        if isinstance(first, _ItemCancelledError):
            raise asyncio.CancelledError from first
        raise first from first.__cause__
    finally:
        bar.close()
        _let_go(item for index, item in enumerate(items) if index not in begun)
    return results


class _ItemCancelledError(Exception):
    """Somebody else cancelled what we wait for."""


def _is_ours(task: asyncio.Task[Any] | None) -> bool:
    return task is not None and task.cancelling() > 0


def _let_go(items: Iterable[Awaitable[Any]]) -> None:
    """End what nobody will await; a coroutine that is dropped complains."""
    for item in items:
        if inspect.iscoroutine(item):
            item.close()
        elif isinstance(item, asyncio.Future):
            item.cancel()
