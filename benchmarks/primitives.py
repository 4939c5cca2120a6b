"""`AsyncQueue` and `Passthrough` beside `asyncio.Queue` and anyio's memory object stream, in one command.

Each contender runs once a round, in an order drawn anew, so that a busy machine slows all alike. The table shows the
CPU time of the median round in nanoseconds a value, and how many times faster ours is (the aim is 1.00 or more).
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import statistics
import time
from collections.abc import Awaitable, Callable

import anyio

from llm_gateway_nb.primitives import AsyncQueue, Passthrough

VALUES = 20_000
ROUNDS = 25
BOUND = 16

Contender = Callable[[], Awaitable[None]]


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


CASES: dict[str, dict[str, Contender]] = {
    "buffered": {
        "AsyncQueue": buffered_async_queue,
        "Passthrough": buffered_passthrough,
        "asyncio.Queue": buffered_asyncio,
        "anyio": buffered_anyio,
    },
    "handed off": {
        "AsyncQueue": handed_off_async_queue,
        "Passthrough": handed_off_passthrough,
        "asyncio.Queue": handed_off_asyncio,
        "anyio": handed_off_anyio,
    },
    f"bound of {BOUND}": {
        "Passthrough": bounded_passthrough,
        "asyncio.Queue": bounded_asyncio,
        "anyio": bounded_anyio,
    },
}


async def main() -> None:
    print(f"{VALUES:,} values, median of {ROUNDS} interleaved rounds, ns of CPU a value\n")
    print(f"{'case':<14}{'ours':<14}{'ns':>8}{'asyncio.Queue':>16}{'anyio':>10}{'x asyncio':>12}{'x anyio':>10}")
    for case, contenders in CASES.items():
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, contender in random.sample(list(contenders.items()), len(contenders)):
                gc.collect()
                start = time.process_time()
                await contender()
                times[name].append((time.process_time() - start) / VALUES * 1e9)
        median = {name: statistics.median(seconds) for name, seconds in times.items()}
        ratio = {
            (name, peer): statistics.median(b / a for a, b in zip(times[name], times[peer], strict=True))
            for name in contenders
            for peer in ("asyncio.Queue", "anyio")
        }
        for name in ("AsyncQueue", "Passthrough"):
            if name in contenders:
                print(
                    f"{case:<14}{name:<14}{median[name]:>8.0f}{median['asyncio.Queue']:>16.0f}{median['anyio']:>10.0f}"
                    f"{ratio[name, 'asyncio.Queue']:>12.2f}{ratio[name, 'anyio']:>10.2f}"
                )


if __name__ == "__main__":
    asyncio.run(main())
