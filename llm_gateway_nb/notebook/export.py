"""A run as a file that its panel's menu saves: a page, Markdown, or the tree as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.notebook.static_html import page, static_html
from llm_gateway_nb.notebook.text import clean, jsonable
from llm_gateway_nb.notebook.transcript import transcript

__all__ = ["exported"]

_FILES = {"html": (".html", "text/html"), "markdown": (".md", "text/markdown"), "json": (".json", "application/json")}


def exported(tree: RunTree, title: str, kind: str) -> dict[str, str] | None:
    """Name, media type and text of the file; None for a kind that there is none of."""
    if kind not in _FILES:
        return None
    suffix, mime = _FILES[kind]
    name = re.sub(r"[^\w-]+", "-", title).strip("-") or "run"
    return {"name": name + suffix, "kind": mime, "text": _text(tree, title, kind)}


def _text(tree: RunTree, title: str, kind: str) -> str:
    if kind == "html":
        return page(static_html(tree, title=title or None, details=True), title)
    if kind == "markdown":
        return transcript(tree)
    return json.dumps([_as_json(root) for root in tree.roots], ensure_ascii=False, indent=1)


def _as_json(node: Node) -> dict[str, Any]:
    return {
        "kind": node.kind,
        "id": node.id,
        **{key: jsonable(value) for key, value in node.props.items()},
        **{stream: clean(node.text(stream)) for stream in node.streams},
        "children": [_as_json(child) for child in node.children],
    }
