"""A run as HTML that needs nothing: no script, no stylesheet, no kernel, no trust.

It looks as the panel looked at its end. What stays is what JupyterLab's sanitiser, GitHub, nbviewer and nbconvert let
through. Where styles are taken away the structure still reads well: what stands apart by a style has a separator that only
a style hides.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.notebook.markdown import LINE, PRE, markdown
from llm_gateway_nb.notebook.paint import ASK, BAD, BUSY, DIM, FADED, FINE, QUIET, code
from llm_gateway_nb.notebook.static_parts import (
    attachments,
    bad,
    folded,
    long,
    one_line,
    open_arguments,
    rich,
    text_of,
)
from llm_gateway_nb.notebook.text import MAX_DEPTH, cut, printed, rule_text, shown
from llm_gateway_nb.notebook.words import (
    answer,
    budget_question,
    failures,
    is_ask,
    outcome,
    printed_beside,
    run_status,
    said_below,
)

__all__ = ["page", "static_html"]

_SMALL = "font-size:12px"
_CLIPPED = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
_MONO = "background-color:transparent;font-size:13px;padding:0"
_APART = '<span style="display:none"> · </span>'
"""Seen only where styles are taken away."""

_RUN_MARK = {
    "final": ("✓", FINE),
    "running": ("●", BUSY),
    "max_iterations": ("●", ASK),
    "budget": ("●", ASK),
    "cancelled": ("■", QUIET),
    "error": ("✗", BAD),
}
_TOOL_MARK = {
    "ok": ("✓", "done", FINE),
    "asking": ("●", "waiting for an answer", ASK),
    "running": ("●", "still running", BUSY),
    "denied": ("✗", "denied", BAD),
    "error": ("✗", "failed", BAD),
    "cancelled": ("■", "cancelled", QUIET),
}


def static_html(tree: RunTree, *, title: str | None = None, details: bool = False) -> str:
    """The run as it stands. The same tree gives the same text, wherever and whenever it ran.

    Args:
        title: stands in the heading; None leaves it out.
        details: times, tokens and cost too, folded; they differ from run to run.
    """
    runs = [root for root in tree.roots if root.kind == "run"]
    body = "".join(_nodes(tree.roots, 0, headings=_side_by_side(runs)))
    return (
        f'<div data-lgnb="run" style="border:1px solid {LINE};border-radius:10px;margin:2px 0;font-size:14px;'
        f'line-height:1.55;text-align:left">'
        f"{_header(runs, title)}"
        f'<div style="max-height:640px;overflow:auto;padding:4px 16px 16px 16px">{body}</div>'
        f"{_figures(tree) if details else ''}</div>"
    )


def _side_by_side(runs: list[Node]) -> bool:
    """Whether one began before another was over: then each needs a heading of its own. Turns of a conversation do not."""
    return any(max(node.key for node in run.walk()) > later.key for run, later in pairwise(runs))


def page(body: str, title: str | None) -> str:
    """A page of its own around it: for a file that is opened by itself."""
    name = html.escape(shown(title or "A run"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{name}</title></head>"
        '<body style="margin:16px auto;max-width:1000px;padding:0 12px;font-family:system-ui,sans-serif">'
        f"<main>{body}</main></body></html>\n"
    )


def _header(runs: list[Node], title: str | None) -> str:
    parts = [_run_word(runs[-1])] if runs else []
    if title:
        parts.append(f"<strong>{text_of(title)}</strong>")
    if runs:
        parts.extend(_run_facts(runs[-1]))
    if not parts:
        return ""
    return (
        f'<div style="display:flex;flex-wrap:wrap;align-items:center;gap:4px 10px;min-height:30px;padding:6px 16px;'
        f'border-bottom:1px solid {LINE}">{_APART.join(parts)}</div>'
    )


def _run_word(node: Node, of: str = "") -> str:
    mark, colour = _RUN_MARK.get(str(node.status), ("●", ASK))
    return f'<strong style="color:{colour};font-weight:600">{mark} {of}{text_of(run_status(node))}</strong>'


def _run_facts(node: Node) -> Iterator[str]:
    if node.props.get("model"):
        yield f'<span style="{_SMALL};{DIM}">{text_of(node.props["model"])}</span>'
    count, most = node.props.get("iterations"), node.props.get("maxIterations")
    if isinstance(count, int) and isinstance(most, int):
        yield f'<span style="{_SMALL};{DIM};margin-left:auto">{count} of {most} iterations</span>'


def _nodes(nodes: Iterable[Node], depth: int, *, headings: bool = True) -> Iterator[str]:
    for node in nodes:
        yield _node(node, depth, headings)


def _node(node: Node, depth: int, heading: bool) -> str:
    if depth > MAX_DEPTH:
        return "<p>…</p>"
    match node.kind:
        case "turn":
            return "".join(_nodes(node.children, depth + 1))
        case "run":
            return _run(node, depth, heading)
        case "user":
            return (
                '<div style="margin:10px 0 0 0"><div style="display:inline-block;max-width:62em;padding:7px 14px 9px 14px;'
                'border-radius:3px 12px 12px 12px;background-color:rgba(25,118,210,0.11)">'
                f'<div style="{_SMALL};{DIM};font-weight:600">You<span style="display:none">:</span></div>'
                f"{attachments(node.props.get('media'))}"
                f"{_prose(node.text())}</div></div>"
            )
        case "text":
            said = _prose(node.said)
            return f'<div style="margin:10px 0 0 0;max-width:62em">{said}</div>' if said or not node.text() else ""
        case "reasoning":
            return folded("Thought", _aside(node))
        case "tool":
            return _tool(node, depth)
        case "relay":
            return _relay(node)
        case "repl":
            return _repl(node, depth)
        case "error":
            name = text_of(node.props.get("name", "Error"))
            return bad(f'<strong style="font-size:13px;color:{BAD}">{name}</strong>', printed(node.text()))
        case "note":
            inside = f'<pre style="{PRE}">{text_of(node.text())}</pre>' if node.props.get("plain") else _aside(node)
            return folded(text_of(node.props.get("title", "note")), inside)


def _aside(node: Node) -> str:
    style = f"margin:4px 0 4px 5px;padding-left:13px;border-left:2px solid {LINE};font-size:13px;{FADED}"
    return f'<div style="{style}">{_prose(node.text())}</div>'


def _prose(text: str) -> str:
    return markdown(cut(text))


def _run(node: Node, depth: int, heading: bool) -> str:
    inside = "".join(_nodes(node.children, depth + 1))
    if not heading:
        return inside
    facts = [_run_word(node, "subagent " if node.parent is not None else "")]
    if node.props.get("model"):
        facts.append(f'<span style="{DIM}">{text_of(node.props["model"])}</span>')
    return (
        f'<div style="border-left:2px solid rgba(25,118,210,0.45);padding-left:14px;margin:8px 0">'
        f'<div style="{_SMALL};display:flex;gap:8px">{_APART.join(facts)}</div>{inside}</div>'
    )


def _tool(node: Node, depth: int) -> str:
    mark, word, colour = _TOOL_MARK.get(str(node.status), ("·", shown(str(node.status or "")), QUIET))
    name, arguments = text_of(node.props.get("name", "tool")), node.props.get("input")
    line, complete = one_line(arguments)
    shown_below = "cell" in node.props and node.status in {"ok", "error", "running"}
    inside = "" if complete or shown_below else open_arguments(arguments)
    told = failures(node)
    inside += "".join(_nodes((c for c in node.children if c.kind != "error" or c in told), depth + 1))
    output = outcome(node)
    given = node.props.get("output")
    if shown_below:
        pass
    elif node.status in {"error", "denied"}:
        inside += bad("", given if isinstance(given, str) and node.status == "error" else output) if output else ""
    elif output and not said_below(node, output):
        inside += folded("Live output", long(beside)) if (beside := printed_beside(node)) else ""
        inside += attachments(given)
        inside += long(given) if isinstance(given, str) else long(output, "" if attachments(given) else "json")
    elif not output and node.text("progress"):
        inside += long(printed(node.text("progress")))
    shade = {"error": "rgba(210,60,65,0.45)", "denied": "rgba(210,60,65,0.45)", "asking": "rgba(176,104,12,0.65)"}
    border = shade.get(str(node.status), LINE)
    return (
        f'<details open style="border:1px solid {border};border-radius:8px;margin:10px 0 0 0;padding:0 12px 6px 12px">'
        f'<summary style="cursor:pointer;display:flex;align-items:center;gap:8px;min-height:34px;list-style-type:none">'
        f'<span style="color:{colour};font-weight:700">{mark}</span> '
        f'<strong style="flex:none;max-width:45%;{_CLIPPED}"><code style="{_MONO}">{name}</code></strong> '
        f"{_line(line) if line else ''}"
        f'<span style="margin-left:auto;white-space:nowrap;{_SMALL};color:{colour};font-weight:500">{text_of(word)}</span>'
        f' <span style="{DIM}">⌄</span></summary>{inside}</details>'
    )


def _line(text: str) -> str:
    return f'<code style="{_MONO};{DIM};{_CLIPPED}">{text_of(text)}</code> '


def _relay(node: Node) -> str:
    if node.props.get("kind") == "budget":
        question = budget_question(node)
        asked = f'<span style="{DIM}">{text_of(question[:1].upper() + question[1:])}</span> '
    elif is_ask(node):
        asked = f"{text_of(node.props['params']['question'])}<br>"
    else:
        asked = ""
    words = answer(node)
    words = text_of(words[:1].upper() + words[1:])
    colour = {"approved": FINE, "denied": BAD, "pending": ASK}.get(str(node.status), QUIET)
    rule = node.props.get("rule")
    offer = (
        f' <span style="{DIM}">(“always” would allow <code style="{_MONO}">{text_of(rule_text(rule))}</code>)</span>'
    )
    return (
        f'<p style="margin:2px 0 4px 0;{_SMALL}">{asked}<span style="color:{colour}">{words}</span>'
        f"{offer if rule and node.status == 'pending' else ''}</p>"
    )


def _repl(node: Node, depth: int) -> str:
    iteration = node.props.get("iteration")
    number = iteration + 1 if isinstance(iteration, int) else "&nbsp;"
    source = cut(str(node.props.get("code", "")).strip("\n"))
    framed = f"{PRE};background-color:transparent;border:1px solid {LINE};margin:0"
    parts = []
    for stream in ("stdout", "stderr"):
        text = node.text(stream).strip("\n")
        if text.strip():
            parts.append(long(text, plain=stream == "stdout"))
    parts.extend(_nodes(node.children, depth + 1))
    parts.extend(rich(node.props.get("mime")))
    if node.props.get("truncated"):
        parts.append(f'<p style="margin:4px 0;{_SMALL};{DIM}">output cut short for the model</p>')
    if node.props.get("error"):
        parts.append(bad("", str(node.props["error"])))
    prompt = "flex:none;min-width:4.4em;white-space:nowrap;padding-top:9px;font-size:12px;text-align:right"
    return (
        '<div style="margin:10px 0 0 0"><div style="display:flex;gap:10px">'
        f'<div style="{prompt}"><code style="background-color:transparent;padding:0;font-size:12px;color:{BUSY}">'
        f"In [{number}]:</code></div>"
        f'<div style="flex:1;min-width:0"><pre style="{framed}">{code(source, "python")}</pre>'
        f"{''.join(parts)}</div></div></div>"
    )


def _figures(tree: RunTree) -> str:
    rows = []
    for node in tree.nodes:
        if node.kind not in {"run", "turn", "tool"}:
            continue
        start, end = node.props.get("startedAt"), node.props.get("endedAt")
        took = f"{end - start:.2f} s" if isinstance(start, int | float) and isinstance(end, int | float) else ""
        cost = node.props.get("cost")
        cells: tuple[Any, ...] = (
            node.props.get("name") or node.props.get("model") or node.kind,
            took,
            node.props.get("inputTokens", ""),
            node.props.get("outputTokens", ""),
            f"${cost:.4f}" if isinstance(cost, int | float) else "",
        )
        style = f"padding:3px 12px;border:1px solid {LINE};text-align:left"
        rows.append("<tr>" + "".join(f'<td style="{style}">{text_of(cell)}</td>' for cell in cells) + "</tr>")
    names = ("what", "took", "tokens in", "tokens out", "cost")
    head = "<tr>" + "".join(f'<th style="padding:3px 12px;text-align:left">{name}</th>' for name in names) + "</tr>"
    table = f'<table style="border-collapse:collapse;margin:6px 0;font-size:13px">{head}{"".join(rows)}</table>'
    return f'<div style="padding:0 16px 10px 16px">{folded("Times, tokens and cost", table)}</div>'
