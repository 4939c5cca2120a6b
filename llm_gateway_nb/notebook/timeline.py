"""A panel over a recording, with a slider: what there was at any moment of it. Nothing runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import traitlets
from IPython.display import display

from llm_gateway_nb.graph import fold, fold_event
from llm_gateway_nb.harnesses.replay import Replay
from llm_gateway_nb.notebook.modules import read_module, read_styles
from llm_gateway_nb.notebook.outputs import page_possible, static_bundle
from llm_gateway_nb.notebook.panel import RunPanel, live_bundle
from llm_gateway_nb.notebook.placed import PlacedWidget, view_of
from llm_gateway_nb.recording import Recording
from llm_gateway_nb.types import new_id

__all__ = ["Timeline", "show_recording"]


class Timeline(PlacedWidget):
    """The slider of one panel. A page says to which event it wants to go; the panel is told what was there by then.

    Attributes:
        times: seconds since the start of the recording, one an event, in their order.
        at: how many events are shown.
    """

    _esm = read_module("slider.js")
    _css = read_styles("panel.css", "slider.css")
    times: traitlets.List[Any] = traitlets.List().tag(sync=True)
    at = traitlets.Int(0).tag(sync=True)

    def __init__(self, recording: Recording) -> None:
        self._events = [event for _, event in recording.events]
        title = recording.invokes[0].title if recording.invokes else None
        self._tree = fold(self._events)
        self.panel = RunPanel(self._tree, title=title)
        super().__init__(times=[round(at, 3) for at, _ in recording.events], at=len(self._events))
        self.panel.over()
        self.on_msg(self._on_custom)

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
            case {"k": "seek", "at": int(at)}:
                self.seek(at)

    def __repr__(self) -> str:
        return f"Timeline(events={len(self._events)}, at={self.at})"


def show_recording(source: Replay | str | Path) -> None:
    """The panel and its slider in this cell; behind them, for the file, the whole run as it ended."""
    recording = source.recording if isinstance(source, Replay) else Recording.read(source)
    title = recording.invokes[0].title if recording.invokes else None
    bundle = static_bundle(fold(event for _, event in recording.events), title)
    if page_possible():
        timeline = Timeline(recording)
        display({**view_of(timeline), "text/plain": ""}, raw=True, display_id=new_id())
        display(live_bundle(timeline.panel), raw=True, display_id=new_id())
        bundle["text/html"] = f'<style>{_NO_ERROR}</style><div class="lgnb-static">{bundle["text/html"]}</div>'
    display(bundle, raw=True)


_WIDGET = ".jp-OutputArea-child:has(>.jp-OutputArea-output.jupyter-widgets)"
_NO_ERROR = (
    f"{_WIDGET}:has(+.jp-OutputArea-child .lgnb-static),"
    f"{_WIDGET}:has(+.jp-OutputArea-child +.jp-OutputArea-child .lgnb-static){{display:none}}"
)
"""Where a trusted notebook is opened without its kernel, it puts an error in the place of each dead view."""
