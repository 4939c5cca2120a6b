"""Where an event belongs in the tree, and notes about events that came late or twice."""

from __future__ import annotations

from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.types import EventBase

__all__ = ["note_doubled", "place_of", "run_of"]


def run_of(tree: RunTree, event: EventBase) -> Node:
    """The node of the event's run. A run that never said it started is a turn: a model call inside an agent's run."""
    node = tree.find(event.run_id)
    if node is None:
        node = tree.add(
            "turn", event.run_id, run_id=event.run_id, parent=tree.find(event.parent_id), startedAt=event.timestamp
        )
    return node


def place_of(tree: RunTree, event: EventBase) -> Node:
    """The same, for an event that adds something that a person sees; noted, if the run had ended before."""
    node = run_of(tree, event)
    run = node if node.kind == "run" or node.parent is None else node.parent
    if run.kind == "run" and run.status not in {None, "running"}:
        _note_once(tree, run, "late", "what follows came after the end")
    return node


def note_doubled(tree: RunTree, event: EventBase) -> None:
    """An event came twice, and the second one was left out."""
    run = run_of(tree, event)
    note = _note_once(tree, run, "doubled", "")
    count = note.props.get("count", 0) + 1
    title = "an event came twice" if count == 1 else f"{count} events came twice"
    tree.update(note, count=count, title=f"{title}, and the second was left out")


def _note_once(tree: RunTree, run: Node, what: str, title: str) -> Node:
    note_id = f"{run.id}#{what}"
    return tree.find(note_id) or tree.add("note", note_id, run_id=run.run_id, parent=run, title=title)
