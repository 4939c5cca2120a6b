"""One run that clients watch: its orchestrator, its log, and how long it waits for somebody to come back.

A run is not tied to the request that started it. While somebody reads, it runs; when the last reader has left, it runs on
for the grace time, and then it is stopped as by `kill`: tools, shells, subagents and open questions with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Literal

from llm_gateway_nb.errors import HarnessError
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.recording.decisions import answer_to
from llm_gateway_nb.server.log import EventLog
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    ErrorEvent,
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEvent,
    RelayEvent,
    RelayResponse,
    dump_event,
)

__all__ = ["Session"]

_log = logging.getLogger(__name__)

_STOPPING_SECONDS = 15.0
"""How long a run that is told to stop may take; the orchestrator insists after five seconds by itself."""

_ARRIVING_SECONDS = 5.0
"""Between the start of a run and its first reader lies a moment that is no absence."""

Answered = Literal["taken", "late", "unknown"]


class Session:
    """A run and who reads it. Starts at once; `wait` for its end.

    Args:
        session_id: what clients know it by.
        fingerprint: of the request that started it, by which a repeated one is known.
        connected: what its `connected` event says beside the session id.
        grace_seconds: how long it runs on, or is remembered, with nobody reading.
    """

    def __init__(
        self,
        session_id: str,
        harness: GeneratorHarnessModule,
        params: GeneratorInvokeParams,
        *,
        fingerprint: bytes,
        connected: Mapping[str, Any],
        grace_seconds: float,
        keep_bytes: int,
    ) -> None:
        self.id = session_id
        self.fingerprint = fingerprint
        self.log = EventLog(session_id, keep_bytes=keep_bytes)
        self._connected = connected
        self._grace_seconds = grace_seconds
        self._orchestrator = AgentOrchestrator(harness)
        self._relays: dict[str, tuple[str, RelayEvent | BudgetRelayEvent]] = {}  # with the agent that asks
        self._readers = 0
        self._stopped_because: str | None = None
        self._read_out = asyncio.Event()
        self._forgotten: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._root = self._orchestrator.spawn(params)
        self._task = asyncio.create_task(self._run(), name=f"llm_gateway_nb session {session_id}")
        self._wait_for_readers(at_least=_ARRIVING_SECONDS)

    @property
    def over(self) -> bool:
        """Whether the run is."""
        return self._task.done()

    @property
    def idle(self) -> bool:
        """Over, and nobody reads what is left of it."""
        return self.over and not self._readers

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Somebody reads, for as long as this is open."""
        self._readers += 1
        self._stop_waiting()
        try:
            yield
        finally:
            self._readers -= 1
            if self.over and self.log.all_sent:
                self._read_out.set()
            if not self._readers:
                self._wait_for_readers()

    async def frames(self, after: int, *, keep_alive_seconds: float) -> AsyncGenerator[bytes, None]:
        """What comes after event number `after`, behind a `connected` event."""
        data = {"type": "connected", "sessionId": self.id, **self._connected}
        yield self.log.frame("connected", data, number=after)
        async with aclosing(self.log.read(after, keep_alive_seconds=keep_alive_seconds)) as frames:
            async for frame in frames:
                yield frame

    def answer(self, relay_id: str, response: RelayResponse) -> Answered:
        """Answer a question; `late` if somebody, a rule or a clock was faster, or its agent is gone."""
        agent_id, relay = self._relays.get(relay_id, ("", None))
        if relay is None:
            return "unknown"
        if not self._orchestrator.resolve_relay(relay_id, response):
            return "late"
        # Before the agent can go on: whoever reads sees the answer first, then what came of it.
        self._note(agent_id, answer_to(relay, response))
        return "taken"

    def stop(self, because: str) -> None:
        """Have the run end, as by `kill`. Its last events are still read where somebody reads. Harmless when it is over."""
        if self._stopped_because is None and not self.over:
            self._stopped_because = because
            self.log.let_go()
            self._orchestrator.kill(self._root)
            last_word = asyncio.get_running_loop().call_later(_STOPPING_SECONDS, self._task.cancel)
            self._task.add_done_callback(lambda _: last_word.cancel())

    async def wait(self) -> None:
        """Until the run is over."""
        await asyncio.wait([self._task])

    async def read_out(self) -> None:
        """Until the run is over and somebody has read it to its end, or nobody will."""
        await self.wait()
        if self._stopped_because is None:
            await self._read_out.wait()

    async def forgotten(self) -> None:
        """Until the run is over and nobody has read for the grace time."""
        await asyncio.wait([self._task, self._forgotten], return_when=asyncio.ALL_COMPLETED)

    # -- what happens ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            async with aclosing(self._orchestrator.events()) as events:
                async for agent_id, event in events:
                    await self.log.room()
                    self._note(agent_id, event)
        except asyncio.CancelledError:
            _log.warning("The run of session %s did not stop in time and was cut off.", self.id)
            raise
        except Exception as error:  # noqa: BLE001  (whatever went wrong is told to who reads, and ends nothing but this run)
            _log.exception("The run of session %s failed", self.id)
            self._note(self._root, ErrorEvent(run_id=self._root, error=HarnessError(str(error))))
        finally:
            self.log.end({"sessionId": self.id, "reason": self._stopped_because or "complete"})

    def _note(self, agent_id: str, event: HarnessEvent) -> None:
        if isinstance(event, RelayEvent | BudgetRelayEvent):
            self._relays[event.id] = agent_id, event
        self.log.append(event.type, {**dump_event(event), "agentId": agent_id})

    # -- who is there ------------------------------------------------------------------------------------------------

    def _wait_for_readers(self, at_least: float = 0.0) -> None:
        seconds = max(self._grace_seconds, at_least)
        self._timer = asyncio.get_running_loop().call_later(seconds, self.forget)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def forget(self) -> None:
        """Nobody will come back: stop, and let go."""
        self._stop_waiting()
        self.stop("abandoned")
        self._read_out.set()
        if not self._forgotten.done():
            self._forgotten.set_result(None)
