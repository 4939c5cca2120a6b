"""A run as HTML that needs nothing: no script, no stylesheet, no kernel, no trust.

What stays is what JupyterLab's sanitiser, GitHub, nbviewer and nbconvert let through. Where styles are taken away the
structure still reads well; colours are translucent, or of a middle brightness, so that both themes can carry them.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.notebook.transcript import (
    MAX_DEPTH,
    MAX_TEXT,
    answer,
    budget_question,
    failures,
    jsonable,
    outcome,
    printed,
    printed_beside,
    rich_texts,
    rule_text,
    run_status,
    shown,
    whole,
)

__all__ = ["static_html"]

_LINE = "rgba(127,127,127,0.3)"
_QUIET = "rgba(127,127,127,0.1)"
_FINE, _BAD, _ASK = "#2f9e5b", "#d9534f", "#c98412"
_CODE = (
    "margin:4px 0;padding:6px 10px;border-radius:4px;overflow:auto;"
    "white-space:pre-wrap;word-wrap:break-word;font-size:12px;line-height:1.45"
)
_PRE = f"{_CODE};background:{_QUIET}"
_PLAIN = "background:transparent;font-size:12px"
_DIM = "opacity:0.7"
_OPEN_LINES = 12

_RUN_MARK = {
    "final": ("✓", _FINE),
    "running": ("●", _ASK),
    "max_iterations": ("■", _ASK),
    "budget": ("■", _ASK),
    "cancelled": ("■", "#888888"),
    "error": ("✗", _BAD),
}
_TOOL_MARK = {
    "ok": ("✓", "done", _FINE),
    "asking": ("?", "waiting for an answer", _ASK),
    "running": ("●", "still running", _ASK),
    "denied": ("⊘", "denied", _BAD),
    "error": ("✗", "failed", _BAD),
    "cancelled": ("■", "cancelled", "#888888"),
}


def static_html(tree: RunTree, *, title: str | None = None, details: bool = False) -> str:
    """The run as it stands. The same tree gives the same text, wherever and whenever it ran.

    Args:
        title: stands in the heading; None leaves it out.
        details: times and tokens too, folded; they differ from run to run.
    """
    runs = [root for root in tree.roots if root.kind == "run"]
    body = "".join(_nodes(tree.roots, 0, headings=len(runs) > 1))
    return (
        f'<div style="border:1px solid {_LINE};border-radius:8px;font-size:14px;line-height:1.5">'
        f"{_header(runs, title)}"
        f'<div style="max-height:600px;overflow:auto;padding:4px 14px 10px 14px">{body}</div>'
        f"{_figures(tree) if details else ''}</div>"
    )


def _header(runs: list[Node], title: str | None) -> str:
    parts = [_run_word(runs[-1])] if runs else []
    if title:
        parts.append(f"<strong>{_text(title)}</strong>")
    if runs:
        parts.extend(_run_facts(runs[-1]))
    if not parts:
        return ""
    return f'<div style="padding:7px 14px;border-bottom:1px solid {_LINE}">{" &nbsp;·&nbsp; ".join(parts)}</div>'


def _run_word(node: Node) -> str:
    mark, colour = _RUN_MARK.get(str(node.status), ("●", _ASK))
    return f'<strong style="color:{colour}">{mark} {_escape(run_status(node))}</strong>'


def _run_facts(node: Node) -> Iterator[str]:
    if node.props.get("model"):
        yield f'<span style="{_DIM}">{_text(node.props["model"])}</span>'
    count, most = node.props.get("iterations"), node.props.get("maxIterations")
    if isinstance(count, int) and isinstance(most, int):
        yield f'<span style="{_DIM}">{count} of {most} iterations</span>'


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
                f'<div style="background:{_QUIET};border-radius:8px;padding:2px 12px;margin:8px 0">'
                f'<p style="margin:4px 0"><strong>You</strong></p>{_prose(node.text())}</div>'
            )
        case "text":
            return f'<div style="margin:6px 0">{_prose(node.text())}</div>'
        case "reasoning":
            return (
                f'<details style="{_DIM};margin:6px 0"><summary style="cursor:pointer"><em>Thought</em></summary>'
                f'<div style="border-left:2px solid {_LINE};padding-left:10px">{_prose(node.text())}</div></details>'
            )
        case "tool":
            return _tool(node, depth)
        case "relay":
            return _relay(node)
        case "repl":
            return _repl(node, depth)
        case "error":
            name = _text(node.props.get("name", "Error"))
            return _bad(f"<strong>{name}</strong>", printed(node.text()))
        case "note":
            return _folded(f"<em>{_text(node.props.get('title', 'note'))}</em>", _prose(node.text()))


def _run(node: Node, depth: int, heading: bool) -> str:
    inside = "".join(_nodes(node.children, depth + 1))
    if not heading:
        return inside
    facts = " &nbsp;·&nbsp; ".join([_run_word(node), *_run_facts(node)])
    return (
        f'<div style="border-left:2px solid {_LINE};padding-left:12px;margin:6px 0">'
        f'<p style="margin:2px 0;font-size:12px">{facts}</p>{inside}</div>'
    )


def _tool(node: Node, depth: int) -> str:
    mark, word, colour = _TOOL_MARK.get(str(node.status), ("·", shown(str(node.status or "")), "#888888"))
    name, arguments = _text(node.props.get("name", "tool")), node.props.get("input")
    line, complete = one_line(arguments)
    inside = "" if complete else _patch(arguments) + _arguments(arguments)
    told = failures(node)
    inside += "".join(_nodes((c for c in node.children if c.kind != "error" or c in told), depth + 1))
    output = outcome(node)
    if node.status in {"error", "denied"}:
        inside += _bad("", output) if output else ""
    elif output:
        inside += _folded("Live output", _long(beside)) if (beside := printed_beside(node)) else ""
        inside += _long(output)
    elif node.text("progress"):
        inside += _long(printed(node.text("progress")))
    return (
        f'<details open style="border:1px solid {_LINE};border-radius:6px;margin:8px 0;padding:5px 12px">'
        f'<summary style="cursor:pointer"><span style="color:{colour}">{mark}</span> <strong>{name}</strong>'
        f"{_code(line) if line else ''}"
        f' <span style="font-size:12px;color:{colour}">{_escape(word)}</span></summary>{inside}</details>'
    )


def one_line(arguments: Any) -> tuple[str, bool]:
    """The arguments of a call on one short line, and whether that is all of them."""
    if arguments is None or arguments == {}:
        return "", True
    if isinstance(arguments, Mapping):
        values = [arguments["command"]] if isinstance(arguments.get("command"), str) else list(arguments.values())
        if len(values) == 1:
            text = values[0] if isinstance(values[0], str) else json.dumps(jsonable(values[0]), ensure_ascii=False)
        else:
            text = ", ".join(f"{k}={json.dumps(jsonable(v), ensure_ascii=False)}" for k, v in arguments.items())
        complete = len(arguments) == 1 and not isinstance(values[0], Mapping | list | tuple)
    else:
        text, complete = whole(arguments), True
    lines = text.strip("\n").split("\n")
    first = shown(lines[0])
    cut = len(first) > 80 or len(lines) > 1
    return (first[:80] + "…" if cut else first), complete and not cut


def _arguments(arguments: Any) -> str:
    if isinstance(arguments, Mapping):
        strings = [(key, value) for key, value in arguments.items() if isinstance(value, str) and "\n" in value]
        rest = {key: value for key, value in arguments.items() if (key, value) not in strings}
        blocks = [_pre(json.dumps(jsonable(rest), indent=2, ensure_ascii=False))] if rest else []
        blocks += [f'<p style="margin:4px 0;font-size:12px">{_text(key)}</p>{_pre(value)}' for key, value in strings]
        return _folded("Arguments", "".join(blocks))
    return _folded("Arguments", _pre(whole(arguments)))


def _patch(arguments: Any) -> str:
    """What a call would change stands open, where it is told as a diff."""
    values = arguments.values() if isinstance(arguments, Mapping) else ()
    return next((_long(value) for value in values if isinstance(value, str) and looks_like_diff(value)), "")


def _relay(node: Node) -> str:
    if node.props.get("kind") == "budget":
        asked = _escape(budget_question(node))
    else:
        asked = f"Asked to run {_text(node.props.get('tool', 'a tool'))}"
    words = _escape(answer(node))
    colour = {"approved": _FINE, "denied": _BAD, "pending": _ASK}.get(str(node.status), "#888888")
    rule = node.props.get("rule")
    offer = f' <span style="{_DIM}">(“always” would allow <code>{_escape(rule_text(rule))}</code>)</span>'
    return (
        f'<p style="margin:4px 0;font-size:12px"><span style="{_DIM}">{asked}:</span> '
        f'<span style="color:{colour}">{words}</span>{offer if rule and node.status == "pending" else ""}</p>'
    )


def _repl(node: Node, depth: int) -> str:
    iteration = node.props.get("iteration")
    number = iteration + 1 if isinstance(iteration, int) else "&nbsp;"
    parts = [
        f'<p style="margin:6px 0 0 0;font-size:12px;{_DIM}"><code style="{_PLAIN}">In [{number}]:</code></p>',
        _pre(str(node.props.get("code", ""))),
    ]
    for stream in ("stdout", "stderr"):
        text = printed(node.text(stream)).strip("\n")
        if text:
            parts.append(_long(text))
    parts.extend(_images(node))
    parts.extend(_long(text) for text in rich_texts(node))
    if node.props.get("truncated"):
        parts.append(f'<p style="font-size:12px;{_DIM}">output cut short</p>')
    parts.extend(_nodes(node.children, depth + 1))
    if node.props.get("error"):
        parts.append(_bad("", printed(str(node.props["error"]))))
    return f'<div style="margin:8px 0">{"".join(parts)}</div>'


def _images(node: Node) -> Iterator[str]:
    """Plots: pixels that came with the run, never an address."""
    bundles = node.props.get("mime")
    for bundle in bundles if isinstance(bundles, list) else []:
        data = bundle.get("data", bundle) if isinstance(bundle, Mapping) else {}
        for kind in ("image/png", "image/jpeg"):
            value = data.get(kind) if isinstance(data, Mapping) else None
            if isinstance(value, str):
                try:
                    pixels = base64.b64encode(base64.b64decode("".join(value.split()), validate=True)).decode()
                except (binascii.Error, ValueError):
                    continue
                yield f'<p><img alt="plot" src="data:{kind};base64,{pixels}"></p>'
                break


def _bad(head: str, text: str) -> str:
    return (
        f'<div style="border-left:3px solid {_BAD};background:rgba(217,83,79,0.1);padding:4px 10px;margin:6px 0">'
        f'{head}<pre style="{_CODE};background:transparent;padding:0">{_escape(_cut(text))}</pre></div>'
    )


def _folded(summary: str, inside: str) -> str:
    return (
        f'<details style="margin:4px 0"><summary style="cursor:pointer;font-size:12px;{_DIM}">{summary}</summary>'
        f"{inside}</details>"
    )


def _code(text: str) -> str:
    return f' <code style="{_PLAIN}">{_escape(text)}</code>'


def _pre(text: str) -> str:
    return f'<pre style="{_PRE}">{_lines(_cut(text))}</pre>'


def _long(text: str) -> str:
    """Output: the beginning, and all of it in a fold."""
    text = text.strip("\n")
    lines = text.split("\n")
    if len(lines) <= _OPEN_LINES and len(text) <= 2_000:
        return _pre(text)
    head = "\n".join(lines[:_OPEN_LINES])[:1_200]
    return f"{_pre(head + ' …')}{_folded(f'all {len(lines)} lines', _pre(text))}"


def _lines(text: str) -> str:
    escaped = _escape(text)
    if not looks_like_diff(text):
        return escaped
    painted = []
    for line in escaped.split("\n"):
        colour = {"+": _FINE, "-": _BAD, "@": "#3f83d6"}.get(line[:1])
        painted.append(f'<span style="color:{colour}">{line}</span>' if colour else line)
    return "\n".join(painted)


def looks_like_diff(text: str) -> bool:
    """A unified diff, or a patch in the envelope that models write."""
    return bool(re.search(r"^@@ .*|^\*\*\* Begin Patch", text, re.M)) and bool(re.search(r"^[+-]", text, re.M))


def _prose(text: str) -> str:
    """What a model wrote, with as much of Markdown as the panel draws: fenced code, headings, lists, bold and code.

    Line breaks are tags, since where styles are stripped they would be lost. No links, no images.
    """
    out = []
    for number, block in enumerate(re.split(r"^[ ]{0,3}```[^\n`]*\n?", text, flags=re.M)):
        if number % 2:
            out.append(_pre(block.strip("\n")))
            continue
        for paragraph in re.split(r"\n\s*\n", block.strip("\n")):
            if paragraph.strip():
                lines = "<br>".join(_prose_line(line) for line in _cut(paragraph).split("\n"))
                out.append(f'<p style="margin:4px 0;white-space:pre-wrap;word-wrap:break-word">{lines}</p>')
    return "".join(out)


def _prose_line(line: str) -> str:
    heading = re.match(r"#{1,6}\s+(.*)", line)
    if heading:
        return f"<strong>{_inline(heading[1])}</strong>"
    item = re.match(r"(\s*)[-*+]\s+(.*)", line)
    return f"{item[1]}• {_inline(item[2])}" if item else _inline(line)


def _inline(text: str) -> str:
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", text)
    for index in range(1, len(parts), 2):
        part = parts[index]
        parts[index] = (
            f"<code>{_escape(part[1:-1])}</code>" if part[0] == "`" else f"<strong>{_escape(part[2:-2])}</strong>"
        )
    return "".join(part if index % 2 else _escape(part) for index, part in enumerate(parts))


def _figures(tree: RunTree) -> str:
    rows = []
    for node in tree.nodes:
        if node.kind not in {"run", "turn", "tool"}:
            continue
        start, end = node.props.get("startedAt"), node.props.get("endedAt")
        took = f"{end - start:.2f} s" if isinstance(start, int | float) and isinstance(end, int | float) else ""
        cells = (
            _text(node.props.get("name") or node.props.get("model") or node.kind),
            took,
            _text(node.props.get("inputTokens", "")),
            _text(node.props.get("outputTokens", "")),
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "<tr>" + "".join(f"<th>{name}</th>" for name in ("what", "took", "tokens in", "tokens out")) + "</tr>"
    table = f"<table>{head}{''.join(rows)}</table>"
    return f'<div style="padding:0 14px 8px 14px">{_folded("Times and tokens", table)}</div>'


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\n… {len(text) - MAX_TEXT} more characters"


def _text(value: Any) -> str:
    return _escape(str(value))


def _escape(text: str) -> str:
    return html.escape(shown(text))
