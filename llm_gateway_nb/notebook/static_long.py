"""A long run, in the form that a notebook can hold: its beginning and its end are drawn, what lies between is told as text.

A page pays for every styled element that a cell has put out, more than once, and in one piece: JupyterLab sanitises all of
it for its table of contents whenever the cell changes (measured at 50,000 events: 5,000 styles, up to 170 ms).
Text costs it next to nothing. So nothing is left out, and no page stands still.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.notebook.text import MAX_TEXT
from llm_gateway_nb.notebook.transcript import told

__all__ = ["shortened"]

WHOLE = 1_500
"""Styled elements up to which a run that is over is drawn whole."""
GOING_ON = 600
"""The same for one that will be drawn again in a few seconds."""


def shortened(tree: RunTree, whole: int = WHOLE) -> RunTree:
    """`tree` itself, unless it is long; then one that shares its nodes, with notes in the place of the middle."""
    weights = [_weight(node) for node in tree.nodes]
    if sum(weights) <= whole:
        return tree
    first = _reach(weights, whole * 0.2)
    last = len(weights) - _reach(weights[::-1], whole * 0.4)
    between = [first <= node.key < last and not _pictures(node) for node in tree.nodes]
    short = RunTree()
    short.nodes = tree.nodes
    short.roots = list(_drawn(tree.roots, between))
    return short


def _weight(node: Node) -> float:
    """About how many styled elements it is drawn with."""
    said = sum(min(len(node.text(stream)), MAX_TEXT) for stream in node.streams)
    match node.kind:
        case "run" | "turn":
            return 0
        case "repl":
            return 8 + len(str(node.props.get("code", ""))) / 20
        case "tool":
            return 6 + min(len(str(node.props.get("input", ""))), MAX_TEXT) / 50
        case _:
            return 2 + said / 150


def _reach(weights: Sequence[float], most: float) -> int:
    """How many of them, from the first on, weigh no more than that together."""
    for number, weight in enumerate(weights):
        most -= weight
        if most < 0:
            return number
    return len(weights)


def _pictures(node: Node) -> bool:
    """Whether text would lose something of it."""
    output = node.props.get("output")
    return bool(node.props.get("media") or node.props.get("mime")) or (isinstance(output, list) and bool(output))


def _drawn(nodes: Sequence[Node], between: Sequence[bool]) -> Iterator[Node]:
    """The nodes, with a note for each row of those that lie between with all that is below them."""
    row: list[Node] = []
    for node in nodes:
        if all(between[below.key] for below in node.walk()):
            row.append(node)
            continue
        if row:
            yield _note(row)
            row = []
        yield replace(node, children=list(_drawn(node.children, between))) if node.children else node
    if row:
        yield _note(row)


def _note(row: Sequence[Node]) -> Node:
    steps = [node for top in row for node in top.walk() if node.kind not in {"run", "turn"}]
    failed = sum(node.status in {"error", "denied"} for node in steps)
    title = f"{len(steps)} steps in between, as text" + (f" ({failed} of them failed or were denied)" if failed else "")
    props: dict[str, Any] = {"title": title, "plain": True}
    note = Node(row[0].key, "note", row[0].id, row[0].run_id, row[0].parent, props)
    RunTree().append(note, told(row))
    return note
