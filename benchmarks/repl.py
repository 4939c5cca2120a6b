"""A turn of a REPL beside the same cell sent by jupyter_client itself, and a start beside a start. Wall time: most of it is
waiting for another process."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from frame import Contender, Figure
from jupyter_client.manager import start_new_async_kernel

from llm_gateway_nb.repl import Repl

TURNS = 50


async def _turn(execute: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of the median turn."""
    for _ in range(5):
        await execute()
    took = []
    for _ in range(TURNS):
        start = time.perf_counter()
        await execute()
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took)


async def _plain() -> tuple[float, float]:
    start = time.perf_counter()
    manager, client = await start_new_async_kernel(kernel_name="python3")
    try:
        await client.execute_interactive("1+1", output_hook=lambda _: None)
        started = (time.perf_counter() - start) * 1000
        return started, await _turn(lambda: client.execute_interactive("1+1", output_hook=lambda _: None))
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def _ours() -> tuple[float, float]:
    start = time.perf_counter()
    async with Repl() as repl:
        await repl.execute("1+1")
        started = (time.perf_counter() - start) * 1000
        return started, await _turn(lambda: repl.execute("1+1"))


def our_start() -> float:
    return asyncio.run(_ours())[0]


def plain_start() -> float:
    return asyncio.run(_plain())[0]


def our_turn() -> float:
    return asyncio.run(_ours())[1]


def plain_turn() -> float:
    return asyncio.run(_plain())[1]


FIGURES = [
    Figure(
        "repl-turn",
        "REPL, a turn of 1+1",
        "ms",
        [Contender("Repl", our_turn), Contender("jupyter_client", plain_turn)],
        limit=20.0,
        rounds=5,
        note="Every turn also brings back rich results, and what the turn left running is looked after.",
    ),
    Figure(
        "repl-start",
        "REPL, a start and the first turn",
        "ms",
        [Contender("Repl", our_start), Contender("jupyter_client", plain_start)],
        rounds=5,
        note="The first start of a process; later ones find a spare kernel ready.",
    ),
]
