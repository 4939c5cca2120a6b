"""All sessions of a server: found by id, forgotten when nobody comes back, stopped together."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from llm_gateway_nb._words import counted
from llm_gateway_nb.server.session import Session
from llm_gateway_nb.server.wire import RefusedError

__all__ = ["Sessions"]

_REMEMBERED = 10_000
"""Ids of runs that are gone: a request that comes again late must not start its run once more."""


class Sessions:
    """
    Args:
        limit: how many there may be at once.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._sessions: dict[str, Session] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._keepers: set[asyncio.Task[None]] = set()
        self._closing = False
        self._opened = asyncio.Event()

    def start(self) -> None:
        """Take sessions: a server that was stopped is started again."""
        self._closing = False

    def open(self, session_id: str, fingerprint: bytes, make: Callable[[], Session]) -> Session:
        """The session that `make` gives; or, where the same request came before, the one that it started.

        Raises:
            RefusedError: 409 for an id that another request has, or had; 429 where there are too many; 503 at the end.
        """
        known = self._sessions.get(session_id)
        if known is not None:
            if known.fingerprint != fingerprint:
                raise RefusedError(409, f"Session {session_id!r} was started by another request.")
            return known
        if session_id in self._gone:
            raise RefusedError(409, f"The run of session {session_id!r} is over.")
        if self._closing:
            raise RefusedError(503, "The server is shutting down.")
        if len(self._sessions) >= self._limit:
            idle = next((session for session in self._sessions.values() if session.idle), None)
            if idle is None:
                raise RefusedError(429, f"No more than {counted(self._limit, 'run')} at once; try again later.")
            self._drop(idle)
        session = self._sessions[session_id] = make()
        self._opened.set()
        keeper = asyncio.create_task(self._keep(session), name=f"llm_gateway_nb keeper of {session_id}")
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)
        return session

    def get(self, session_id: str) -> Session:
        """
        Raises:
            RefusedError: 404 for an id that is not known (any more).
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise RefusedError(404, f"There is no session {session_id!r} (any more).")
        return session

    async def served_one(self, *, within_seconds: float) -> None:
        """Until the first run is over and was read to its end; or until the time is up, if none came."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._opened.wait()
        except TimeoutError:
            return
        for session in list(self._sessions.values()):
            await session.read_out()

    def rule_out(self, session_id: str) -> None:
        """Take note that this id, though not known, is not to start a run any more."""
        self._gone[session_id] = None
        while len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)

    def stop(self) -> None:
        """Tell every run to end, and take no new ones: readers get the last events, and their streams finish."""
        self._closing = True
        for session in list(self._sessions.values()):
            session.stop("shutdown")

    async def aclose(self) -> None:
        """`stop`, and wait until every run has ended."""
        self.stop()
        await asyncio.gather(*(session.wait() for session in list(self._sessions.values())))
        keepers = list(self._keepers)
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep(self, session: Session) -> None:
        try:
            await session.forgotten()
        finally:
            session.forget()
            self._drop(session)

    def _drop(self, session: Session) -> None:
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]
            self.rule_out(session.id)

    def __len__(self) -> int:
        return len(self._sessions)

    def __repr__(self) -> str:
        return f"Sessions({len(self._sessions)} of {self._limit})"
