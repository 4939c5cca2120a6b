"""A primitive on a page: what it holds, as it changes while later cells push and pop."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, ref

from llm_gateway_nb.notebook.views.bits import brief
from llm_gateway_nb.notebook.views.cards import card_of
from llm_gateway_nb.notebook.views.live import LiveCard
from llm_gateway_nb.notebook.views.primitives import SHOWN, passthrough_card
from llm_gateway_nb.notebook.views.watch import NOTHING, Watchable, watch
from llm_gateway_nb.primitives import Passthrough

__all__ = ["PrimitiveCard"]


class PrimitiveCard(LiveCard):
    """Shows a primitive, and does not keep it alive: when that is gone, its last picture stays."""

    _known: ClassVar[WeakKeyDictionary[Watchable, PrimitiveCard]] = WeakKeyDictionary()

    def __init__(self, thing: Watchable) -> None:
        self._thing = ref(thing)
        self._flow: deque[tuple[int, str]] = deque(maxlen=SHOWN)
        self._count = 0
        if isinstance(thing, Passthrough):  # what lies in it already has flowed in, too
            for value in thing._peek().values:
                self._pushed(value)
        self._end_watching = watch(thing, self._on_change)
        super().__init__(self._picture)

    @classmethod
    def of(cls, thing: Watchable) -> PrimitiveCard:
        """The one card of this primitive: shown twice, it is one model with two views."""
        known = cls._known.get(thing)
        if known is None or known.comm is None:
            known = cls._known[thing] = cls(thing)
        return known

    def close(self) -> None:
        if hasattr(self, "_end_watching"):
            self._end_watching()
        thing = self._thing() if hasattr(self, "_thing") else None
        if thing is not None and self._known.get(thing) is self:
            del self._known[thing]
        super().close()

    def _on_change(self, value: Any) -> None:
        if value is not NOTHING:
            self._pushed(value)
        self.changed()

    def _pushed(self, value: Any) -> None:
        self._count += 1
        self._flow.append((self._count, brief(value)))

    def _picture(self) -> dict[str, Any]:
        match self._thing():
            case None:
                return self._drawn
            case Passthrough() as stream:
                return {"card": passthrough_card(stream, tuple(self._flow), self._count)}
            case thing:
                return {"card": card_of(thing)}
