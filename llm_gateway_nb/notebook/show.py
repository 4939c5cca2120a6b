"""`show`: the live view of anything that has one."""

from __future__ import annotations

from typing import Any

from IPython.display import display

from llm_gateway_nb.graph import RunTree
from llm_gateway_nb.notebook.live_run import Run, live_and_plain
from llm_gateway_nb.notebook.panel import RunPanel
from llm_gateway_nb.notebook.result import RunResult

__all__ = ["show"]


def show(thing: Any) -> None:
    """Show a run or a result as its panel, with everything in it; anything else as the notebook shows it."""
    match thing:
        case Run():
            thing.show()
        case RunResult(tree=tree, title=title):
            display(live_and_plain(_still_panel(tree, title)), raw=True)
        case RunTree():
            display(live_and_plain(_still_panel(thing, None)), raw=True)
        case _:
            display(thing)


def _still_panel(tree: RunTree, title: str | None) -> RunPanel:
    return RunPanel(tree, title=title, on_message=lambda _: None)
