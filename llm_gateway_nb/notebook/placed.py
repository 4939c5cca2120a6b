"""What stands on the page under which cell. A cell that runs again lets go of what only its earlier run had shown.

A widget lives until it is closed, in the kernel and in the page: a cell that runs fifty times would leave fifty. Nothing is
let go of where no page says which cell it runs: in a console, with an old front end.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

import anywidget

from llm_gateway_nb.notebook.kernel import cell_and_execution, current_shell

__all__ = ["PlacedWidget", "view_of"]


class PlacedWidget(anywidget.AnyWidget):
    """A widget that cells show."""

    def let_go(self) -> None:
        """No cell shows it any more."""
        self.close()

    def close(self) -> None:
        """Take it off every page. Closing twice is fine."""
        layout = self._trait_values.get("layout")  # not by its name: that would make one for a half-made widget
        super().close()
        if layout is not None:
            layout.close()  # a model of its own, in the page too, which ipywidgets leaves behind


def view_of(widget: PlacedWidget) -> dict[str, Any]:
    """The part of an output that shows `widget`, to be displayed in this cell."""
    _places.add(widget)
    view = {"version_major": 2, "version_minor": 1, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": view}


class _Places:
    def __init__(self) -> None:
        # By cell: its execution, and what that showed. Weakly: ipywidgets keeps an open widget, a closed one is of no use.
        self._shown: dict[str, tuple[str, WeakValueDictionary[str, PlacedWidget]]] = {}
        # By cell: what it showed earlier, until this execution is over.
        self._before: dict[str, dict[str, PlacedWidget]] = {}
        self._shell: Any = None

    def add(self, widget: PlacedWidget) -> None:
        place = cell_and_execution()
        if place is None:
            return
        if self._shell is None:
            self._shell = current_shell()
            self._shell.events.register("post_run_cell", self._after_cell)
        self._shown_in(*place)[widget.model_id] = widget

    def _shown_in(self, cell: str, execution: str) -> WeakValueDictionary[str, PlacedWidget]:
        known = self._shown.get(cell)
        if known is None or known[0] != execution:
            if known is not None:
                self._before.setdefault(cell, {}).update(known[1])
            known = self._shown[cell] = (execution, WeakValueDictionary())
        return known[1]

    def _after_cell(self, *_: Any) -> None:
        """At its end, for the cell may show again what it has shown before."""
        place = cell_and_execution()
        if place is None or place[0] not in self._shown:
            return
        self._shown_in(*place)
        still = {model_id for _, shown in self._shown.values() for model_id in shown}
        for model_id, widget in self._before.pop(place[0], {}).items():
            if model_id not in still:
                widget.let_go()


_places = _Places()
