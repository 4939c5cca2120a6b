"""A run as plain text that is the same every time: no ids, times, tokens or costs, so that nbval can compare it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.notebook.text import MAX_DEPTH, call, cut, inline, printed, shown
from llm_gateway_nb.notebook.words import (
    answer,
    budget_question,
    failures,
    outcome,
    printed_beside,
    rich_texts,
    run_status,
)

__all__ = ["told", "transcript"]


def transcript(tree: RunTree) -> str:
    """The run as a person would tell it, indented by what belongs to what."""
    return told(tree.roots)


def told(nodes: Iterable[Node]) -> str:
    """These, and what is below them, as they stand in the transcript."""
    return "\n".join(line.rstrip() for node in nodes for line in _lines(node, 0))


def _lines(node: Node, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if depth > MAX_DEPTH:
        yield f"{pad}…"
        return
    match node.kind:
        case "run" | "turn":
            for child in node.children:
                yield from _lines(child, depth)
            if node.kind == "run" and (depth == 0 or node.status != "final"):
                yield f"{pad}[{run_status(node)}]"
        case "user":
            yield from _spoken("You: ", shown(node.text()), pad)
        case "text":
            if node.said or not node.text():
                yield from _spoken("Assistant: ", shown(node.said), pad)
        case "reasoning":
            yield from _spoken("Thought: ", shown(node.text()), pad)
        case "tool":
            yield from _tool(node, depth)
        case "relay":
            asked = f"asked: {budget_question(node)} " if node.props.get("kind") == "budget" else "asked: "
            yield from _spoken(asked, answer(node), pad)
        case "repl":
            yield from _repl(node, pad)
            for child in node.children:
                yield from _lines(child, depth + 1)
        case "error":
            yield from _spoken(f"{shown(str(node.props.get('name', 'Error')))}: ", printed(node.text()), pad)
        case "note":
            yield from _spoken(f"[{shown(str(node.props.get('title', 'note')))}] ", shown(node.text()), pad)


def _spoken(who: str, text: str, pad: str) -> Iterator[str]:
    first, *rest = cut(text).strip("\n").split("\n")
    yield f"{pad}{who}{first}"
    for line in rest:
        yield f"{pad}  {line}"


def _tool(node: Node, depth: int) -> Iterator[str]:
    pad, name, arguments = "  " * depth, str(node.props.get("name", "tool")), node.props.get("input")
    line = call(name, arguments) if "cell" not in node.props else f"{shown(name)}:"
    if len(line) <= 160 or not isinstance(arguments, Mapping):
        yield f"{pad}{cut(line)}"
    else:
        yield f"{pad}{shown(name)}("
        for key, value in arguments.items():
            text = shown(value) if isinstance(value, str) and "\n" in value else inline(value)
            yield from _spoken(f"{shown(str(key))} = ", cut(text), f"{pad}  ")
        yield f"{pad})"
    told = failures(node)
    for child in node.children:
        if child.kind != "error" or child in told:
            yield from _lines(child, depth + 1)
    if beside := printed_beside(node):
        yield from (f"{pad}  | {line}" for line in cut(beside).split("\n"))
    if "cell" in node.props and node.status in {"ok", "error"}:
        return
    status, output = node.status, outcome(node)
    failed = f"✗ {status}: " if output else f"✗ {status}"
    mark = {"ok": "→ ", "running": "… still running", "asking": "… waiting", None: "→ "}.get(status, failed)
    if status in {"running", "asking"}:
        yield f"{pad}  {mark}"
    elif output or status != "ok":
        yield from _spoken(mark, output, f"{pad}  ")


def _repl(node: Node, pad: str) -> Iterator[str]:
    iteration = node.props.get("iteration")
    number = iteration + 1 if isinstance(iteration, int) else " "
    first, *rest = shown(str(node.props.get("code", ""))).strip("\n").split("\n")
    prompt = f"In [{number}]: "
    yield f"{pad}{prompt}{first}"
    for line in rest:
        yield f"{pad}{' ' * len(prompt)}{line}"
    for stream in ("stdout", "stderr"):
        text = cut(printed(node.text(stream))).strip("\n")
        if text:
            yield from (f"{pad}  {line}" for line in text.split("\n"))
    for text in rich_texts(node):
        yield from (f"{pad}  {line}" for line in text.split("\n"))
    if node.props.get("truncated"):
        yield f"{pad}  … cut short"
    error = node.props.get("error")
    if error:
        yield from _spoken("✗ ", cut(printed(str(error))), f"{pad}  ")
