"""REPL turns in the tree: code, what it printed, how it ended."""

from __future__ import annotations

import re

from llm_gateway_nb.graph.place import place_of
from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.types import EventBase, ReplInputEvent, ReplOutputEvent, ReplProgressEvent

__all__ = ["fold_repl"]

_PYTHON_FENCE = re.compile(r"^.*?(?:`{3,}|~{3,})[ \t]*(?:python3?|py)\b", re.MULTILINE | re.IGNORECASE)


def fold_repl(tree: RunTree, event: ReplInputEvent | ReplProgressEvent | ReplOutputEvent) -> None:
    match event:
        case ReplInputEvent():
            if tree.find(event.id) is None:
                place = place_of(tree, event)
                _say_once(tree, place)
                tree.add(
                    "repl",
                    event.id,
                    run_id=event.run_id,
                    parent=place,
                    code=event.code,
                    iteration=event.iteration,
                    status="running",
                )
        case ReplProgressEvent():
            node = tree.find(event.repl_id) or _last_repl(tree, event)
            tree.append(node, event.chunk, event.stream)
        case ReplOutputEvent():
            found = tree.find(event.id)
            node = found if found is not None and found.kind == "repl" else _last_repl(tree, event)
            for child in node.children:  # a question that the turn did not wait for
                if child.kind == "relay" and child.status == "pending":
                    tree.update(child, status="withdrawn")
            if "stdout" not in node.streams:
                tree.append(node, event.stdout, "stdout")
            tree.update(
                node,
                status="error" if event.error else "ok",
                error=event.error,
                done=event.done or None,
                durationMs=event.duration_ms,
                truncated=event.truncated,
                mime=event.mime,
            )


def _say_once(tree: RunTree, place: Node) -> None:
    """The cell that comes shows the code: the text above it, or the call around it, need not show it again."""
    last = place.children[-1] if place.children else None
    if last is not None and last.kind == "text" and (fence := _PYTHON_FENCE.search(last.text())):
        tree.update(last, prose=last.text()[: fence.start()].rstrip())
    if place.kind == "turn" and place.parent is not None and place.parent.kind == "tool":
        tree.update(place.parent, cell=True)


def _last_repl(tree: RunTree, event: EventBase) -> Node:
    run = place_of(tree, event)
    for child in reversed(run.children):
        if child.kind == "repl":
            return child
    return tree.add("repl", f"{event.run_id}#{len(tree.nodes)}", run_id=event.run_id, parent=run, code="")
