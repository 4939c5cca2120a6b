"""The multiplexer: what an event costs with 10 and with 1,000 agents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from frame import Contender, Figure

EVENTS = 20_000


async def _numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def _cost(agents: int) -> float:
    """Microseconds of CPU an event."""
    from llm_gateway_nb.orchestrator import AgentMultiplexer

    async def merged() -> float:
        streams: AgentMultiplexer[int] = AgentMultiplexer()
        for _ in range(agents):
            streams.add(_numbers(EVENTS // agents))
        seen = 0
        start = time.process_time()
        async for _ in streams.events():
            seen += 1
        assert seen == EVENTS
        return (time.process_time() - start) / EVENTS * 1e6

    return asyncio.run(merged())


def with_10() -> float:
    return _cost(10)


def with_1000() -> float:
    return _cost(1_000)


FIGURES = [
    Figure(
        "multiplexer",
        "Multiplexer, an event at 1,000 agents and at 10",
        "µs of CPU an event",
        [Contender("1,000 agents", with_1000), Contender("10 agents", with_10)],
        at_most=1.5,
        note="Both are ours: the cost of an event does not grow with the number of agents.",
        in_readme=True,
    )
]
