"""A stream with a hand on one end and `async for` on the other.

Values, and behind the last of them a mark for the end, travel through one `AsyncQueue`; so a cancelled reader loses
nothing, and the end cannot overtake a value. A bounded stream has a second queue that holds its room, one entry a
place: a producer takes a place, a reader gives it back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, auto
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, TypeVar

from llm_gateway_nb.errors import StreamClosedError
from llm_gateway_nb.primitives._wake import Waiter, check_raisable, turn_away
from llm_gateway_nb.primitives.async_queue import AsyncQueue

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")


class _Mark(Enum):
    END = auto()


_END: Final = _Mark.END


class Passthrough(Generic[T]):
    """Push values in from anywhere, read them with `async for value in stream.iterable`.

    Values come out in the order they went in, and each goes to one reader. The producer closes the stream, with `end`
    or `fail`, and every reader sees that after the values. A reader may leave before: by `aclose()`, or by dropping
    its iterator, as a `break` out of `async for` does. What one reader leaves, the next one gets. All of it may be
    used from any thread, and made with no running loop.

    Args:
        maxsize: how many values may lie in the stream unread; None (or 0, as in `asyncio.Queue`) for no bound.

    Raises:
        ValueError: `maxsize` is negative.
    """

    __slots__ = (
        "__weakref__",
        "_closed_by_reader",
        "_ended",
        "_error",
        "_lock",
        "_pushing",
        "_queue",
        "_readers",
        "_room",
        "_sealed",
        "_traceback",
        "maxsize",
    )

    def __init__(self, maxsize: int | None = None) -> None:
        if maxsize is not None and maxsize < 0:
            raise ValueError(f"maxsize is a number of values, not {maxsize!r}; leave it out for no bound.")
        self.maxsize: Final = maxsize or None
        self._queue: AsyncQueue[Any] = AsyncQueue()  # of T and _END
        self._room: AsyncQueue[None] | None = None
        if self.maxsize is not None:
            self._room = AsyncQueue()
            for _ in range(self.maxsize):
                self._room.push(None)
        # No value may slip in behind the end. A lock around every push would cost more than the push; so whoever pushes
        # leaves a token here before he looks whether the stream has ended, and the mark goes in once no token is left.
        self._pushing: deque[None] = deque()
        self._ended = False
        self._sealed = False  # the mark is in
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._readers = 0  # open ones
        self._closed_by_reader = False
        # Re-entrant, because a reader may be garbage collected, and so leave, while we hold it.
        self._lock = RLock()

    def push(self, value: T) -> None:
        """Put a value into the stream, to be read whenever; never blocks.

        It asks for no reader: with `closed_by_reader` the value lies there for a reader that may yet come.

        Raises:
            StreamClosedError: the stream was ended.
            asyncio.QueueFull: it has a `maxsize`, and no room that is not promised to a waiting `send`. The value was
                not put in.
        """
        pushing = self._pushing
        pushing.append(None)
        try:
            if self._ended:
                raise self._closed_error()
            if self._room is not None and not self._take_place(self._room):
                raise asyncio.QueueFull(f"{self!r} is full; `await send(value)` waits for room.")
            queue = self._queue  # what follows is `queue.push(value)`
            queue._values.append(value)
            if queue._line:
                queue._call_one()
        finally:
            pushing.pop()
            if self._ended:
                self._seal()

    async def send(self, value: T) -> None:
        """Put a value into the stream, waiting for room if it has a `maxsize`. Callers get room in their order.

        Does not yield to the loop if there is room. On cancel the value was not put in.

        Raises:
            StreamClosedError: the stream was ended, or its last reader left; also while this waits for room.
        """
        room = self._room
        if room is not None and not self._take_place(room):
            await room.pop()
        self._pushing.append(None)
        try:
            if self._ended or self._closed_by_reader:
                if room is not None:
                    room.push(None)  # for the next who waits: so the news goes down the line
                raise self._closed_error()
            self._queue.push(value)
        finally:
            self._pushing.pop()
            if self._ended:
                self._seal()

    def end(self) -> bool:
        """End the stream: readers get what is in it, then their iteration finishes. False if it was ended before."""
        return self._end(None)

    def fail(self, error: BaseException) -> bool:
        """End the stream with an error: every reader, now or later, gets the error after what is in the stream.

        False, and no effect, if it was ended before.

        Raises:
            TypeError: `error` is no exception instance, or is a `StopIteration` or `StopAsyncIteration`.
        """
        check_raisable(error)
        return self._end(error)

    @property
    def iterable(self) -> _Iterable[T]:
        """The reading end. Each `async for` over it, or `aiter()` of it, is a reader of its own, with `aclose()`."""
        return _Iterable(self)

    @property
    def closed_by_reader(self) -> bool:
        """Whether a reader left before it saw the end, and no other was open. Once True it stays so."""
        return self._closed_by_reader

    @property
    def _state(self) -> Literal["open", "ended", "failed"]:
        return "open" if not self._ended else "ended" if self._error is None else "failed"

    def _peek(self) -> _Seen:
        with self._lock:
            values, _ = self._queue._peek()
            unread = [value for value in values if value is not _END]
            return _Seen(self._state, unread, self._error, self._readers, self.maxsize, self._closed_by_reader)

    def __repr__(self) -> str:
        with self._lock:
            queue = self._queue
            unread = len(queue._values) - self._sealed - len(queue._called) - len(queue._line)
            return f"Passthrough(state={self._state!r}, length={max(0, unread)})"

    def _end(self, error: BaseException | None) -> bool:
        with self._lock:
            if self._ended:
                return False
            self._ended, self._error = True, error
            self._traceback = None if error is None else error.__traceback__
            self._seal()
            if self._room is not None:
                self._room.push(None)
            return True

    def _seal(self) -> None:
        """Put the mark in, unless somebody pushes at this very moment; then he does it."""
        with self._lock:
            if not self._sealed and not self._pushing:
                self._sealed = True
                self._queue.push(_END)

    def _take_place(self, room: AsyncQueue[None]) -> bool:
        """Take a place that is promised to nobody, if there is one now."""
        # Once the readers have left, one entry is no place but the news of it.
        if room._called or room._line or len(room._values) <= self._closed_by_reader:
            return False
        try:
            room._values.popleft()
        except IndexError:  # another thread was quicker
            return False
        return True

    def _closed_error(self) -> StreamClosedError:
        if self._ended:
            return StreamClosedError(f"{self!r} takes no value after its end.")
        return StreamClosedError(f"{self!r} was left by its last reader; `push` would put a value in all the same.")

    def _raise_error(self) -> None:
        """Raise what the stream failed with, if it did."""
        if self._error is not None:
            try:
                # The traceback starts anew for each reader; without this it would grow by the frames of all before.
                raise self._error.with_traceback(self._traceback)
            finally:
                del self  # the error refers to this frame, which must not refer back to it

    def _reader_came(self) -> None:
        with self._lock:
            self._readers += 1

    def _reader_left(self, *, early: bool) -> None:
        with self._lock:
            self._readers -= 1
            if early and not self._readers and not self._closed_by_reader:
                self._closed_by_reader = True
                if self._room is not None:
                    self._room.push(None)


def create_passthrough(maxsize: int | None = None) -> Passthrough[T]:
    """Make a `Passthrough`; annotate the name it goes to, `words: Passthrough[str] = create_passthrough()`."""
    return Passthrough(maxsize)


class _Seen(NamedTuple):
    """What a view shows of it."""

    state: Literal["open", "ended", "failed"]
    values: list[Any]
    error: BaseException | None
    readers: int
    maxsize: int | None
    closed_by_reader: bool


class _Iterable(Generic[T]):
    __slots__ = ("_stream",)

    def __init__(self, stream: Passthrough[T]) -> None:
        self._stream = stream

    def __aiter__(self) -> _Reader[T]:
        return _Reader(self._stream)

    def __repr__(self) -> str:
        return f"{self._stream!r}.iterable"


class _Reader(Generic[T]):
    """An iterator and not an async generator: several tasks may await it at once, `aclose` may come while one does,
    and one that is dropped is closed there and then, not when the loop finds the time."""

    __slots__ = ("_queue", "_stream", "closed", "counts", "waiting")

    mark: object = _END

    def __init__(self, stream: Passthrough[T]) -> None:
        self.closed = False
        self._stream = stream
        self._queue = stream._queue
        self.counts = stream._room is not None  # every value makes room
        self.waiting: deque[Waiter] = deque()
        stream._reader_came()

    def __aiter__(self) -> _Reader[T]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, T]:
        """The next value, waiting for one if need be. On cancel it stays in the stream, first in line.

        Raises:
            StopAsyncIteration: this reader was closed, or the stream was ended and everything in it has been taken.
        """
        return self._queue._take(self)

    async def aclose(self) -> None:
        """Leave the stream. A task that waits for a value here sees the end of its iteration; other readers go on."""
        self._close(early=True)

    def __del__(self) -> None:
        self._close(early=True)

    def _close(self, *, early: bool) -> None:
        if not self.closed:
            self.closed = True
            self._stream._reader_left(early=early)
            for waiter in tuple(self.waiting):
                turn_away(waiter, StopAsyncIteration())

    def took(self, value: T) -> T:
        stream = self._stream
        if value is _END:
            stream._queue.push(value)  # back, for the other readers
            self._close(early=False)
            stream._raise_error()
            raise StopAsyncIteration
        if stream._room is not None:
            stream._room.push(None)
        return value

    def __repr__(self) -> str:
        return f"PassthroughReader(closed={self.closed!r})"
