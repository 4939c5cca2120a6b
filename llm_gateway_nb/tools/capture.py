"""What one tool call prints and displays, kept apart from everything else that runs.

By a `ContextVar`, which tasks and `asyncio.to_thread` inherit. `ipywidgets.Output` goes by the id of the cell's request
instead, and so takes in what the cell itself prints while a background tool is at it.

What is patched is the `write` of the two stream objects (`streams.py`) and the methods of IPython's display publisher,
of those instances, and only while some capture is open. Output of subprocesses and of C code does not come by here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from llm_gateway_nb.tools.streams import route_writes

__all__ = ["Output", "capturing"]

Output = dict[str, Any]
"""One output in Jupyter's form, told apart by `output_type`: `stream` (`name`, `text`), `display_data` and
`update_display_data` (`data`, `metadata`, `transient`), `clear_output` (`wait`)."""


@contextmanager
def capturing(sink: Callable[[Output], None]) -> Iterator[None]:
    """Within, `print` and `display` of this context go to `sink(output)` and not to the cell or the terminal.

    `sink` is called in the thread that prints, with one output for each `write`; what it prints itself is not captured.
    A capture in a capture takes all. What a task started within prints after the end goes where it would have gone
    without. Do not let an async generator `yield` within: its consumer's prints would be captured as well.
    """
    capture = _Capture(sink)
    token = _capture.set(capture)
    _patches.open()
    try:
        yield
    finally:
        capture.is_open = False
        _capture.reset(token)
        _patches.close()


class _Capture:
    def __init__(self, sink: Callable[[Output], None]) -> None:
        self._sink = sink
        self.is_open = True
        self.display_ids: set[str] = set()  # displays shown here, whose updates belong here

    def put(self, output: Output) -> None:
        token = _capture.set(None)
        try:
            self._sink(output)
        finally:
            _capture.reset(token)


_capture: ContextVar[_Capture | None] = ContextVar("llm_gateway_nb_capture", default=None)


def _current() -> _Capture | None:
    capture = _capture.get()
    return capture if capture is not None and capture.is_open else None


class _Patches:
    """The instance attributes in place while captures are open, the same ones for all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._undo: dict[tuple[int, str], Callable[[], None]] = {}

    def open(self) -> None:
        with self._lock:
            self._open += 1
            # Each time, and not the first time only: `sys.stdout` may be another object by now.
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if stream is not None and (id(stream), "write") not in self._undo:
                    self._undo[id(stream), "write"] = route_writes(stream, partial(_take_text, name))
            publisher = getattr(_shell(), "display_pub", None)
            self._patch(publisher, "publish", _publish)
            self._patch(publisher, "clear_output", _clear_output)

    def close(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                for undo in self._undo.values():
                    undo()
                self._undo.clear()

    def _patch(self, owner: Any, name: str, replace: Callable[[Any], Callable[..., Any]]) -> None:
        key = (id(owner), name)  # the closures keep the owner alive, and so its id its own
        if owner is None or key in self._undo:
            return
        had = vars(owner).get(name, _ABSENT)
        replacement = replace(getattr(owner, name))
        setattr(owner, name, replacement)

        def undo() -> None:
            if vars(owner).get(name) is not replacement:
                return  # somebody has wrapped ours, which from now on only passes on
            if had is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, had)

        self._undo[key] = undo


_ABSENT: Any = object()
_patches = _Patches()


def _shell() -> Any | None:
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()


def _take_text(name: str, text: str) -> bool:
    capture = _current()
    if capture is not None and text:
        capture.put({"output_type": "stream", "name": name, "text": text})
    return capture is not None


def _publish(original: Callable[..., None]) -> Callable[..., None]:
    def publish(
        data: Any, metadata: Any = None, *args: Any, transient: Any = None, update: bool = False, **options: Any
    ) -> None:
        capture = _current()
        display_id = (transient or {}).get("display_id")
        if capture is None or (update and display_id not in capture.display_ids):
            # An update of something that stands outside has to reach it there.
            original(data, metadata, *args, transient=transient, update=update, **options)
            return
        if display_id is not None:
            capture.display_ids.add(display_id)
        kind = "update_display_data" if update else "display_data"
        capture.put({"output_type": kind, "data": data, "metadata": metadata or {}, "transient": transient or {}})

    return publish


def _clear_output(original: Callable[..., None]) -> Callable[..., None]:
    def clear_output(wait: bool = False) -> None:
        capture = _current()
        if capture is None:
            original(wait)
        else:
            capture.put({"output_type": "clear_output", "wait": wait})

    return clear_output
