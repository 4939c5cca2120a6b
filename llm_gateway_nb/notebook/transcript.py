"""A run as plain text that is the same every time: no ids, times, tokens or costs, so that nbval can compare it.

Beside it, what every saved form of a run needs: values as JSON, and text whose invisible characters can be seen.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from llm_gateway_nb.graph.tree import Node, RunTree

__all__ = [
    "answer",
    "call",
    "clean",
    "is_ask",
    "jsonable",
    "outcome",
    "printed",
    "printed_beside",
    "run_status",
    "said_below",
    "shown",
    "transcript",
    "unprinted",
    "whole",
]

MAX_DEPTH = 60
"""Nested deeper than this nothing is drawn; a browser would give up as well."""

MAX_TEXT = 20_000
"""Characters of one value in a saved form of a run; the rest is counted."""


def transcript(tree: RunTree) -> str:
    """The run as a person would tell it, indented by what belongs to what."""
    lines: list[str] = []
    for root in tree.roots:
        lines.extend(_lines(root, 0))
    return "\n".join(line.rstrip() for line in lines)


# -- values as text ------------------------------------------------------------------------------------------------------


def clean(text: str) -> str:
    """`text` as any encoder takes it: pairs of surrogates joined, single ones replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def jsonable(value: Any, _above: tuple[int, ...] = ()) -> Any:
    """`value` as JSON that a browser reads as it was meant: what it cannot hold exactly, as text. Never fails on data."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int):
        return int(value) if -(2**53) < value < 2**53 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", fallback=str)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if id(value) in _above or len(_above) >= MAX_DEPTH:
            return "…"
        above = (*_above, id(value))
        if isinstance(value, Mapping):
            return {clean(str(key)): jsonable(item, above) for key, item in value.items()}
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [jsonable(item, above) for item in items]
    return clean(re.sub(r" at 0x[0-9a-fA-F]+", "", str(value)))


_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ESCAPES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[@-Z\\\\-_])")


def _named(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def shown(text: str) -> str:
    """`text` with control, bidirectional and invisible characters made visible: nothing hides, nothing is turned round."""
    return _INVISIBLE.sub(_named, clean(text))


def unprinted(text: str) -> str:
    """What overwriting lines leaves standing, escape sequences kept."""
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def printed(text: str) -> str:
    """What a terminal would have left standing: escape sequences gone, overwritten lines overwritten; then `shown`."""
    return shown(unprinted(_ESCAPES.sub("", text)))


def whole(value: Any) -> str:
    """A tool's output, or anything else, as text: a text as it is, the rest as JSON with an indent."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(jsonable(value), indent=2, ensure_ascii=False)
    return _cut(printed(text))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\n… {len(text) - MAX_TEXT} more characters"


def _inline(value: Any) -> str:
    return shown(json.dumps(jsonable(value), ensure_ascii=False))


def call(name: str, arguments: Any) -> str:
    """A call as one would write it: `bash(command="wc -l notes.txt")`."""
    if arguments is None or arguments == {}:
        return f"{shown(name)}()"
    if isinstance(arguments, Mapping):
        inside = ", ".join(f"{shown(str(key))}={_inline(value)}" for key, value in arguments.items())
    else:
        inside = _inline(arguments)
    return f"{shown(name)}({inside})"


def rule_text(rule: Any) -> str:
    """What "always" grants: `bash(command="git status *")`, or the tool's name where it is any call of it."""
    if not isinstance(rule, Mapping):
        return whole(rule)
    params = rule.get("params")
    name = shown(str(rule.get("tool", "")))
    return call(name, params) if params else f"{name}, with any arguments"


# -- states in words -----------------------------------------------------------------------------------------------------

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


# -- the lines -----------------------------------------------------------------------------------------------------------


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
    first, *rest = _cut(text).strip("\n").split("\n")
    yield f"{pad}{who}{first}"
    for line in rest:
        yield f"{pad}  {line}"


def _tool(node: Node, depth: int) -> Iterator[str]:
    pad, name, arguments = "  " * depth, str(node.props.get("name", "tool")), node.props.get("input")
    line = call(name, arguments) if "cell" not in node.props else f"{shown(name)}:"
    if len(line) <= 160 or not isinstance(arguments, Mapping):
        yield f"{pad}{_cut(line)}"
    else:
        yield f"{pad}{shown(name)}("
        for key, value in arguments.items():
            text = shown(value) if isinstance(value, str) and "\n" in value else _inline(value)
            yield from _spoken(f"{shown(str(key))} = ", _cut(text), f"{pad}  ")
        yield f"{pad})"
    told = failures(node)
    for child in node.children:
        if child.kind != "error" or child in told:
            yield from _lines(child, depth + 1)
    if beside := printed_beside(node):
        yield from (f"{pad}  | {line}" for line in _cut(beside).split("\n"))
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
        text = _cut(printed(node.text(stream))).strip("\n")
        if text:
            yield from (f"{pad}  {line}" for line in text.split("\n"))
    for text in rich_texts(node):
        yield from (f"{pad}  {line}" for line in text.split("\n"))
    if node.props.get("truncated"):
        yield f"{pad}  … cut short"
    error = node.props.get("error")
    if error:
        yield from _spoken("✗ ", _cut(printed(str(error))), f"{pad}  ")


def rich_texts(node: Node) -> list[str]:
    """The plain side of a REPL's rich results."""
    bundles = node.props.get("mime")
    texts = []
    for bundle in bundles if isinstance(bundles, list) else []:
        data = bundle.get("data", bundle) if isinstance(bundle, Mapping) else {}
        plain = data.get("text/plain") if isinstance(data, Mapping) else None
        texts.append(whole("".join(map(str, plain)) if isinstance(plain, list) else plain))
    return [text for text in texts if text]
