"""Tool calls in the tree, with what they report, the questions about them, and the answers."""

from __future__ import annotations

import json
from typing import Any

from llm_gateway_nb.graph.place import note_doubled, place_of
from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    EventBase,
    RelayEvent,
    RelayResponse,
    ToolCallEvent,
    ToolProgressEvent,
    ToolResultEvent,
    dump_event,
)

__all__ = ["fold_answer", "fold_budget_relay", "fold_progress", "fold_relay", "fold_tool_call", "fold_tool_result"]


def fold_tool_call(tree: RunTree, event: ToolCallEvent) -> None:
    node = tree.find(event.id)
    if node is None or node.kind != "tool":
        node = _add_tool(tree, event, event.id, event.name)
    status = "running" if node.status in {None, "asking"} else node.status
    tree.update(node, input=event.input, status=status, startedAt=event.timestamp)
    for child in node.children:
        if child.kind == "relay" and child.status == "pending":
            tree.update(child, status="approved")


def fold_tool_result(tree: RunTree, event: ToolResultEvent) -> None:
    node = _tool(tree, event, event.id, event.name)
    if "output" in node.props:  # the first one is what the model read
        note_doubled(tree, event)
        return
    status = event.status or "ok"
    for child in node.children:
        if child.kind == "relay" and status == "denied" and child.status in {"pending", "approved"}:
            tree.update(child, status="denied")
        elif child.kind == "relay" and child.status == "pending":  # another framework's call that asks while it runs
            tree.update(child, status="approved")
    tree.update(node, status=status, output=event.output, endedAt=event.timestamp)


def fold_progress(tree: RunTree, event: ToolProgressEvent) -> None:
    tree.append(_tool(tree, event, event.tool_call_id, event.name), _progress_text(event), "progress")


def fold_relay(tree: RunTree, event: RelayEvent) -> None:
    if tree.find(event.id) is not None:
        return
    tool = tree.find(event.tool_call_id)
    if tool is None:
        tool = _add_tool(tree, event, event.tool_call_id, event.tool, input=event.params, status="asking")
    tree.add(
        "relay",
        event.id,
        run_id=event.run_id,
        parent=tool,
        kind="permission",
        tool=event.tool,
        params=event.params,
        rule=event.rule,
        why=event.why,
        status="pending",
    )


def fold_budget_relay(tree: RunTree, event: BudgetRelayEvent) -> None:
    if tree.find(event.id) is not None:
        return
    tree.add(
        "relay",
        event.id,
        run_id=event.run_id,
        parent=place_of(tree, event),
        kind="budget",
        unit=event.unit,
        limit=event.limit,
        used=event.used,
        status="pending",
    )


def fold_answer(tree: RunTree, relay_id: str, response: RelayResponse, *, by: str | None) -> None:
    """Note how a relay was answered: `by` is `person`, `policy`, `rule`, `timeout`, …."""
    node = tree.find(relay_id)
    if node is not None and node.status == "pending":
        tree.update(
            node,
            status="approved" if response.approved else "denied",
            reason=response.reason,
            always=response.always or None,
            edited=True if response.input is not None and response.input != node.props.get("params") else None,
            by=by,
        )


def _tool(tree: RunTree, event: EventBase, call_id: str, name: str) -> Node:
    """The node of a call; of one that never said it was called, a new one."""
    node = tree.find(call_id)
    if node is None:
        node = _add_tool(tree, event, call_id, name, status="running")
    return node


def _add_tool(tree: RunTree, event: EventBase, call_id: str, name: str, **props: Any) -> Node:
    """A new call. After one that has its result it is of a later turn, also where that turn said nothing else."""
    run = place_of(tree, event)
    before = next((child for child in reversed(run.children) if child.kind != "note"), None)
    later = True if before is not None and before.kind == "tool" and "output" in before.props else None
    return tree.add("tool", call_id, run_id=event.run_id, parent=run, name=name, laterTurn=later, **props)


def _progress_text(event: ToolProgressEvent) -> str:
    """What a tool reports, as text. The built-in tools send `{"stream", "text"}`."""
    content = event.content
    if isinstance(content, str):
        return content
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return str(content["text"])
    return json.dumps(dump_event(event).get("content"), ensure_ascii=False) + "\n"
