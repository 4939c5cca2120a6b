"""What a turn of a REPL costs over the same cell sent by jupyter_client itself, and what a start costs.

`python benchmarks/repl.py` prints medians over 200 turns of `1+1`. To reach: under 20 ms more a turn.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from jupyter_client.manager import start_new_async_kernel

from llm_gateway_nb.repl import Repl

TURNS = 200


async def median(turn: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of one turn."""
    for _ in range(10):
        await turn()
    took = []
    for _ in range(TURNS):
        start = time.perf_counter()
        await turn()
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took)


async def plain() -> tuple[float, float]:
    start = time.perf_counter()
    manager, client = await start_new_async_kernel(kernel_name="python3")
    try:
        await client.execute_interactive("1+1", output_hook=lambda _: None)
        started = (time.perf_counter() - start) * 1000
        return started, await median(lambda: client.execute_interactive("1+1", output_hook=lambda _: None))
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def ours() -> tuple[float, float, float]:
    start = time.perf_counter()
    async with Repl() as repl:
        await repl.execute("1+1")
        cold = (time.perf_counter() - start) * 1000
        turn = await median(lambda: repl.execute("1+1"))
        start = time.perf_counter()
        async with Repl() as second:
            await second.execute("1+1")
            return cold, (time.perf_counter() - start) * 1000, turn


async def main() -> None:
    plain_start, plain_turn = await plain()
    cold, warm, turn = await ours()
    print(f"{'':28}{'jupyter_client':>16}{'Repl':>10}")
    print(f"{'start and first turn, ms':28}{plain_start:16.0f}{cold:10.0f}")
    print(f"{'the same with the spare, ms':28}{'':16}{warm:10.0f}")
    print(f"{'a warm turn of 1+1, ms':28}{plain_turn:16.2f}{turn:10.2f}")
    print(f"A turn costs {turn - plain_turn:+.2f} ms over plain (to reach: under 20).")


if __name__ == "__main__":
    asyncio.run(main())
