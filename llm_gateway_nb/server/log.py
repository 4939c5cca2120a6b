"""What a stream has said, numbered and kept for a while: a client that was cut off goes on where it was.

One writer, any number of readers. What was handed to some reader is kept up to a bound in bytes, the oldest goes first;
what nobody has been handed yet is never dropped: the writer waits instead, and with it the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic_core import to_json

from llm_gateway_nb.errors import HarnessError

__all__ = ["EventLog", "EventsGoneError"]

_CHUNK = 64 * 2**10
"""Bytes: events that are there already go out together, up to about this."""


_GAP_SECONDS = 0.01
"""Between two sendings: the first event goes at once, those that follow on its heels go together. A model's words come
slower; a recording, or many agents at once, do not."""


_OURS = frozenset({"connected", "done"})
"""Names of what the stream says of itself; an event of a run that has such a kind goes without its name."""


class EventsGoneError(HarnessError):
    """A reader wants to go on from where the log does not reach back to any more."""


class EventLog:
    """Frames of server-sent events, numbered from 1, with ids `<stream id>/<number>`.

    Args:
        stream_id: the first half of the ids.
        keep_bytes: how much of what has been sent is kept.
    """

    def __init__(self, stream_id: str, *, keep_bytes: int) -> None:
        self.stream_id = stream_id
        self._keep_bytes = keep_bytes
        self._frames: dict[int, bytes] = {}
        self._size = 0
        self._first = 1  # the oldest that is kept
        self._last = 0
        self._sent = 0  # the newest that some reader was handed
        self._let_go = False
        self.ended = False
        self._readers: set[asyncio.Future[None]] = set()
        self._writer: asyncio.Future[None] | None = None

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return self._last

    @property
    def all_sent(self) -> bool:
        """Whether it has ended, and some reader was handed everything."""
        return self.ended and self._sent == self._last

    def append(self, kind: str, data: dict[str, Any]) -> None:
        """Write one event; its number goes into `data` as `seq`. Ignores the bound."""
        self._append("message" if kind in _OURS else kind, data)

    def _append(self, kind: str, data: dict[str, Any]) -> None:
        number = self._last = self._last + 1
        frame = self._frames[number] = self.frame(kind, {**data, "seq": number}, number=number)
        self._size += len(frame)
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)

    def frame(self, kind: str, data: dict[str, Any], *, number: int) -> bytes:
        """An event as it goes over the wire; `number` is where a reader who has it goes on."""
        name = kind if kind.isidentifier() else "message"  # a kind that we do not know may hold anything, line ends too
        return format_sse_event(data_str=to_json(data).decode(), event=name, id=f"{self.stream_id}/{number}")

    async def room(self) -> None:
        """Wait until another event fits: until a reader has been handed enough, or `let_go`."""
        while not self._fits():
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await self._writer
            finally:
                self._writer = None

    def let_go(self) -> None:
        """From now on nothing makes the writer wait: the run is to end, whether anybody reads or not."""
        self._let_go = True
        self._wake_writer()

    def end(self, data: dict[str, Any]) -> None:
        """Write the `done` event, by which a reader tells an end from a cut; readers finish behind it."""
        if not self.ended:
            self.ended = True
            self._append("done", {"type": "done", **data})

    def check(self, after: int) -> None:
        """
        Raises:
            EventsGoneError: what comes after number `after` is not all here.
        """
        if not self._first - 1 <= after <= self._last:
            raise EventsGoneError(
                f"The events after number {after} are not here; this stream has numbers {self._first} to {self._last}."
            )

    async def read(self, after: int, *, keep_alive_seconds: float) -> AsyncGenerator[bytes, None]:
        """What comes after number `after`, to the end; a comment whenever nothing happened for a while.

        Raises:
            EventsGoneError: this reader is so slow, with a faster one beside it, that what it needs was dropped.
        """
        at = after
        loop = asyncio.get_running_loop()
        not_before = 0.0
        while True:
            if at < self._last:
                wait = not_before - loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                not_before = loop.time() + _GAP_SECONDS
                self.check(at)
                chunk = bytearray()
                while at < self._last and len(chunk) < _CHUNK:
                    at += 1
                    chunk += self._frames[at]
                yield bytes(chunk)
                if at > self._sent:
                    self._sent = at
                    self._wake_writer()
            elif self.ended:
                return
            elif not await self._more(keep_alive_seconds):
                yield KEEPALIVE_COMMENT

    async def _more(self, seconds: float) -> bool:
        """Wait for another event; False if none came in time."""
        reader = asyncio.get_running_loop().create_future()
        self._readers.add(reader)
        try:
            await asyncio.wait([reader], timeout=seconds)
            return reader.done()
        finally:
            self._readers.discard(reader)

    def _fits(self) -> bool:
        while self._size > self._keep_bytes and self._first <= self._sent:
            self._size -= len(self._frames.pop(self._first))
            self._first += 1
        return self._size <= self._keep_bytes or self._let_go

    def _wake_writer(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def __repr__(self) -> str:
        return f"EventLog(events={self._last}, kept={len(self._frames)}, ended={self.ended})"
