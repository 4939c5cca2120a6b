"""A panel over a recording, with a slider: what there was at any moment of it. Nothing runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import traitlets
from IPython.display import display

from llm_gateway_nb.graph import fold, fold_event
from llm_gateway_nb.harnesses.replay import Replay
from llm_gateway_nb.notebook.kernel import let_through
from llm_gateway_nb.notebook.modules import read_module, read_styles
from llm_gateway_nb.notebook.outputs import NO_ERROR, page_possible, static_bundle
from llm_gateway_nb.notebook.panel import RunPanel, live_bundle
from llm_gateway_nb.notebook.placed import PlacedWidget, view_of
from llm_gateway_nb.recording import Recording
from llm_gateway_nb.recording.reader import Timed
from llm_gateway_nb.types import new_id

__all__ = ["Timeline", "place_timeline", "show_recording"]


class Timeline(PlacedWidget):
    """The slider of one panel. A page says to which event it wants to go; the panel is told what was there by then.

    Args:
        timed: the events, and when each came.
        title: what the panel is called.
        panel: of a run that plays them just now. The slider is there once it has ended: `played`.

    Attributes:
        times: seconds since the start of the recording, one an event, in their order; none while it plays.
        at: how many events are shown.
    """

    _esm = read_module("slider.js")
    _css = read_styles("panel.css", "slider.css")
    times: traitlets.List[Any] = traitlets.List().tag(sync=True)
    at = traitlets.Int(0).tag(sync=True)

    def __init__(self, timed: Sequence[Timed], *, title: str | None = None, panel: RunPanel | None = None) -> None:
        self._events = [event for _, event in timed]
        self._times = [round(at, 3) for at, _ in timed]
        self._tree = fold(self._events) if panel is None else panel.tree
        self.panel = panel or RunPanel(self._tree, title=title)
        super().__init__(at=len(self._events))
        self.on_msg(self._on_custom)
        with suppress(RuntimeError):  # no loop: nothing to pass by
            let_through(self, asyncio.get_running_loop(), holds_cell=False)
        if panel is None:
            self.panel.over()
            self.played()

    def played(self) -> None:
        """All of it has been shown once: from here on a person may go anywhere in it."""
        self.times = self._times

    def seek(self, at: int) -> None:
        """Show the first `at` events, and no more."""
        at = max(0, min(at, len(self._events)))
        if at < self.at:
            self._tree = fold(self._events[:at])
            self.panel.retell(self._tree)
        else:
            for event in self._events[self.at : at]:
                fold_event(self._tree, event)
            self.panel.flush()
        self.at = at
        self.panel.over(at == len(self._events))

    def _on_custom(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"k": "seek", "at": int(at)} if self.times:
                self.seek(at)

    def __repr__(self) -> str:
        return f"Timeline(events={len(self._events)}, at={self.at})"


def place_timeline(timed: Sequence[Timed], panel: RunPanel | None) -> Timeline | None:
    """In this cell, above the panel of a run that is about to play a recording."""
    timeline = None if panel is None else Timeline(timed, panel=panel)
    display({**({} if timeline is None else view_of(timeline)), "text/plain": ""}, raw=True, display_id=new_id())
    return timeline


def show_recording(source: Replay | str | Path) -> None:
    """The panel and its slider in this cell; behind them, for the file, the whole run as it ended."""
    recording = source.recording if isinstance(source, Replay) else Recording.read(source)
    title = recording.invokes[0].title if recording.invokes else None
    bundle = static_bundle(fold(event for _, event in recording.events), title)
    if page_possible():
        timeline = Timeline(recording.events, title=title)
        display({**view_of(timeline), "text/plain": ""}, raw=True, display_id=new_id())
        display(live_bundle(timeline.panel), raw=True, display_id=new_id())
        bundle["text/html"] += NO_ERROR
    display(bundle, raw=True)
