"""Tell a view that a primitive may look different now, and cost those that nobody watches nothing.

The watched object gets a class of its own for the time, the same but that it tells; no other object of its class notices.
A hook in the primitives would be paid by every `push`, and a timer that looks would not turn while a cell blocks the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any
from weakref import WeakKeyDictionary, ref

from llm_gateway_nb.primitives import AsyncQueue, Deferred, Passthrough
from llm_gateway_nb.primitives.deferred import _Promise

__all__ = ["NOTHING", "Watchable", "watch"]

Watchable = Deferred[Any] | AsyncQueue[Any] | Passthrough[Any]
NOTHING: Any = object()
Changed = Callable[[Any], None]
"""Called with the value where one was pushed, else with `NOTHING`; in whatever thread it happened. Must not raise."""


class _TellingPromise(_Promise[Any]):
    __slots__ = ()

    def settle(self, value: Any, error: BaseException | None) -> bool:
        settled = super().settle(value, error)
        _tell(self)
        return settled

    def __await__(self) -> Generator[object, None, Any]:
        _tell(self)
        try:
            return (yield from super().__await__())
        finally:
            _tell(self)


class _TellingQueue(AsyncQueue[Any]):
    __slots__ = ()

    def push(self, value: Any) -> None:
        super().push(value)
        _tell(self, value)

    async def _take(self, taker: Any) -> Any:
        _tell(self)
        try:
            return await super()._take(taker)
        finally:
            _tell(self)


class _TellingPassthrough(Passthrough[Any]):
    __slots__ = ()

    def push(self, value: Any) -> None:
        super().push(value)
        _tell(self, value)

    async def send(self, value: Any) -> None:
        await super().send(value)
        _tell(self, value)

    def _end(self, error: BaseException | None) -> bool:
        ended = super()._end(error)
        _tell(self)
        return ended

    def _reader_came(self) -> None:
        super()._reader_came()
        _tell(self)

    def _reader_left(self, *, early: bool) -> None:
        super()._reader_left(early=early)
        _tell(self)


_TELLING: dict[type, type] = {
    _Promise: _TellingPromise,
    AsyncQueue: _TellingQueue,
    Passthrough: _TellingPassthrough,
}
_watchers: WeakKeyDictionary[Any, list[Changed]] = WeakKeyDictionary()


def watch(thing: Watchable, changed: Changed) -> Callable[[], None]:
    """From now on call `changed` when `thing` may look different; what this returns ends it.

    Of an instance of a subclass nothing is told: what that does is not known here.
    """
    parts: list[tuple[Any, Changed]]
    match thing:
        case Deferred():
            parts = [(thing._promise, changed)]
        case Passthrough():
            # Readers take from its queue, into which its end goes, too, which is no value.
            parts = [(thing, changed), (thing._queue, lambda _value: changed(NOTHING))]
        case _:
            parts = [(thing, changed)]
    for part, told in parts:
        _watchers.setdefault(part, []).append(told)
        if type(part) in _TELLING:
            part.__class__ = _TELLING[type(part)]
    known = [(ref(part), told) for part, told in parts]  # who watches keeps nothing alive
    del parts, part

    def end() -> None:
        for find, told in known:
            part = find()
            watchers = _watchers.get(part, []) if part is not None else []
            if told in watchers:
                watchers.remove(told)
            if not watchers and type(part) in _PLAIN:
                _watchers.pop(part, None)
                part.__class__ = _PLAIN[type(part)]

    return end


_PLAIN = {telling: plain for plain, telling in _TELLING.items()}


def _tell(part: Any, value: Any = NOTHING) -> None:
    for changed in tuple(_watchers.get(part, ())):
        changed(value)
