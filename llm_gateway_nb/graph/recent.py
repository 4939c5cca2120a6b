"""Which events came before: a stream that was broken off and taken up again repeats some."""

from __future__ import annotations

from collections import deque

from llm_gateway_nb.types import EventBase

__all__ = ["Recent"]

_REMEMBERED = 4096
"""Doubled events come from a reconnect: they are recent."""


class Recent:
    """The numbered events of late. An event counts as the same only if its run and kind are the same too: streams that
    were merged may each have numbers of their own."""

    __slots__ = ("_order", "_seen")

    def __init__(self) -> None:
        self._seen: set[tuple[int, str, str]] = set()
        self._order: deque[tuple[int, str, str]] = deque()

    def has(self, event: EventBase) -> bool:
        """Whether it came before; if not, it is remembered."""
        if event.seq is None:
            return False
        key = event.seq, event.run_id, event.type  # type: ignore[attr-defined]  # every event has a type
        if key in self._seen:
            return True
        self._seen.add(key)
        self._order.append(key)
        if len(self._order) > _REMEMBERED:
            self._seen.discard(self._order.popleft())
        return False
