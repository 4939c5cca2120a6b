"""The conversation that a tree of runs reads as: a flat list, with branches where something hangs on a message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from llm_gateway_nb.graph.tree import Node, RunTree

__all__ = ["ThreadNode", "project_thread"]

ThreadKind = Literal["user", "text", "reasoning", "tool_call", "relay", "repl", "error", "note", "pending"]
ThreadStatus = Literal["streaming", "complete", "error"]


@dataclass(slots=True)
class ThreadNode:
    """One thing in a conversation.

    Attributes:
        kind: `pending` stands for a run that has started and said nothing yet.
        run_id: the agent that it belongs to: a model call inside an agent's run is the agent's.
        content: text; of a tool call the dict `{name, input, output, progress, status}`; of a REPL turn
            `{code, stdout, stderr, error, status}`; of a question what it asks and its `status`.
        branches: conversations that hang on it: subagents of a call, other answers to the same message.
    """

    id: str
    run_id: str
    kind: ThreadKind
    role: Literal["user", "assistant"]
    content: Any
    status: ThreadStatus
    branches: list[list[ThreadNode]] = field(default_factory=list)


def project_thread(tree: RunTree) -> list[ThreadNode]:
    """The conversation. A run that answers a message (its parent is the `user` event) goes on flat; a second answer to the
    same message is a branch of it, as are all subagents of a tool call or a REPL turn.

    Depth is bounded by nothing but memory: no recursion.
    """
    thread: list[ThreadNode] = []
    waiting: list[tuple[list[Node], list[ThreadNode]]] = [(tree.roots, thread)]
    while waiting:
        nodes, into = waiting.pop()
        for node in nodes:
            _project(node, into, waiting)
    return thread


def _project(node: Node, into: list[ThreadNode], waiting: list[tuple[list[Node], list[ThreadNode]]]) -> None:
    """Put a root, or a run that hangs on something, into a conversation."""
    if node.kind not in {"run", "turn"}:
        shown = _shown(node, node)
        if shown is not None:
            into.append(shown)
            first = True
            for child in node.children:
                if node.kind == "user" and first and child.kind in {"run", "turn"}:
                    first = False
                    _project(child, into, waiting)
                else:
                    _branch(child, shown, waiting)
        return
    empty = True
    for part in _contents(node):
        shown = _shown(part, node)
        if shown is None:
            continue
        empty = False
        into.append(shown)
        for child in part.children:
            _branch(child, shown, waiting)
    if empty and node.kind == "run" and node.status == "running":
        into.append(ThreadNode(f"{node.id}#pending", node.id, "pending", "assistant", "", "streaming"))


def _branch(node: Node, under: ThreadNode, waiting: list[tuple[list[Node], list[ThreadNode]]]) -> None:
    """A run that hangs on something; the question about a call, an error of it, with what hangs on those."""
    branch: list[ThreadNode] = []
    under.branches.append(branch)
    waiting.append(([node], branch))


def _contents(run: Node) -> Iterator[Node]:
    """What a run consists of, its model calls opened; and the runs in it that hang on no message."""
    for child in run.children:
        if child.kind in {"turn", "run"}:
            yield from _opened(child)
        else:
            yield child


def _opened(run: Node) -> Iterator[Node]:
    waiting = [run]
    while waiting:
        node = waiting.pop()
        if node.kind in {"run", "turn"}:
            waiting.extend(reversed(node.children))
        else:
            yield node


def _shown(node: Node, run: Node) -> ThreadNode | None:
    role: Literal["user", "assistant"] = "user" if node.kind == "user" else "assistant"
    match node.kind:
        case "tool":
            kind: ThreadKind = "tool_call"
            content: Any = {
                "name": node.props.get("name"),
                "input": node.props.get("input"),
                "output": node.props.get("output"),
                "progress": node.text("progress"),
                "status": node.status,
            }
        case "repl":
            kind = "repl"
            content = {
                "code": node.props.get("code", ""),
                "stdout": node.text("stdout"),
                "stderr": node.text("stderr"),
                "error": node.props.get("error"),
                "status": node.status,
            }
        case "relay":
            kind = "relay"
            content = {key: value for key, value in node.props.items() if key != "kind"}
        case "note":
            kind, content = "note", {"title": node.props.get("title", ""), "text": node.text()}
        case "user" | "text" | "reasoning" | "error":
            kind, content = node.kind, node.text()
        case _:
            return None
    return ThreadNode(node.id, run.id if run is not node else node.run_id, kind, role, content, _status(node))


def _status(node: Node) -> ThreadStatus:
    match node.kind:
        case "error":
            return "error"
        case "tool" | "repl":
            if node.status in {None, "running", "asking"}:
                return "streaming"
            return "complete" if node.status == "ok" else "error"
        case "relay":
            return "streaming" if node.status == "pending" else "complete"
        case "text" | "reasoning":
            return _spoken(node)
        case _:
            return "complete"


def _spoken(node: Node) -> ThreadStatus:
    """Text grows as long as it is the last thing of a run that has not ended; a run that failed broke it off."""
    last = node
    while (above := last.parent) is not None and above.kind in {"run", "turn"}:
        if above.children[-1] is not last:
            return "complete"
        if above.kind == "run" and above.status != "running":
            return "error" if above.status == "error" else "complete"
        if above.kind == "run":
            return "streaming"
        last = above
    return "complete"
