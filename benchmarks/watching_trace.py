"""What a page's main thread did, by Chromium's own trace: its tasks, by the clock and in CPU time.

CPU time beside the clock, since a machine that is busy with something else makes any task long.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from playwright.sync_api import Page

__all__ = ["Trace"]


class Trace:
    """`with Trace(page) as trace: …` Afterwards: `longest` and `clock` (ms of the longest task), `busy` (s), `over_50`."""

    longest = clock = busy = over_50 = 0.0

    def __init__(self, page: Page, *, since: str | None = None) -> None:
        """`since`: only what came after the page's `performance.mark` of that name."""
        self._page = page
        self._since = since
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._session = self._page.context.new_cdp_session(self._page)
        self._session.on("Tracing.dataCollected", lambda told: self._events.extend(told["value"]))
        config = {"includedCategories": ["toplevel", "blink.user_timing"]}
        self._session.send("Tracing.start", {"transferMode": "ReportEvents", "traceConfig": config})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended: list[object] = []
        self._session.on("Tracing.tracingComplete", lambda told: ended.append(told))
        self._session.send("Tracing.end")
        while not ended:
            self._page.wait_for_timeout(20)
        self._session.detach()
        tasks = self._tasks()
        self.longest = max((task["tdur"] for task in tasks), default=0) / 1e3
        self.clock = max((task["dur"] for task in tasks), default=0) / 1e3
        self.busy = sum(task["tdur"] for task in tasks) / 1e6
        self.over_50 = sum(task["tdur"] > 50_000 for task in tasks)

    def _tasks(self) -> list[dict[str, Any]]:
        """Of the page's main thread: the busiest that calls itself so, since Chromium keeps a spare one."""
        named = {(e["pid"], e["tid"]) for e in self._events if e.get("args", {}).get("name") == "CrRendererMain"}
        of_thread: dict[tuple[int, int], list[dict[str, Any]]] = {thread: [] for thread in named}
        for event in self._events:
            thread = event["pid"], event["tid"]
            if thread in named and event["ph"] == "X" and "RunTask" in event["name"] and "tdur" in event:
                of_thread[thread].append(event)
        tasks = max(of_thread.values(), key=lambda some: sum(task["tdur"] for task in some), default=[])
        begins = [e["ts"] for e in self._events if self._since and e["name"] == self._since]
        return [task for task in tasks if not begins or task["ts"] >= begins[-1]]
