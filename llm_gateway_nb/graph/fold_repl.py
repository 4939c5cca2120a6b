"""REPL turns in the tree: code, what it printed, how it ended."""

from __future__ import annotations

from llm_gateway_nb.graph.place import place_of
from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.types import EventBase, ReplInputEvent, ReplOutputEvent, ReplProgressEvent

__all__ = ["fold_repl"]


def fold_repl(tree: RunTree, event: ReplInputEvent | ReplProgressEvent | ReplOutputEvent) -> None:
    match event:
        case ReplInputEvent():
            if tree.find(event.id) is None:
                tree.add(
                    "repl",
                    event.id,
                    run_id=event.run_id,
                    parent=place_of(tree, event),
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


def _last_repl(tree: RunTree, event: EventBase) -> Node:
    run = place_of(tree, event)
    for child in reversed(run.children):
        if child.kind == "repl":
            return child
    return tree.add("repl", f"{event.run_id}#{len(tree.nodes)}", run_id=event.run_id, parent=run, code="")
