"""Events into a tree: pure, one event at a time, O(1) each, and never an exception.

An event that comes late, twice, or whose parent was never seen becomes a note, or hangs at the top: a person who looks at a
broken stream should see what there was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.providers.prices import cost_of
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    CompactionEvent,
    ErrorEvent,
    EventBase,
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
    return tree


def fold_event(tree: RunTree, event: HarnessEvent) -> None:
    """Put one event into the tree."""
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
            _tool_call(tree, event)
        case ToolResultEvent():
            _tool_result(tree, event)
        case ToolProgressEvent():
            node = tree.find(event.tool_call_id) or _stray_tool(tree, event, event.tool_call_id, event.name)
            tree.append(node, _progress_text(event.content), "progress")
        case RelayEvent():
            _relay(tree, event)
        case RelayAnswerEvent():
            response = RelayResponse(
                approved=event.approved, reason=event.reason, always=event.always, input=event.input
            )
            fold_answer(tree, event.id, response, by=event.by)
        case BudgetRelayEvent():
            tree.add(
                "relay",
                event.id,
                run_id=event.run_id,
                parent=_run(tree, event),
                kind="budget",
                unit=event.unit,
                limit=event.limit,
                used=event.used,
                status="pending",
            )
        case UsageEvent():
            _usage(tree, event)
        case ErrorEvent():
            _error(tree, event)
        case UserEvent():
            _user(tree, event)
        case ReplInputEvent() | ReplProgressEvent() | ReplOutputEvent():
            _repl(tree, event)
        case CompactionEvent():
            node = tree.add("note", event.id, run_id=event.run_id, parent=_run(tree, event), title="history compacted")
            tree.append(node, event.summary)
        case UnknownEvent():
            data = {key: value for key, value in dump_event(event).items() if key not in _ENVELOPE}
            node = tree.add(
                "note",
                f"{event.run_id}#{len(tree.nodes)}",
                run_id=event.run_id,
                parent=_run(tree, event),
                title=event.type,
            )
            tree.append(node, json.dumps(data, ensure_ascii=False, sort_keys=True) if data else "")


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


_ENVELOPE = frozenset({"type", "runId", "parentId", "seq", "timestamp"})


def _run(tree: RunTree, event: EventBase) -> Node:
    """The node of the event's run. A run that never said it started is a turn: a model call inside an agent's run."""
    node = tree.find(event.run_id)
    if node is None:
        node = tree.add(
            "turn", event.run_id, run_id=event.run_id, parent=tree.find(event.parent_id), startedAt=event.timestamp
        )
    return node


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
        tree.update(node, kind="run", **known)


def _end(tree: RunTree, event: HarnessEndEvent) -> None:
    node = _run(tree, event)
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
        run = _run(tree, event)
        node = tree.add(kind, event.id, run_id=event.run_id, parent=run)
    tree.append(node, event.content)


def _stray_tool(tree: RunTree, event: EventBase, call_id: str, name: str) -> Node:
    return tree.add("tool", call_id, run_id=event.run_id, parent=_run(tree, event), name=name, status="running")


def _tool_call(tree: RunTree, event: ToolCallEvent) -> None:
    node = tree.find(event.id)
    if node is None or node.kind != "tool":
        node = tree.add("tool", event.id, run_id=event.run_id, parent=_run(tree, event), name=event.name)
    status = "running" if node.status in {None, "asking"} else node.status
    tree.update(node, input=event.input, status=status, startedAt=event.timestamp)
    for child in node.children:
        if child.kind == "relay" and child.status == "pending":
            tree.update(child, status="approved")


def _tool_result(tree: RunTree, event: ToolResultEvent) -> None:
    node = tree.find(event.id) or _stray_tool(tree, event, event.id, event.name)
    status = event.status or "ok"
    for child in node.children:
        if child.kind == "relay" and status == "denied" and child.status in {"pending", "approved"}:
            tree.update(child, status="denied")
        elif child.kind == "relay" and child.status == "pending":  # another framework's call that asks while it runs
            tree.update(child, status="approved")
    tree.update(node, status=status, output=event.output, endedAt=event.timestamp)


def _relay(tree: RunTree, event: RelayEvent) -> None:
    if tree.find(event.id) is not None:
        return
    tool = tree.find(event.tool_call_id)
    if tool is None:
        tool = tree.add(
            "tool",
            event.tool_call_id,
            run_id=event.run_id,
            parent=_run(tree, event),
            name=event.tool,
            input=event.params,
            status="asking",
        )
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


def _usage(tree: RunTree, event: UsageEvent) -> None:
    """Tokens and their cost count for the run and for every run above it. A sum with something unknown in it is unknown."""
    cost = cost_of(event)
    node: Node | None = _run(tree, event)
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
    parent = tree.find(event.tool_call_id) or _run(tree, event)
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


def _repl(tree: RunTree, event: ReplInputEvent | ReplProgressEvent | ReplOutputEvent) -> None:
    match event:
        case ReplInputEvent():
            tree.add(
                "repl",
                event.id,
                run_id=event.run_id,
                parent=_run(tree, event),
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
            if not node.text("stdout"):
                tree.append(node, event.stdout, "stdout")
            tree.update(
                node,
                status="error" if event.error else "ok",
                error=event.error,
                durationMs=event.duration_ms,
                truncated=event.truncated,
                mime=event.mime,
            )


def _last_repl(tree: RunTree, event: EventBase) -> Node:
    run = _run(tree, event)
    for child in reversed(run.children):
        if child.kind == "repl":
            return child
    return tree.add("repl", f"{event.run_id}#{len(tree.nodes)}", run_id=event.run_id, parent=run, code="")


def _progress_text(content: Any) -> str:
    """What a tool reports, as text. The built-in tools send `{"stream", "text"}`."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return str(content["text"])
    return json.dumps(content, ensure_ascii=False, default=str) + "\n"


def content_text(content: Any) -> str:
    """Message content as text; an image or a document is named by its media type."""
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        part = part if isinstance(part, dict) else part.model_dump()
        texts.append(part["text"] if part.get("type") == "text" else f"[{part.get('mediaType', part.get('type'))}]")
    return "\n".join(texts)
