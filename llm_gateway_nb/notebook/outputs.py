"""Where a run is shown: the outputs of a cell, live and static.

An awaited run has the live one while it runs, emptied at its end (0 px high), and then the static one, made in the cell. A
started run has both from the start; the static one is filled by updates, now and then and at the end. While the live one is
on a page, the page's stylesheet hides the static one beside it. A notebook that is saved in the middle of an awaited run
holds what there was: a run that takes a while gets a third output, static, that is emptied at its end. Where nobody can
watch, the live one is left out: a widget that is dead when the notebook is opened would hide the HTML behind an error.
"""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from typing import Any

from IPython.display import display, update_display

from llm_gateway_nb.graph import RunTree
from llm_gateway_nb.notebook.kernel import cell_number, in_kernel, stdin_allowed
from llm_gateway_nb.notebook.panel import RunPanel, live_bundle
from llm_gateway_nb.notebook.static_html import static_html
from llm_gateway_nb.notebook.static_long import GOING_ON, WHOLE, shortened
from llm_gateway_nb.notebook.transcript import transcript
from llm_gateway_nb.types import new_id

__all__ = ["NO_ERROR", "CellOutputs", "page_possible", "shown_here", "static_bundle"]

_GOING_ON = {"llm_gateway_nb": {"run": "going on"}}
"""Metadata of a static output that will be written again: whoever compares outputs has to wait (`testing.nbval`)."""

_EMPTY: dict[str, Any] = {"text/plain": ""}


def page_possible() -> bool:
    """Whether a page could show a widget of this cell: not under nbclient, nbval, papermill; under Voila it can."""
    return in_kernel() and (stdin_allowed() or os.environ.get("SERVER_SOFTWARE", "").startswith("voila"))


def static_bundle(tree: RunTree, title: str | None, *, whole: int = WHOLE) -> dict[str, Any]:
    """What stays in the saved notebook, and what nbval compares. `whole`: what more is, is told shorter."""
    return {"text/plain": transcript(tree), "text/html": static_html(shortened(tree, whole), title=title)}


NO_ERROR = (
    "<style>.jp-OutputArea-child:has(>.jp-OutputArea-output.jupyter-widgets)"
    ':has(~.jp-OutputArea-child [data-lgnb="run"]){display:none}</style>'
)
"""Behind a static output that has a living view before it. A trusted notebook that is opened without its kernel puts an
error in the place of a dead view, and this takes it away; where a style is stripped there is no such error either."""


def shown_here(tree: RunTree) -> bool:
    """Whether this cell shows the run already: `await run(…)` as its last line needs no second picture of it."""
    return tree in _shown and _shown[tree] == cell_number()


_shown: weakref.WeakKeyDictionary[RunTree, int | None] = weakref.WeakKeyDictionary()
"""The cell that each run has its outputs in."""


class CellOutputs:
    """The outputs of one run. To be opened in the cell itself: from a task or a thread they might land in another."""

    def __init__(self, tree: RunTree, panel: RunPanel | None, title: str | None, *, awaited: bool) -> None:
        self._tree = tree
        self._panel = panel
        self._title = title
        self._awaited = awaited
        self._live_id, self._static_id = new_id(), new_id()
        self._placed = not awaited
        self._next_update = time.monotonic() + _UPDATE_SECONDS
        self._timer: asyncio.TimerHandle | None = None
        _shown[tree] = cell_number()
        display(_EMPTY if panel is None else live_bundle(panel), raw=True, display_id=self._live_id)
        if not awaited:
            display(self._bundle(), raw=True, display_id=self._static_id, metadata=_GOING_ON)

    def _bundle(self, whole: int = WHOLE) -> dict[str, Any]:
        bundle = static_bundle(self._tree, self._title, whole=whole)
        if self._panel is not None:
            bundle["text/html"] += NO_ERROR
        return bundle

    def changed(self) -> None:
        """Something happened; write the static output again, now or once its last time is long enough ago."""
        if self._timer is not None or (self._awaited and self._panel is None):
            return
        wait = self._next_update - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(max(0, wait), self._update_late)

    def retell(self, tree: RunTree) -> None:
        """Show another tree in the place of this one."""
        self._tree = tree
        self._update()

    def refresh(self) -> None:
        """Write the static output of a started run again, on behalf of the cell that runs now: nbclient takes updates from
        no other, and a notebook executed without a page would keep what the first cell had."""
        self._update()

    def close(self) -> None:
        """The run is over. Of an awaited run this has to be called in the cell."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._awaited:
            self._update()
            return
        if self._panel is not None:
            update_display(_EMPTY, raw=True, display_id=self._live_id)
        if self._placed:  # without any data nbval does not count it: a run that took less has no such output
            update_display({}, raw=True, display_id=self._static_id)
        display(static_bundle(self._tree, self._title), raw=True)

    def _update_late(self) -> None:
        self._timer = None
        began = time.monotonic()
        self._update(_GOING_ON)
        self._next_update = time.monotonic() + max(_UPDATE_SECONDS, 50 * (time.monotonic() - began))

    def _update(self, metadata: dict[str, Any] | None = None) -> None:
        bundle = self._bundle(GOING_ON if metadata else WHOLE)
        if self._placed:
            update_display(bundle, raw=True, display_id=self._static_id, metadata=metadata or {})
        else:
            self._placed = True
            display(bundle, raw=True, display_id=self._static_id, metadata=metadata or {})


_UPDATE_SECONDS = 5.0
