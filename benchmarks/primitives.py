"""`AsyncQueue` and `Passthrough` beside `asyncio.Queue` and anyio's memory object stream."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import anyio
from frame import Contender, Figure

from llm_gateway_nb.primitives import AsyncQueue, Passthrough

VALUES = 20_000
BOUND = 16

Work = Callable[[], Awaitable[None]]

NOTE = (
    "Ours may be used from any thread and loses no value to a cancel; the peers may not, or do. A hand-off is mostly the "
    "loop's own work (a future, two turns), and an eighth of it, on Python 3.11, is to ask for the running loop, which "
    "asks the system for the process's id. Ours asks once, as `asyncio.Queue` does."
)


# A buffered run: everything goes in, then everything comes out, and nobody waits.


async def buffered_async_queue() -> None:
    queue = AsyncQueue[int]()
    for value in range(VALUES):
        queue.push(value)
    for _ in range(VALUES):
        await queue.pop()


async def buffered_passthrough() -> None:
    stream = Passthrough[int]()
    for value in range(VALUES):
        stream.push(value)
    stream.end()
    async for _ in stream.iterable:
        pass


async def buffered_asyncio() -> None:
    queue = asyncio.Queue[int]()
    for value in range(VALUES):
        queue.put_nowait(value)
    for _ in range(VALUES):
        await queue.get()


async def buffered_anyio() -> None:
    sender, receiver = anyio.create_memory_object_stream[int](math.inf)
    with receiver:
        with sender:
            for value in range(VALUES):
                sender.send_nowait(value)
        async for _ in receiver:
            pass


# A hand-off: the reader waits for every single value.


async def handed_off(push: Callable[[int], object], read: Awaitable[None], end: Callable[[], object]) -> None:
    reader = asyncio.ensure_future(read)
    await asyncio.sleep(0)
    for value in range(VALUES):
        push(value)
        await asyncio.sleep(0)
    end()
    await reader


async def handed_off_async_queue() -> None:
    queue = AsyncQueue[int]()

    async def read() -> None:
        for _ in range(VALUES):
            await queue.pop()

    await handed_off(queue.push, read(), lambda: None)


async def handed_off_passthrough() -> None:
    stream = Passthrough[int]()

    async def read() -> None:
        async for _ in stream.iterable:
            pass

    await handed_off(stream.push, read(), stream.end)


async def handed_off_asyncio() -> None:
    queue = asyncio.Queue[int]()

    async def read() -> None:
        for _ in range(VALUES):
            await queue.get()

    await handed_off(queue.put_nowait, read(), lambda: None)


async def handed_off_anyio() -> None:
    sender, receiver = anyio.create_memory_object_stream[int](math.inf)

    async def read() -> None:
        with receiver:
            async for _ in receiver:
                pass

    await handed_off(sender.send_nowait, read(), sender.close)


# A bound: the writer waits for room, the reader for values.


async def bounded_passthrough() -> None:
    stream = Passthrough[int](maxsize=BOUND)

    async def read() -> None:
        async for _ in stream.iterable:
            pass

    reader = asyncio.ensure_future(read())
    for value in range(VALUES):
        await stream.send(value)
    stream.end()
    await reader


async def bounded_asyncio() -> None:
    queue = asyncio.Queue[int](BOUND)

    async def read() -> None:
        for _ in range(VALUES):
            await queue.get()

    reader = asyncio.ensure_future(read())
    for value in range(VALUES):
        await queue.put(value)
    await reader


async def bounded_anyio() -> None:
    sender, receiver = anyio.create_memory_object_stream[int](BOUND)

    async def read() -> None:
        with receiver:
            async for _ in receiver:
                pass

    reader = asyncio.ensure_future(read())
    with sender:
        for value in range(VALUES):
            await sender.send(value)
    await reader


# Measurements: nanoseconds of CPU a value.


def _cost(work: Work) -> float:
    async def timed() -> float:
        start = time.process_time()
        await work()
        return (time.process_time() - start) / VALUES * 1e9

    return asyncio.run(timed())


def ns_buffered_async_queue() -> float:
    return _cost(buffered_async_queue)


def ns_buffered_passthrough() -> float:
    return _cost(buffered_passthrough)


def ns_buffered_asyncio() -> float:
    return _cost(buffered_asyncio)


def ns_buffered_anyio() -> float:
    return _cost(buffered_anyio)


def ns_handed_off_async_queue() -> float:
    return _cost(handed_off_async_queue)


def ns_handed_off_passthrough() -> float:
    return _cost(handed_off_passthrough)


def ns_handed_off_asyncio() -> float:
    return _cost(handed_off_asyncio)


def ns_handed_off_anyio() -> float:
    return _cost(handed_off_anyio)


def ns_bounded_passthrough() -> float:
    return _cost(bounded_passthrough)


def ns_bounded_asyncio() -> float:
    return _cost(bounded_asyncio)


def ns_bounded_anyio() -> float:
    return _cost(bounded_anyio)


FIGURES = [
    Figure(
        "buffered-async-queue",
        "AsyncQueue, buffered",
        "ns of CPU a value",
        [
            Contender("AsyncQueue", ns_buffered_async_queue),
            Contender("asyncio.Queue", ns_buffered_asyncio),
            Contender("anyio", ns_buffered_anyio),
        ],
        at_most=1.0,
        rounds=15,
        note=NOTE,
    ),
    Figure(
        "buffered-passthrough",
        "Passthrough, buffered",
        "ns of CPU a value",
        [
            Contender("Passthrough", ns_buffered_passthrough),
            Contender("asyncio.Queue", ns_buffered_asyncio),
            Contender("anyio", ns_buffered_anyio),
        ],
        at_most=1.0,
        rounds=15,
        note=NOTE,
    ),
    Figure(
        "handed-off-async-queue",
        "AsyncQueue, handed over one by one",
        "ns of CPU a value",
        [
            Contender("AsyncQueue", ns_handed_off_async_queue),
            Contender("asyncio.Queue", ns_handed_off_asyncio),
            Contender("anyio", ns_handed_off_anyio),
        ],
        at_most=1.0,
        rounds=15,
        note=NOTE,
        in_readme=True,
    ),
    Figure(
        "handed-off-passthrough",
        "Passthrough, handed over one by one",
        "ns of CPU a value",
        [
            Contender("Passthrough", ns_handed_off_passthrough),
            Contender("asyncio.Queue", ns_handed_off_asyncio),
            Contender("anyio", ns_handed_off_anyio),
        ],
        at_most=1.0,
        rounds=15,
        note=NOTE,
        in_readme=True,
    ),
    Figure(
        "bounded-passthrough",
        "Passthrough, with a bound of 16",
        "ns of CPU a value",
        [
            Contender("Passthrough", ns_bounded_passthrough),
            Contender("asyncio.Queue", ns_bounded_asyncio),
            Contender("anyio", ns_bounded_anyio),
        ],
        at_most=1.0,
        rounds=15,
        note=NOTE,
    ),
]
