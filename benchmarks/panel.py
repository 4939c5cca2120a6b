"""The live panel's side in the kernel: what an event costs until it is on its way to the page, and how many bytes it makes.

A run of text, reasoning and tools is folded and told as it would be in a kernel: fifty events between two messages, which
is a fast model on a panel that speaks thirty times a second. What the page makes of it is measured in a real browser.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

from frame import Contender, Figure

AT_ONCE = 50
WORD = "streaming "


def _events(count: int) -> Iterator[Any]:
    from llm_gateway_nb.types import HarnessStartEvent, ReasoningEvent, TextEvent, ToolCallEvent, ToolResultEvent

    yield HarnessStartEvent(run_id="r")
    for number in range(count - 1):
        turn, at = divmod(number, 100)
        match at:
            case 0:
                yield ToolCallEvent(run_id="r", id=f"r/c{turn}", name="bash", input={"command": f"ls {turn}"})
            case 1:
                yield ToolResultEvent(run_id="r", id=f"r/c{turn}", name="bash", output="a file\n", status="ok")
            case _ if at < 20:
                yield ReasoningEvent(run_id="r", id=f"t{turn}", content=WORD)
            case _:
                yield TextEvent(run_id="r", id=f"m{turn}", content=WORD)


def _told(count: int) -> tuple[float, int, int, int]:
    """Seconds of CPU, bytes sent, bytes of content, messages."""
    from llm_gateway_nb.graph import RunTree, fold_event
    from llm_gateway_nb.notebook.panel import RunPanel

    async def tell() -> tuple[float, int, int, int]:
        events = list(_events(count))
        content = sum(len(getattr(event, "content", "") or "") for event in events)
        tree = RunTree()
        panel = RunPanel(tree)
        sent: list[int] = []
        panel.send = lambda message: sent.append(len(json.dumps(message)))  # as the kernel's session does
        start = time.process_time()
        for number, event in enumerate(events):
            fold_event(tree, event)
            panel.changed()
            if number % AT_ONCE == AT_ONCE - 1:
                panel.flush()
        panel.flush()
        took = time.process_time() - start
        panel.close()
        return took, sum(sent), content, len(sent)

    return asyncio.run(tell())


def _microseconds(count: int) -> float:
    return _told(count)[0] / count * 1e6


def at_50_000() -> float:
    return _microseconds(50_000)


def at_25_000() -> float:
    return _microseconds(25_000)


def bytes_at_50_000() -> float:
    """Bytes sent for each byte of content, one kilobyte a message aside."""
    _, sent, content, messages = _told(50_000)
    return (sent - 1024 * messages) / content if sent > 1024 * messages else sent / content


def bytes_in_all() -> float:
    _, sent, content, _ = _told(50_000)
    return sent / content


def bytes_in_all_of_half() -> float:
    _, sent, content, _ = _told(25_000)
    return sent / content


FIGURES = [
    Figure(
        "panel-event",
        "Panel, an event at 50,000 and at 25,000",
        "µs of CPU an event",
        [Contender("50,000 events", at_50_000), Contender("25,000 events", at_25_000)],
        at_most=1.1,
        limit=10.0,
        note="Folded, and told to the page. Both are ours: the cost of an event does not grow with the run.",
        in_readme=True,
    ),
    Figure(
        "panel-bytes",
        "Panel, bytes sent a byte of content, 1 KB a message aside",
        "bytes",
        [Contender("50,000 events", bytes_at_50_000)],
        limit=1.5,
        rounds=1,
        in_readme=True,
    ),
    Figure(
        "panel-linear",
        "Panel, bytes sent a byte of content, all of them",
        "bytes",
        [Contender("50,000 events", bytes_in_all), Contender("25,000 events", bytes_in_all_of_half)],
        at_most=1.1,
        rounds=1,
        note="Both are ours: twice the run is twice the bytes.",
    ),
]
