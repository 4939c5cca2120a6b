"""What the tests of all adapters do with a run."""

from __future__ import annotations

import asyncio
from typing import Any

from llm_gateway_nb.types import HarnessEvent, RelayEvent

__all__ = ["collect", "kinds", "only", "said"]


async def collect(harness: Any, answer: Any = None) -> list[HarnessEvent]:
    """All events; every question is answered with `answer`, or `answer(relay)`."""
    events = []
    async with asyncio.timeout(30):
        async for event in harness:
            events.append(event)
            if isinstance(event, RelayEvent):
                assert answer is not None, event
                event.respond(answer(event) if callable(answer) else answer)
    return events


def kinds(events: list[HarnessEvent]) -> list[str]:
    return [event.type for event in events if event.type not in {"text", "usage"}]


def only(events: list[HarnessEvent], cls: Any) -> list[Any]:
    return [event for event in events if isinstance(event, cls)]


def said(events: list[HarnessEvent]) -> str:
    return "".join(event.content for event in events if event.type == "text")
