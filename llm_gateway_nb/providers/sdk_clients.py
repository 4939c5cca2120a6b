"""The SDK clients of one `LLM`: one a loop, because a connection belongs to the loop that opened it.

A client is closed with its loop, with its `LLM`, or at exit, whichever comes first, and quietly: a notebook's user never
made it, and shall not read of an "Unclosed client session".
"""

from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["ClientPool", "Lease"]


class _Client(Protocol):
    async def close(self) -> None: ...


ClientT = TypeVar("ClientT", bound=_Client)


@dataclass(slots=True, eq=False)
class Lease(Generic[ClientT]):
    """A client in use.

    Attributes:
        http: the HTTP client below it.
        until_loop_ends: a generator that waits; closing it closes the client, and an ending loop closes its generators.
    """

    client: ClientT
    http: Any
    until_loop_ends: AsyncGenerator[None, None]
    users: int = field(default=0)
    is_retired: bool = field(default=False)


class ClientPool(Generic[ClientT]):
    """
    Args:
        make: gives a client and the HTTP client that it was made with. It must not refer to the pool's owner, or only the
            cyclic garbage collector would let the connections go.
    """

    def __init__(self, make: Callable[[], tuple[ClientT, Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._leases: dict[asyncio.AbstractEventLoop, Lease[ClientT]] = {}
        weakref.finalize(self, _let_go, self._leases, only_idle=True).atexit = False
        _pools.add(self)

    def enter(self) -> Lease[ClientT]:
        """The running loop's client; `leave` it afterwards."""
        lease = self.get()
        lease.users += 1
        return lease

    def get(self) -> Lease[ClientT]:
        """The running loop's client, made if need be, which takes a tenth of a second."""
        loop = asyncio.get_running_loop()
        lease = self._leases.get(loop)
        if lease is None:
            client, http = self._make()
            lease = Lease(client, http, _until_loop_ends(client))
            with suppress(StopIteration):  # up to its `yield`; from here on the loop knows it
                lease.until_loop_ends.asend(None).send(None)
            with self._lock:
                for dead in [other for other in self._leases if other.is_closed()]:
                    _close_quietly(self._leases.pop(dead))
                self._leases[loop] = lease
        return lease

    async def leave(self, lease: Lease[ClientT]) -> None:
        """Done with it; the last one out closes what was retired meanwhile."""
        lease.users -= 1
        if lease.is_retired and not lease.users:
            await lease.until_loop_ends.aclose()

    async def aclose(self) -> None:
        """Close the running loop's client now, and those of other loops once they are idle."""
        lease = self._pop(asyncio.get_running_loop())
        if lease is not None:
            await lease.until_loop_ends.aclose()
        self.retire()

    def retire(self) -> None:
        """Let every client finish what it does, then close it; callable from any thread."""
        for loop in list(self._leases):
            lease = self._pop(loop)
            if lease is None:
                continue
            if loop.is_running():
                loop.call_soon_threadsafe(_retire, loop, lease)
            else:
                _close_quietly(lease)

    def _pop(self, loop: asyncio.AbstractEventLoop) -> Lease[ClientT] | None:
        with self._lock:
            return self._leases.pop(loop, None)


_pools: weakref.WeakSet[ClientPool[Any]] = weakref.WeakSet()
_closing: set[asyncio.Task[None]] = set()


async def _until_loop_ends(client: _Client) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.close()


def _retire(loop: asyncio.AbstractEventLoop, lease: Lease[Any]) -> None:
    lease.is_retired = True
    if not lease.users:
        task = loop.create_task(lease.until_loop_ends.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)


def _let_go(leases: dict[asyncio.AbstractEventLoop, Lease[Any]], *, only_idle: bool) -> None:
    """Close what no loop will close: a running loop closes a client when its generator is collected."""
    for loop, lease in list(leases.items()):
        if not (only_idle and loop.is_running()):
            _close_quietly(lease)
    leases.clear()


def _close_quietly(lease: Lease[Any]) -> None:
    """Close without a loop to wait in. aiohttp has no public way to do that, so this looks for the session where the SDKs'
    transport keeps it, and calls the part of its connector's `close` that does not wait; where one of them is not found,
    nothing worse happens than a line on stderr."""
    transports = [getattr(lease.http, "_transport", None), *getattr(lease.http, "_mounts", {}).values()]
    for transport in transports:
        session = getattr(transport, "client", None)
        connector = getattr(session, "connector", None)
        if session is None or connector is None:
            continue
        session.detach()
        close_now = getattr(connector, "_close_immediately", None) or getattr(connector, "_close", None)
        if close_now is not None:
            close_now()
    with suppress(StopIteration, RuntimeError):
        lease.until_loop_ends.aclose().send(None)


@atexit.register
def _at_exit() -> None:
    for pool in list(_pools):
        _let_go(pool._leases, only_idle=False)
