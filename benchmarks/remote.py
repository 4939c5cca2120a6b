"""The wire: what an event costs that is read over `RemoteHarness`, and one that is read here."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from frame import Contender, Figure

EVENTS = 20_000


def _agent() -> Any:
    from llm_gateway_nb import create_agent_harness
    from llm_gateway_nb.testing import ScriptedLLM

    return create_agent_harness(ScriptedLLM([" ".join(["word"] * EVENTS)]))


async def _read(harness: Any) -> float:
    """Microseconds of CPU an event."""
    from llm_gateway_nb.types import UserMessage

    seen, start = 0, time.process_time()
    async for _ in harness.invoke(messages=[UserMessage(content="go")]):
        seen += 1
    return (time.process_time() - start) / seen * 1e6


def here() -> float:
    return asyncio.run(_read(_agent()))


def over_the_wire() -> float:
    from llm_gateway_nb.server import RemoteHarness, create_app, serve

    async def served() -> float:
        async with serve(create_app(_agent(), token="benchmark")) as server:
            return await _read(RemoteHarness(server.url, "benchmark"))

    return asyncio.run(served())


FIGURES = [
    Figure(
        "remote-event",
        "An event over the wire and one read here",
        "µs of CPU an event",
        [Contender("RemoteHarness", over_the_wire), Contender("here", here)],
        note="Both are ours. Server and client are in one process, so that both sides count; the model is a script.",
    )
]
