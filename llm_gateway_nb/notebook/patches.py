"""What a page is told of a tree: operations on its picture, in portions that a server takes.

An operation is one of:
    `["n", key, parent_key | None, kind, props]`: a new node;
    `["+", key, stream, text]`: more text;
    `["s", key, props]`: other props.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from llm_gateway_nb.graph.tree import Added, Appended, Change, Updated
from llm_gateway_nb.notebook.text import clean, jsonable

__all__ = ["Operation", "portions"]

Operation = list[Any]

MAX_MESSAGE = 1_000_000
"""Bytes of operations in one message; Jupyter's server drops a connection that sends much more at once."""
MAX_OUTPUT = 400_000
"""Characters of one output that a page is given; `run.result` and the events have the rest."""


def portions(changes: Iterable[Change]) -> Iterator[list[Operation]]:
    """The operations of one message after the other."""
    portion: list[Operation] = []
    size = 0
    for operation in _operations(changes):
        weight = _weight(operation)
        if portion and size + weight > MAX_MESSAGE:
            yield portion
            portion, size = [], 0
        portion.append(operation)
        size += weight
    if portion:
        yield portion


def _operations(changes: Iterable[Change]) -> Iterator[Operation]:
    new: set[int] = set()
    for change in changes:
        match change:
            case Added(node=node):
                new.add(node.key)
                parent = None if node.parent is None else node.parent.key
                yield ["n", node.key, parent, node.kind, {"id": clean(node.id), **_props(node.props)}]
            case Appended(node=node, stream=stream, text=text):
                text = clean(text)
                for start in range(0, len(text), MAX_MESSAGE // 4):
                    yield ["+", node.key, stream, text[start : start + MAX_MESSAGE // 4]]
            case Updated(node=node, props=props):
                if node.key not in new:  # a new node was told with the props that it has by now
                    yield ["s", node.key, _props(props)]


def _props(props: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _shortened(jsonable(value)) if key in {"output", "mime"} else jsonable(value)
        for key, value in props.items()
    }


def _shortened(value: Any) -> Any:
    """Without the far end of a huge output. What a person approves (`input`, `params`) is never cut."""
    if isinstance(value, str) and len(value) > MAX_OUTPUT:
        return f"{value[:MAX_OUTPUT]}\n… {len(value) - MAX_OUTPUT} more characters"
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, dict):
        return {key: item if key.startswith("image/") else _shortened(item) for key, item in value.items()}
    return value


def _weight(value: Any) -> int:
    """About how many bytes of JSON."""
    if isinstance(value, str):
        return 8 + (len(value) if value.isascii() else len(value.encode()))
    if isinstance(value, dict):
        return 8 + sum(_weight(key) + _weight(item) for key, item in value.items())
    if isinstance(value, list):
        return 8 + sum(map(_weight, value))
    return 12
