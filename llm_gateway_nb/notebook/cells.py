"""A run as notebook cells: what ran as Python is a code cell with its outputs, what was said is Markdown.

Approvals go into the metadata of the cell that they allowed. The cells are plain JSON of nbformat 4.5.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import nh3

from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.notebook.plain_markdown import fenced, plain_markdown
from llm_gateway_nb.notebook.text import call, jsonable, printed, shown, whole
from llm_gateway_nb.notebook.words import answer, failures, outcome, run_status

__all__ = ["as_markdown", "as_notebook"]

Cell = dict[str, Any]

_SAFE_MIME = ("image/png", "image/jpeg", "text/latex", "application/json", "text/plain")
"""Of what a REPL shows; besides, HTML that was cleaned. The rest would be script, or fetch something."""


def as_notebook(tree: RunTree, *, title: str | None = None) -> dict[str, Any]:
    """The run as a notebook, in nbformat's JSON."""
    cells = [] if title is None else [_markdown(f"# {plain_markdown(title)}")]
    counter = _Counter()
    for root in tree.roots:
        cells.extend(_cells(root, counter))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:03}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def as_markdown(tree: RunTree, *, title: str | None = None) -> str:
    """The run as Markdown: the cells one after another, outputs as code blocks."""
    return "\n\n".join(_written(cell) for cell in as_notebook(tree, title=title)["cells"]) + "\n"


class _Counter:
    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        self.count += 1
        return self.count


def _markdown(text: str, **metadata: Any) -> Cell:
    return {"cell_type": "markdown", "metadata": _metadata(metadata), "source": text}


def _code(source: str, outputs: list[dict[str, Any]], count: int, **metadata: Any) -> Cell:
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": _metadata(metadata),
        "outputs": outputs,
        "source": source,
    }


def _metadata(known: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in known.items() if value not in (None, [], "")}
    return {"llm_gateway_nb": jsonable(kept)} if kept else {}


def _cells(node: Node, counter: _Counter, depth: int = 0) -> Iterator[Cell]:
    match node.kind:
        case "user":
            yield _markdown(f"**You:** {plain_markdown(node.text())}", role="user")
        case "text":
            if node.said.strip():
                yield _markdown(plain_markdown(node.said), role="assistant")
        case "reasoning":
            yield _markdown(
                f"<details><summary>Reasoning</summary>\n\n{plain_markdown(node.text())}\n\n</details>",
                role="reasoning",
            )
        case "tool":
            yield from _tool(node, counter, depth)
        case "repl":
            yield _repl(node, counter)
            for child in node.children:
                yield from _cells(child, counter, depth + 1)
        case "relay":
            yield _markdown(f"*asked: {plain_markdown(answer(node))}*", role="relay")
        case "error":
            name = shown(str(node.props.get("name", "Error")))
            yield _markdown(f"**{plain_markdown(name)}**\n\n{fenced(printed(node.text()))}", role="error")
        case "run":
            if depth:
                yield _markdown(f"{'#' * min(depth + 2, 6)} Subagent", role="subagent")
            for child in node.children:
                yield from _cells(child, counter, depth)
            if node.status not in {"final", None}:
                yield _markdown(f"*{run_status(node)}*", role="end")
        case "turn":
            for child in node.children:
                yield from _cells(child, counter, depth)
        case "note":
            title = plain_markdown(shown(str(node.props.get("title", "note"))))
            yield _markdown(f"*{title}*\n\n{plain_markdown(node.text())}", role="note")


def _tool(node: Node, counter: _Counter, depth: int) -> Iterator[Cell]:
    name, arguments = str(node.props.get("name", "tool")), node.props.get("input")
    given = arguments if isinstance(arguments, Mapping) else {}
    ran = node.status not in {"denied", "asking"}
    known = {"tool": name, "status": node.status, "approvals": _approvals(node)}
    if "cell" in node.props:  # its code ran in a REPL: that is the code cell, and it has what is known of the call
        below = [child for child in node.children if child.kind != "relay"]
        for cell in chain.from_iterable(_cells(child, counter, depth + 1) for child in below):
            if known and cell["cell_type"] == "code":
                cell["metadata"] = _metadata({**cell["metadata"].get("llm_gateway_nb", {}), **known})
                known = {}
            yield cell
        return
    if name == "python" and isinstance(given.get("code"), str) and ran:
        yield _code(given["code"], _outputs(node), counter.next(), **known)
    elif name == "bash" and isinstance(given.get("command"), str) and ran:
        yield _code(f"%%bash\n{given['command']}", _outputs(node), counter.next(), **known, arguments=dict(given))
    else:
        said = outcome(node)
        mark = {"ok": "", None: ""}.get(node.status, f"✗ {node.status}\n\n")
        text = f"**Tool:**\n\n{fenced(call(name, arguments), 'python')}"
        asked = [plain_markdown(answer(child)) for child in node.children if child.kind == "relay"]
        text += "".join(f"\n\n*asked: {each}*" for each in asked)
        text += f"\n\n{mark}{fenced(said)}" if said else f"\n\n{mark}".rstrip()
        yield _markdown(text, **known)
    for child in node.children:
        if child.kind != "relay" and (child.kind != "error" or child in failures(node)):
            yield from _cells(child, counter, depth + 1)


def _approvals(node: Node) -> list[dict[str, Any]]:
    """How the questions about a call were answered: who may run this was decided by somebody."""
    keys = {"status": "answer", "by": "by", "reason": "reason", "always": "always", "rule": "rule", "why": "why"}
    return [
        {name: child.props[key] for key, name in keys.items() if child.props.get(key) is not None}
        for child in node.children
        if child.kind == "relay"
    ]


def _repl(node: Node, counter: _Counter) -> Cell:
    outputs = [
        {"output_type": "stream", "name": stream, "text": text}
        for stream in ("stdout", "stderr")
        if (text := printed(node.text(stream)))
    ]
    bundles = node.props.get("mime")
    outputs += [_shown(bundle) for bundle in (bundles if isinstance(bundles, list) else [])]
    if node.props.get("error"):
        outputs.append(_error(str(node.props["error"])))
    known = {
        "status": node.status,
        "durationMs": node.props.get("durationMs"),
        "truncated": node.props.get("truncated"),
    }
    return _code(str(node.props.get("code", "")), outputs, counter.next(), role="repl", **known)


def _outputs(node: Node) -> list[dict[str, Any]]:
    """Of a tool that ran code: what it printed, else what it gave the model; and what it showed."""
    text = printed(node.text("progress")) or whole(node.props.get("output"))
    outputs: list[dict[str, Any]] = []
    if text:
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
    bundles = node.props.get("mime")
    outputs += [_shown(bundle) for bundle in (bundles if isinstance(bundles, list) else [])]
    if node.status in {"error", "cancelled"}:
        outputs.append(_error(whole(node.props.get("output")) or str(node.status)))
    return outputs


def _shown(bundle: Any) -> dict[str, Any]:
    data = bundle.get("data", bundle) if isinstance(bundle, Mapping) else {}
    data = data if isinstance(data, Mapping) else {}
    safe: dict[str, Any] = {}
    for kind in _SAFE_MIME:
        if kind in data:
            value = data[kind]
            safe[kind] = jsonable(value) if kind == "application/json" else _joined(value)
    if "text/html" in data:
        tags = nh3.ALLOWED_TAGS - {"img"}
        safe["text/html"] = nh3.clean(_joined(data["text/html"]), tags=tags, url_schemes={"http", "https", "mailto"})
    if not safe:
        safe["text/plain"] = f"[{', '.join(map(str, data)) or 'nothing'}]"
    return {"output_type": "display_data", "data": safe, "metadata": {}}


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _error(text: str) -> dict[str, Any]:
    lines = printed(text).strip("\n").split("\n")
    name, found, said = lines[-1].partition(": ")
    if not found or not name.replace(".", "").isidentifier():
        name, said = "Error", lines[-1]
    return {"output_type": "error", "ename": name, "evalue": said, "traceback": lines}


def _written(cell: Cell) -> str:
    if cell["cell_type"] == "markdown":
        return str(cell["source"])
    source = cell["source"]
    bash = source.startswith("%%bash\n")
    parts = [fenced(source.removeprefix("%%bash\n") if bash else source, "bash" if bash else "python")]
    approvals = cell["metadata"].get("llm_gateway_nb", {}).get("approvals", [])
    parts += [f"*asked: {plain_markdown(_told(each))}*" for each in approvals]
    for output in cell["outputs"]:
        match output:
            case {"output_type": "stream", "text": str(text)}:
                parts.append(fenced(text))
            case {"output_type": "error", "traceback": list(lines)}:
                parts.append(fenced("\n".join(lines)))
            case {"data": {"image/png": str(pixels)}}:
                parts.append(f"![plot](data:image/png;base64,{pixels.strip()})")
            case {"data": dict(data)}:
                parts.append(fenced(str(data.get("text/plain") or json.dumps(data.get("application/json")))))
    return "\n\n".join(parts)


def _told(approval: Mapping[str, Any]) -> str:
    by, reason = approval.get("by"), approval.get("reason")
    return f"{approval.get('answer')}{f' by {by}' if by else ''}{f': {reason}' if reason else ''}"
