"""A promise that is settled from outside: one side awaits it, the other resolves or rejects it, once."""

from __future__ import annotations

import asyncio
from threading import RLock
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar, cast

from llm_gateway_nb.primitives._wake import Waiter, check_raisable, wake

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from types import TracebackType

T = TypeVar("T")


class Deferred(Generic[T]):
    """A value that is still to come, in the hand of whoever will bring it.

    It belongs to no event loop: make it anywhere, settle it from any thread, and await it from several loops at once.
    The first `resolve` or `reject` settles it for good. Nothing has to be closed, and a rejection that nobody awaits
    is dropped without a word.

    Example:
        answer: Deferred[str] = deferred()
        button.on_click(lambda _: answer.resolve("yes"))
        await answer.promise
    """

    __slots__ = ("__weakref__", "_promise")

    def __init__(self) -> None:
        self._promise = _Promise[T]()

    @property
    def promise(self) -> Awaitable[T]:
        """What to await, before or after settling, as often and from as many tasks as you like.

        Waiters resume in the order in which they began to wait. Cancelling one cancels only that one: the others go
        on waiting, and the deferred can still be settled. The value is given as it is, even if it is an awaitable.
        """
        return self._promise

    @property
    def state(self) -> Literal["pending", "resolved", "rejected"]:
        return self._promise.state

    def resolve(self, value: T) -> bool:
        """Give the value to everyone who waits or will wait. False, and no effect, if it was settled before."""
        return self._promise.settle(value, None)

    def reject(self, error: BaseException) -> bool:
        """Raise `error` in everyone who waits or will wait. False, and no effect, if it was settled before.

        Raises:
            TypeError: `error` is not an exception instance, or is a `StopIteration` or `StopAsyncIteration`.
        """
        check_raisable(error)
        return self._promise.settle(None, error)

    def _peek(self) -> _Seen:
        promise = self._promise
        with promise._lock:
            return _Seen(promise.state, promise._value, promise._error, len(promise._waiters))

    def __repr__(self) -> str:
        return f"Deferred(state={self.state!r})"


def deferred() -> Deferred[T]:
    """Make a `Deferred`; annotate the name it goes to, `answer: Deferred[str] = deferred()`."""
    return Deferred()


class _Seen(NamedTuple):
    """What a view shows of it."""

    state: Literal["pending", "resolved", "rejected"]
    value: object
    error: BaseException | None
    waiting: int


class _Promise(Generic[T]):
    """The side that is awaited. An own awaitable and not an `asyncio.Future`, which belongs to a single loop, is
    cancelled with the first of its waiters, and complains at exit of an error that nobody took."""

    __slots__ = ("__weakref__", "_error", "_lock", "_traceback", "_value", "_waiters", "state")

    def __init__(self) -> None:
        self.state: Literal["pending", "resolved", "rejected"] = "pending"
        self._value: T | None = None
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._waiters: dict[Waiter, None] = {}  # a dict for its order and its cheap removal
        self._lock = RLock()  # re-entrant: the garbage collector may end a forgotten waiter while we hold it

    def settle(self, value: T | None, error: BaseException | None) -> bool:
        with self._lock:
            if self.state != "pending":
                return False
            self._value, self._error = value, error
            self._traceback = None if error is None else error.__traceback__
            self.state = "resolved" if error is None else "rejected"
            waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            wake(waiter)
        return True

    def __await__(self) -> Generator[object, None, T]:
        waiter: Waiter | None = None
        with self._lock:
            if self.state == "pending":
                waiter = asyncio.get_running_loop().create_future()
                self._waiters[waiter] = None
        if waiter is not None:
            try:
                yield from waiter
            finally:
                with self._lock:
                    self._waiters.pop(waiter, None)
        if self._error is None:
            return cast("T", self._value)
        try:
            # The traceback starts anew for each waiter; without this it would grow by the frames of all before.
            raise self._error.with_traceback(self._traceback)
        finally:
            del self  # the error refers to this frame, which must not refer back to it

    def __repr__(self) -> str:
        return f"Promise(state={self.state!r})"
