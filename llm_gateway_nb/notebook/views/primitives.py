"""The three primitives as cards: their state, and what lies in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from llm_gateway_nb.notebook.views.bits import Bit, Tone, badge, brief, card, line, note, table
from llm_gateway_nb.primitives import AsyncQueue, Deferred, Passthrough

__all__ = ["SHOWN", "deferred_card", "passthrough_card", "queue_card"]

SHOWN = 12
"""Values of a queue or a stream in one view."""


def deferred_card(deferred: Deferred[Any]) -> Bit:
    """A promise: pending with so many waiters, or settled with its value or error."""
    seen = deferred._peek()
    tones: dict[str, Tone] = {"pending": "busy", "resolved": "good", "rejected": "bad"}
    inside = []
    if seen.state == "resolved":
        inside.append(line(brief(seen.value)))
    elif seen.state == "rejected":
        inside.append(line(brief(seen.error), "bad"))
    if seen.waiting:
        inside.append(note(_count(seen.waiting, "coroutine waits", "coroutines wait") + " for it"))
    return card("Deferred", *inside, badge=badge(seen.state, tones[seen.state]))


def queue_card(queue: AsyncQueue[Any]) -> Bit:
    """A queue: what lies in it, the next one first, and who waits."""
    values, waiting = queue._peek()
    state = badge(_count(len(values), "value", "values"), "quiet") if values else badge("empty", "quiet")
    inside = [_values(values)] if values else []
    if waiting:
        inside.append(note(_count(waiting, "coroutine waits", "coroutines wait") + " in pop()"))
    return card("AsyncQueue", *inside, badge=state)


def passthrough_card(stream: Passthrough[Any], pushed: Iterable[tuple[int, str]] = (), count: int = 0) -> Bit:
    """A stream: open or ended, what is unread, and of a watched one the values that have flowed by.

    Args:
        pushed: the last values that were pushed while it was watched, each with its number, oldest first.
        count: how many were pushed while it was watched.
    """
    seen = stream._peek()
    words: dict[str, tuple[str, Tone]] = {
        "open": ("open", "busy"),
        "ended": ("ended", "good"),
        "failed": ("failed", "bad"),
    }
    state = badge(*words[seen.state])
    if seen.state == "open" and seen.closed_by_reader:
        state = badge("left by its reader", "quiet")
    flow = deque(pushed, SHOWN)
    if flow:
        unread = len(seen.values)
        rows = [
            (f"{number}", line(value), badge("unread", "ask") if number > count - unread else badge("read", "quiet"))
            for number, value in flow
        ]
        inside = [table(("#", "value", ""), rows)]
    else:
        inside = [_values(seen.values)] if seen.values else []
    facts = [f"{len(seen.values)} unread"]
    if seen.maxsize is not None:
        facts.append(f"room for {seen.maxsize}")
    facts.append(_count(seen.readers, "reader", "readers"))
    if seen.error is not None:
        inside.append(line(brief(seen.error), "bad"))
    return card("Passthrough", *inside, badge=state, about=", ".join(facts))


def _values(values: list[Any]) -> Bit:
    rows: list[tuple[str | Bit, ...]] = [
        (str(place), line(brief(value)), type(value).__name__) for place, value in enumerate(values[:SHOWN], 1)
    ]
    if len(values) > SHOWN:
        rows.append(("…", f"and {len(values) - SHOWN} more", ""))
    return table(("", "value", "type"), rows)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
