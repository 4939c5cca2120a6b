"""A run as a tree of nodes, grown one event at a time.

The tree is the one picture of a run that everything else is made from: the live panel, the saved HTML, the transcript, the
message history. A node knows nothing of any of them. `RunTree.changes` is what happened since it was last taken, in the
order it happened, so that a view sends only that; a view that comes late reads the whole tree instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from llm_gateway_nb.graph.recent import Recent

__all__ = ["Added", "Appended", "Change", "Node", "NodeKind", "RunTree", "Updated"]

NodeKind = Literal["run", "turn", "user", "text", "reasoning", "tool", "relay", "repl", "error", "note"]
"""`turn` is one model call inside an agent's run; it has no `harness_start` of its own."""


class _Text:
    """Text that grows by small pieces: each is copied a few times at most, and a million of them are not kept apart."""

    __slots__ = ("_blocks", "_pieces")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []

    def append(self, text: str) -> None:
        self._pieces.append(text)
        if len(self._pieces) >= 1024:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    def read(self) -> str:
        if self._pieces or len(self._blocks) > 1:
            self._blocks[:] = ["".join((*self._blocks, *self._pieces))]
            self._pieces.clear()
        return self._blocks[0] if self._blocks else ""


@dataclass(slots=True, eq=False)
class Node:
    """One thing that a person can see.

    Attributes:
        key: its number in the tree, counted from 0 in the order of appearance.
        id: the id of its event, of its run, or of its tool call.
        props: what is known of it: JSON values, named as on the wire. A `run` or `turn` has, where known, `inputTokens`,
            `outputTokens` and `cost` (US dollars), each with all that hangs below; `costUnknown` says that some of its
            calls have no known price, and then there is no `cost`.
    """

    key: int
    kind: NodeKind
    id: str
    run_id: str
    parent: Node | None
    props: dict[str, Any]
    children: list[Node] = field(default_factory=list)
    _streams: dict[str, _Text] = field(default_factory=dict)

    @property
    def status(self) -> str | None:
        status: str | None = self.props.get("status")
        return status

    @property
    def said(self) -> str:
        """The text as a person reads it: without the code that a REPL ran, whose cell stands below it."""
        prose: str | None = self.props.get("prose")
        return self.text() if prose is None else prose

    def text(self, stream: str = "text") -> str:
        """All that was appended to `stream`: `text`, `progress`, `stdout`, `stderr`."""
        kept = self._streams.get(stream)
        return "" if kept is None else kept.read()

    @property
    def streams(self) -> list[str]:
        """The streams that anything was appended to, in the order of their first text."""
        return list(self._streams)

    def walk(self) -> Iterator[Node]:
        """This node and all below it, parents first, in the order they appeared."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    def __repr__(self) -> str:
        return f"Node({self.key}, {self.kind!r}, children={len(self.children)})"


@dataclass(slots=True)
class Added:
    """`node` is new."""

    node: Node


class Appended:
    """`text` came to the end of a stream of `node`."""

    __slots__ = ("_pieces", "node", "stream")

    def __init__(self, node: Node, stream: str, text: str) -> None:
        self.node = node
        self.stream = stream
        self._pieces = [text]

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0]

    def __repr__(self) -> str:
        return f"Appended({self.node!r}, {self.stream!r}, {self.text!r})"


@dataclass(slots=True)
class Updated:
    """These props of `node` are new or have changed."""

    node: Node
    props: dict[str, Any]


Change = Added | Appended | Updated


class RunTree:
    """Nodes, and what changed. `llm_gateway_nb.graph.fold` puts events in; nobody else should write.

    Attributes:
        roots: the nodes without a parent: the runs, and the user's turn that started them.
        nodes: every node by its key.
        recent: the numbered events of late, so that one that comes twice is noticed.
    """

    def __init__(self) -> None:
        self.roots: list[Node] = []
        self.nodes: list[Node] = []
        self.changes: list[Change] = []
        self.recent = Recent()
        self._by_id: dict[str, Node] = {}

    def find(self, event_id: str | None) -> Node | None:
        """The node of an event id, run id or tool-call id."""
        return None if event_id is None else self._by_id.get(event_id)

    def walk(self) -> Iterator[Node]:
        """Every node, parents first."""
        for root in self.roots:
            yield from root.walk()

    def take_changes(self) -> list[Change]:
        """What happened since the last call."""
        changes, self.changes = self.changes, []
        return changes

    def snapshot(self) -> list[Change]:
        """The changes that make this tree out of an empty one."""
        changes: list[Change] = []
        for node in self.nodes:
            changes.append(Added(node))
            changes.extend(Appended(node, stream, node.text(stream)) for stream in node.streams)
        return changes

    # -- for the fold ------------------------------------------------------------------------------------------------

    def add(self, node_kind: NodeKind, event_id: str, /, *, run_id: str, parent: Node | None, **props: Any) -> Node:
        """A new node; its id is remembered unless it was taken already."""
        node = Node(
            len(self.nodes), node_kind, event_id, run_id, parent, {k: v for k, v in props.items() if v is not None}
        )
        self.nodes.append(node)
        self._by_id.setdefault(event_id, node)
        (self.roots if parent is None else parent.children).append(node)
        self.changes.append(Added(node))
        return node

    def append(self, node: Node, text: str, stream: str = "text") -> None:
        """More text; what is appended to one stream in a row stays one change."""
        if not text:
            return
        kept = node._streams.get(stream)
        if kept is None:
            kept = node._streams[stream] = _Text()
        kept.append(text)
        last = self.changes[-1] if self.changes else None
        if isinstance(last, Appended) and last.node is node and last.stream == stream:
            last._pieces.append(text)
        else:
            self.changes.append(Appended(node, stream, text))

    def update(self, node: Node, **props: Any) -> None:
        """Other props; what does not change anything is no change."""
        new = {key: value for key, value in props.items() if value is not None and node.props.get(key) != value}
        if new:
            node.props.update(new)
            self.changes.append(Updated(node, new))

    def drop(self, node: Node, prop: str) -> None:
        """It is not known any more; to a view the prop becomes None."""
        if node.props.pop(prop, None) is not None:
            self.changes.append(Updated(node, {prop: None}))

    def __repr__(self) -> str:
        return f"RunTree(runs={sum(node.kind == 'run' for node in self.nodes)}, nodes={len(self.nodes)})"
