"""What a tree of runs has used of its budget, who is asked when it is used up, and what time counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.primitives import Deferred, deferred
from llm_gateway_nb.providers.prices import cost_of
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    HarnessEvent,
    RelayEvent,
    RelayResponse,
    ReplOutputEvent,
    ToolCallEvent,
    ToolResultEvent,
    UsageEvent,
)

__all__ = ["Ledger"]


@dataclass(slots=True, eq=False)
class _Watcher:
    """A turn whose tools run: it is told when the time is up, and when to stop."""

    ask: Callable[[BudgetRelayEvent], bool]
    stop: Callable[[str], None]
    run_id: str
    parent_id: str | None


class Ledger:
    """The limits of one tree of runs. Used from one loop; only a question may be answered from any thread.

    A question has one asker; the others that come to the limit meanwhile wait for the same answer. Yes raises the limit by
    as much again, or to the `limit` in the answer's `input`; no stops the tree.
    """

    def __init__(self, limits: Mapping[str, float]) -> None:
        self._steps = dict(limits)
        self.limits = dict(limits)
        self.used: dict[str, float] = {"tokens": 0, "usd": 0.0, "calls": 0}
        self.stopped: str | None = None
        """Why nothing goes on any more; None while it does."""
        self._unpriced: str | None = None
        self._settled: Deferred[None] | None = None  # of the question that is open
        self._asker: str | None = None
        self._watchers: list[_Watcher] = []
        self._elapsed = 0.0
        self._since: float | None = None
        self._held: set[str] = set()  # open questions: time in which a person is asked does not count
        self._timer: asyncio.TimerHandle | None = None
        self._ended = True

    # -- what is used ------------------------------------------------------------------------------------------------

    def count(self, event: HarnessEvent, asked: set[str]) -> None:
        """Take down what an event of the tree uses. `asked` keeps the open questions of one stream."""
        match event:
            case UsageEvent():
                self.used["tokens"] += event.input_tokens + event.output_tokens
                cost = cost_of(event)
                if cost is None:
                    self._unpriced = event.model or "the model"
                else:
                    self.used["usd"] += cost
            case RelayEvent():
                asked.add(event.tool_call_id)
                self._hold(event.tool_call_id)
            case ToolCallEvent() | ToolResultEvent() | ReplOutputEvent() if event.id in asked:
                self.decided(event.id, asked)
            case _:
                pass

    def decided(self, tool_call_id: str, asked: set[str]) -> None:
        """Nobody is asked about this call any more."""
        asked.discard(tool_call_id)
        self._release(tool_call_id)

    def count_call(self) -> None:
        """A model is about to be called."""
        self.used["calls"] += 1

    def begin(self) -> bool:
        """Somebody runs on this budget; true if they are the first of a tree. A tree that comes after one that was stopped
        asks anew: what was used stays used, and what was refused was refused to that one."""
        first, self._ended = self._ended, False
        if first:
            self.stopped = None
        return first

    def start_clock(self) -> None:
        """Seconds count from now on, but for those in which a person is asked."""
        if self._since is None and not self._held and not self._ended:
            self._since = asyncio.get_running_loop().time()
            self._arm()

    def stop_clock(self) -> None:
        """The tree is over."""
        self._ended = True
        self._pause()

    def over(self) -> str | None:
        """The unit of a limit that is reached.

        Raises:
            ConfigurationError: there is a limit in dollars, and a model without a known price.
        """
        if "usd" in self.limits and self._unpriced is not None:
            raise ConfigurationError(
                f"{self._unpriced!r} has no known price, so a budget in usd can't be kept; give it tokens= instead."
            )
        self.used["seconds"] = self._seconds()
        return next((unit for unit, limit in self.limits.items() if self.used[unit] >= limit), None)

    # -- the question ------------------------------------------------------------------------------------------------

    async def check(
        self, run_id: str, parent_id: str | None, *, asker: str | None = None
    ) -> AsyncGenerator[BudgetRelayEvent, None]:
        """Whether to go on: asks, if a limit is reached, and waits for the answer; then `stopped` says.

        `asker` is whose question it is, where one run has several who may ask.
        """
        asker = asker or run_id
        try:
            while self.stopped is None:
                if self._settled is None:
                    unit = self.over()
                    if unit is None:
                        return
                    yield self._question(unit, run_id, parent_id, asker)
                if self._settled is not None:
                    await self._settled.promise
        finally:
            self.withdraw(asker)

    def withdraw(self, asker: str) -> None:
        """Who asked is gone: another one that waits asks anew."""
        if self._asker == asker and self._settled is not None:
            self._close_question()

    @contextmanager
    def watching(
        self,
        ask: Callable[[BudgetRelayEvent], bool],
        stop: Callable[[str], None],
        *,
        run_id: str,
        parent_id: str | None,
    ) -> Iterator[None]:
        """While tools run: `ask` puts a question when the time is up, `stop(why)` ends them when the tree is stopped."""
        watcher = _Watcher(ask, stop, run_id, parent_id)
        self._watchers.append(watcher)
        self._arm()
        try:
            yield
        finally:
            self._watchers.remove(watcher)

    def _question(self, unit: str, run_id: str, parent_id: str | None, asker: str) -> BudgetRelayEvent:
        self._settled, self._asker = deferred(), asker
        self._hold("budget")
        loop, settled = asyncio.get_running_loop(), self._settled

        def respond(response: RelayResponse) -> bool:
            if settled.state != "pending":
                return False
            loop.call_soon_threadsafe(self._answered, settled, unit, response)
            return True

        return BudgetRelayEvent(
            run_id=run_id,
            parent_id=parent_id,
            unit=unit,
            limit=self.limits[unit],
            used=self.used[unit],
            respond=respond,
        )

    def _answered(self, settled: Deferred[None], unit: str, response: RelayResponse) -> None:
        if settled is not self._settled:
            return  # withdrawn meanwhile
        if response.approved:
            raised = (response.input or {}).get("limit")
            known = isinstance(raised, int | float) and not isinstance(raised, bool) and raised > self.used[unit]
            while self.limits[unit] <= self.used[unit]:
                self.limits[unit] = (
                    float(raised) if known and raised is not None else self.limits[unit] + self._steps[unit]
                )
        else:
            amount = f"{self.used[unit]:.4g} of {self.limits[unit]:.4g} {unit} are used"
            self.stopped = f"The budget is used up ({amount})" + (f": {response.reason}" if response.reason else ".")
        self._close_question()
        if self.stopped is not None:
            for watcher in list(self._watchers):
                watcher.stop(self.stopped)

    def _close_question(self) -> None:
        settled, self._settled, self._asker = self._settled, None, None
        self._release("budget")
        if settled is not None:
            settled.resolve(None)

    # -- time --------------------------------------------------------------------------------------------------------

    def _seconds(self) -> float:
        running = 0.0 if self._since is None else asyncio.get_running_loop().time() - self._since
        return self._elapsed + running

    def _hold(self, question: str) -> None:
        self._held.add(question)
        self._pause()

    def _release(self, question: str) -> None:
        if question in self._held:
            self._held.discard(question)
            self.start_clock()

    def _pause(self) -> None:
        if self._since is not None:
            self._elapsed, self._since = self._seconds(), None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if "seconds" in self.limits and self._since is not None and self._timer is None and self.stopped is None:
            left = max(0.0, self.limits["seconds"] - self._seconds())
            self._timer = asyncio.get_running_loop().call_later(left, self._time_up)

    def _time_up(self) -> None:
        self._timer = None
        if self.stopped is not None or self._settled is not None or not self._watchers:
            return  # or nobody runs tools: it is noticed before the next model call
        if self._seconds() < self.limits["seconds"]:
            self._arm()
            return
        self.used["seconds"] = self._seconds()
        watcher = self._watchers[0]
        if not watcher.ask(self._question("seconds", watcher.run_id, watcher.parent_id, watcher.run_id)):
            self._close_question()  # its tools are done: it is noticed before the next model call

    def __repr__(self) -> str:
        used = ", ".join(f"{unit}={self.used.get(unit, 0):g}/{limit:g}" for unit, limit in self.limits.items())
        return f"Ledger({used})"


def limits_of(given: Mapping[str, Any]) -> dict[str, float]:
    """The limits that were given, checked.

    Raises:
        ConfigurationError: none at all, or one that is no positive number.
    """
    limits = {unit: value for unit, value in given.items() if value is not None}
    for unit, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ConfigurationError(f"A budget in {unit} is a number above 0, not {value!r}.")
    if not limits:
        raise ConfigurationError("A budget needs a limit: tokens=, usd=, seconds= or calls=.")
    return limits
