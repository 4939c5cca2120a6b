"""`show`: the live view of anything that has one. And what the last line of a cell shows of our types."""

from __future__ import annotations

from typing import Any, overload

from IPython.display import display

from llm_gateway_nb.graph import RunTree
from llm_gateway_nb.harnesses.replay import Replay
from llm_gateway_nb.notebook.kernel import in_kernel
from llm_gateway_nb.notebook.live_run import Run
from llm_gateway_nb.notebook.outputs import page_possible, shown_here
from llm_gateway_nb.notebook.panel import RunPanel, live_and_plain
from llm_gateway_nb.notebook.result import RunResult
from llm_gateway_nb.notebook.static_html import static_html
from llm_gateway_nb.notebook.timeline import show_recording
from llm_gateway_nb.notebook.views.cards import card_of
from llm_gateway_nb.notebook.views.live import LiveCard, display_living
from llm_gateway_nb.notebook.views.permission_table import PermissionTable
from llm_gateway_nb.notebook.views.permissions import permissions_card
from llm_gateway_nb.notebook.views.primitive_card import PrimitiveCard
from llm_gateway_nb.notebook.views.static import bits_html
from llm_gateway_nb.notebook.views.tool_form import ToolCard
from llm_gateway_nb.primitives import AsyncQueue, Deferred, Passthrough
from llm_gateway_nb.types import Permissions, ToolDefinition

__all__ = ["html_of", "show", "show_living"]


@overload
def show(thing: Permissions) -> PermissionTable: ...
@overload
def show(thing: Any) -> None: ...
def show(thing: Any) -> PermissionTable | None:
    """Show a run, a result, a type or a primitive as its view; anything else as the notebook shows it.

    A recording, `show(replay("run.jsonl"))`, has a slider over its time.

    A tool can be called by hand there. Permissions can be edited, and the table that this gives has them as they were
    edited: `table = show(permissions)`, then `run(…, permissions=table.permissions)`.
    """
    match thing:
        case Run():
            thing.show()
        case RunResult(tree=tree, title=title):
            display(live_and_plain(RunPanel.of(tree, title)), raw=True)
        case RunTree():
            display(live_and_plain(RunPanel.of(thing, None)), raw=True)
        case Replay():
            show_recording(thing)
        case Permissions():
            return _show_table(thing)
        case Deferred() | AsyncQueue() | Passthrough() | ToolDefinition() if in_kernel():
            show_living(thing)
        case _:
            html = html_of(thing)
            if html is None or not in_kernel():
                display(thing)
            else:
                display({"text/plain": repr(thing), "text/html": html}, raw=True)
    return None


def show_living(thing: Any) -> None:
    """A card that lives under this cell, and what stays of it in the file."""
    if isinstance(thing, Replay):
        show_recording(thing)
        return
    bit = card_of(thing)
    assert bit is not None
    live: LiveCard | None = None
    match thing:
        case Permissions():
            _show_table(thing)
            return
        case _ if not page_possible():
            pass
        case ToolDefinition():
            live = ToolCard.of(thing)
        case _:
            live = PrimitiveCard.of(thing)
    display_living(live, bit, repr(thing))


def _show_table(permissions: Permissions) -> PermissionTable:
    table = PermissionTable(permissions)
    if not in_kernel():
        display(permissions)
        return table
    live = LiveCard(table.picture, table.acted) if page_possible() else None
    if live is not None:
        table.on_change = live.changed
    display_living(live, permissions_card(permissions), repr(permissions))
    return table


def html_of(thing: Any) -> str | None:
    """A view as HTML that needs nothing; None for what has no view of ours."""
    match thing:
        case RunResult():
            return None if shown_here(thing.tree) else thing.to_html()
        case RunTree():
            return static_html(thing)
        case _:
            bit = card_of(thing)
            return None if bit is None else bits_html(bit)
