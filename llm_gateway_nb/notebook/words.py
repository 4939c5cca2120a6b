"""What has become of a node, in words: the same in the transcript, the page, a notebook and a comparison."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llm_gateway_nb.graph.tree import Node
from llm_gateway_nb.notebook.text import printed, rule_text, shown, whole

__all__ = [
    "answer",
    "budget_question",
    "failures",
    "is_ask",
    "outcome",
    "printed_beside",
    "rich_texts",
    "run_status",
    "said_below",
]

_RUN = {
    "running": "running",
    "final": "done",
    "max_iterations": "stopped at its limit",
    "cancelled": "cancelled",
    "error": "failed",
    "budget": "stopped at its budget",
}
_BY = {"person": "you", "timeout": "nobody in time", "recorded": "the recording", "rule": "a rule", "policy": "policy"}


def run_status(node: Node) -> str:
    """The state of a run in words."""
    status = str(node.status or "running")
    return _RUN.get(status, shown(status))


def answer(node: Node) -> str:
    """How a relay was answered: `approved by you`, `denied by policy: not here`, …"""
    status, by = str(node.status), node.props.get("by")
    if status == "pending":
        return "waiting for an answer"
    if is_ask(node) and status == "approved":
        return "answered by you" if by == "person" else "answered"
    words = shown(status)
    if by and status in {"approved", "denied"}:
        words += f" by {_BY.get(str(by), shown(str(by)))}"
    if node.props.get("edited") and status == "approved":
        words += ", with other arguments"
    if node.props.get("always") and status == "approved":
        words += f", and always {rule_text(node.props.get('rule'))}"
    reason = node.props.get("reason")
    return f"{words}: {shown(str(reason))}" if reason else words


def is_ask(node: Node) -> bool:
    """Whether a relay is the tool `ask_user`, which asks the person and not for permission."""
    params = node.props.get("params")
    return (
        node.props.get("tool") == "ask_user"
        and isinstance(params, Mapping)
        and isinstance(params.get("question"), str)
        and params.keys() <= {"question", "options", "answer"}
    )


def budget_question(node: Node) -> str:
    """What a relay of kind `budget` asks."""
    limit, used, unit = (node.props.get(key) for key in ("limit", "used", "unit"))
    return f"the budget of {_number(limit)} {shown(str(unit))} is reached ({_number(used)}); go on?"


def _number(value: Any) -> str:
    return f"{value:,.10g}" if isinstance(value, int | float) else shown(str(value))


def failures(node: Node) -> list[Node]:
    """The errors below a tool call that its output does not tell already."""
    output = whole(node.props.get("output"))
    return [
        child for child in node.children if child.kind == "error" and shown(child.text()) not in (output or "\0never")
    ]


def outcome(node: Node) -> str:
    """The output of a call; of a denied one only what its question does not tell already."""
    output = whole(node.props.get("output"))
    if node.status != "denied":
        return output
    reasons = [str(child.props.get("reason")) for child in node.children if child.kind == "relay"]
    text = re.sub(r"^denied\b[:.]?\s*", "", output, flags=re.I)
    return "" if any(text == shown(reason) for reason in reasons) else text


def said_below(node: Node, output: str) -> bool:
    """Whether a call's output is what the run inside it said last."""
    run = next((child for child in reversed(node.children) if child.kind == "run"), None)
    while run is not None:
        last = next((child for child in reversed(run.children) if child.kind in {"text", "turn"}), None)
        if last is None or last.kind == "text":
            return last is not None and shown(last.text()).strip() == output.strip()
        run = last
    return False


def printed_beside(node: Node) -> str:
    """What a call reported while it ran, unless its output says it again."""
    progress = printed(node.text("progress")).strip("\n")
    return "" if progress.strip() in whole(node.props.get("output")) else progress


def rich_texts(node: Node) -> list[str]:
    """The plain side of a REPL's rich results."""
    bundles = node.props.get("mime")
    texts = []
    for bundle in bundles if isinstance(bundles, list) else []:
        data = bundle.get("data", bundle) if isinstance(bundle, Mapping) else {}
        plain = data.get("text/plain") if isinstance(data, Mapping) else None
        texts.append(whole("".join(map(str, plain)) if isinstance(plain, list) else plain))
    return [text for text in texts if text]
