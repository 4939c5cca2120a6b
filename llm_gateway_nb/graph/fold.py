"""Events into a tree: pure, one event at a time, O(1) each, and never an exception.

An event that comes late, twice, or whose parent was never seen becomes a note, or hangs at the top: a person who looks at a
broken stream should see what there was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from llm_gateway_nb.graph.fold_repl import fold_repl
from llm_gateway_nb.graph.fold_tools import (
    fold_answer,
    fold_budget_relay,
    fold_progress,
    fold_relay,
    fold_tool_call,
    fold_tool_result,
)
from llm_gateway_nb.graph.place import note_doubled, place_of, run_of
from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.providers.prices import cost_of
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    CompactionEvent,
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReasoningEvent,
    RelayAnswerEvent,
    RelayEvent,
    RelayResponse,
    ReplInputEvent,
    ReplOutputEvent,
    ReplProgressEvent,
    TextEvent,
    ToolCallEvent,
    ToolProgressEvent,
    ToolResultEvent,
    UnknownEvent,
    UsageEvent,
    UserEvent,
    dump_event,
)

__all__ = ["content_text", "fold", "fold_answer", "fold_event"]


def fold(events: Iterable[HarnessEvent]) -> RunTree:
    """The tree of a whole stream."""
    tree = RunTree()
    for event in events:
        fold_event(tree, event)
        tree.changes.clear()  # nobody has been watching
    return tree


def fold_event(tree: RunTree, event: HarnessEvent) -> None:
    """Put one event into the tree."""
    if tree.recent.has(event):
        note_doubled(tree, event)
        return
    match event:
        case TextEvent():
            _delta(tree, event, "text")
        case ReasoningEvent():
            _delta(tree, event, "reasoning")
        case HarnessStartEvent():
            _start(tree, event)
        case HarnessEndEvent():
            _end(tree, event)
        case ToolCallEvent():
            fold_tool_call(tree, event)
        case ToolResultEvent():
            fold_tool_result(tree, event)
        case ToolProgressEvent():
            fold_progress(tree, event)
        case RelayEvent():
            fold_relay(tree, event)
        case RelayAnswerEvent():
            response = RelayResponse(
                approved=event.approved, reason=event.reason, always=event.always, input=event.input
            )
            fold_answer(tree, event.id, response, by=event.by)
        case BudgetRelayEvent():
            fold_budget_relay(tree, event)
        case UsageEvent():
            _usage(tree, event)
        case ErrorEvent():
            _error(tree, event)
        case UserEvent():
            _user(tree, event)
        case ReplInputEvent() | ReplProgressEvent() | ReplOutputEvent():
            fold_repl(tree, event)
        case CompactionEvent() if tree.find(event.id) is not None:
            pass
        case CompactionEvent():
            node = tree.add(
                "note", event.id, run_id=event.run_id, parent=run_of(tree, event), title="history compacted"
            )
            tree.append(node, event.summary)
        case UnknownEvent():
            data = {key: value for key, value in dump_event(event).items() if key not in _ENVELOPE}
            node = tree.add(
                "note",
                f"{event.run_id}#{len(tree.nodes)}",
                run_id=event.run_id,
                parent=run_of(tree, event),
                title=event.type,
            )
            tree.append(node, json.dumps(data, ensure_ascii=False, sort_keys=True) if data else "")


_ENVELOPE = frozenset({"type", "runId", "parentId", "seq", "timestamp"})


def _start(tree: RunTree, event: HarnessStartEvent) -> None:
    known: dict[str, Any] = {
        "status": "running",
        "model": event.model,
        "depth": event.depth,
        "maxIterations": event.max_iterations,
        "startedAt": event.timestamp,
    }
    node = tree.find(event.run_id)
    if node is None:
        tree.add("run", event.run_id, run_id=event.run_id, parent=tree.find(event.parent_id), **known)
    elif node.kind == "turn":
        node.kind = "run"
        tree.update(node, kind="run", **{**known, "status": node.status or "running"})


def _end(tree: RunTree, event: HarnessEndEvent) -> None:
    node = run_of(tree, event)
    usage = event.total_usage
    tree.update(
        node,
        status=event.reason or "final",
        iterations=event.iterations,
        finishReason=event.finish_reason,
        endedAt=event.timestamp,
        inputTokens=usage.input_tokens if usage else None,
        outputTokens=usage.output_tokens if usage else None,
    )
    cancelled = event.reason == "cancelled"
    for child in node.children:
        if child.kind == "relay" and child.status == "pending":
            tree.update(child, status="withdrawn")
        if child.kind not in {"tool", "repl"}:
            continue
        if child.status in {"asking", "running"}:
            tree.update(child, status="cancelled" if cancelled else "error", endedAt=event.timestamp)
        for grandchild in child.children:
            if grandchild.kind == "relay" and grandchild.status == "pending":
                tree.update(grandchild, status="withdrawn")


def _delta(tree: RunTree, event: TextEvent | ReasoningEvent, kind: Any) -> None:
    node = tree.find(event.id)
    if node is None or node.kind != kind:
        node = tree.add(kind, event.id, run_id=event.run_id, parent=place_of(tree, event))
    tree.append(node, event.content)


def _usage(tree: RunTree, event: UsageEvent) -> None:
    """Tokens and their cost count for the run and for every run above it. A sum with something unknown in it is unknown."""
    cost = cost_of(event)
    node: Node | None = run_of(tree, event)
    while node is not None:
        if node.kind in {"run", "turn"}:
            tree.update(
                node,
                inputTokens=node.props.get("inputTokens", 0) + event.input_tokens,
                outputTokens=node.props.get("outputTokens", 0) + event.output_tokens,
            )
            if cost is None:
                tree.drop(node, "cost")
                tree.update(node, costUnknown=True)
            elif "costUnknown" not in node.props:
                tree.update(node, cost=node.props.get("cost", 0.0) + cost)
        node = node.parent


def _error(tree: RunTree, event: ErrorEvent) -> None:
    parent = tree.find(event.tool_call_id) or run_of(tree, event)
    wire = dump_event(event)["error"]
    node = tree.add("error", f"{event.run_id}#{len(tree.nodes)}", run_id=event.run_id, parent=parent, name=wire["name"])
    tree.append(node, wire["message"])


def _user(tree: RunTree, event: UserEvent) -> None:
    if tree.find(event.id) is not None:
        return
    media = [] if isinstance(event.content, str) else [part for part in event.content if part.type != "text"]
    node = tree.add(
        "user",
        event.id,
        run_id=event.run_id,
        parent=tree.find(event.parent_id),
        media=[part.model_dump() for part in media] or None,
    )
    tree.append(node, content_text(event.content))


def content_text(content: Any) -> str:
    """Message content as text; an image or a document is named by its media type."""
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        part = part if isinstance(part, dict) else part.model_dump()
        texts.append(part["text"] if part.get("type") == "text" else f"[{part.get('mediaType', part.get('type'))}]")
    return "\n".join(texts)
