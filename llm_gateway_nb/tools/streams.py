"""Look at what is written to a stream before the stream does, and leave no trace afterwards.

The obvious way, an attribute `write` on the stream object, does not last: IPython 9 does just that around each
synchronous cell to keep the output in its history (`InteractiveShell._tee`), and at the end of the cell puts back what
it found at its beginning. A background tool that starts to print during such a cell would lose its capture with the end
of the cell; one that ends in it would have its dead `write` put back. So where its class allows it (ipykernel's
`OutStream`), the stream gets a subclass for the time, in which `write` is a data descriptor: what others assign then
stands behind ours, whenever they come and go. The streams of plain Python have a class that does not; there it is the
attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["route_writes"]

Take = Callable[[str], bool]
"""Takes a text, or says False: the stream shall write it."""


def route_writes(stream: Any, take: Take) -> Callable[[], None]:
    """From now on offer each text written to `stream` to `take` first; the returned function ends it."""
    plain = type(stream)
    routing = type(plain.__name__, (plain,), {"write": _Write(plain, take), "__module__": plain.__module__})
    try:
        stream.__class__ = routing
    except TypeError:  # a class of C, or with slots
        return _route_by_attribute(stream, take)

    def end() -> None:
        if type(stream) is routing:
            stream.__class__ = plain

    return end


def _route_by_attribute(stream: Any, take: Take) -> Callable[[], None]:
    had_own = "write" in vars(stream)
    route = _Route(stream, take, stream.write)
    stream.write = route

    def end() -> None:
        route.ended = True
        if vars(stream).get("write") is not route:
            return  # somebody has wrapped it, who has to keep it: it only passes on
        if had_own:
            stream.write = route.behind
        else:
            del stream.write

    return end


class _Route:
    """The `write` of a stream: to `take`, or on to the `write` behind."""

    ended = False

    def __init__(self, stream: Any, take: Take, behind: Callable[[str], int]) -> None:
        self._stream, self._take, self.behind = stream, take, behind

    def __call__(self, text: str) -> int:
        if not self._is_over() and isinstance(text, str) and self._take(text):
            return len(text)
        return self.behind(text)  # which complains of anything but a str

    def _is_over(self) -> bool:
        """Whether this is a left-over that somebody has put back; if so, undo that."""
        own = vars(self._stream)
        if (self.ended or isinstance(self, _Lookup)) and own.get("write") is self:
            own["write"] = self.behind
            return True
        return self.ended


class _Lookup(_Route):
    """The same, as one look-up of `stream.write` found it; never stored on the stream while the routing lasts."""


class _Write:
    """The attribute `write` of a stream whose class is the routing one."""

    def __init__(self, plain: type, take: Take) -> None:
        self._plain, self._take = plain, take

    def __get__(self, stream: Any, owner: type | None = None) -> Any:
        if stream is None:
            return self._plain.write  # type: ignore[attr-defined]
        behind = vars(stream).get("write") or self._plain.write.__get__(stream)  # type: ignore[attr-defined]
        return _Lookup(stream, self._take, behind)

    def __set__(self, stream: Any, write: Callable[[str], int]) -> None:
        while isinstance(write, _Lookup):
            write = write.behind  # put back as it was found: no second time
        vars(stream)["write"] = write

    def __delete__(self, stream: Any) -> None:
        vars(stream).pop("write", None)
