"""What a model wrote, as HTML for the saved page: parsed with HTML off, then sanitized, with styles inline.

It is the same part of Markdown that `widgets/prose.js` draws while the text comes: CommonMark with tables and
strikethrough, a line break for a line break, without entities, references and indented code. Links go to http, https and
mailto; an image is named and never loaded, since an address can carry data away.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from llm_gateway_nb.notebook.paint import BUSY, FADED, code, escape

__all__ = ["CODE", "PRE", "markdown", "sanitized"]

LINE, QUIET_PAPER = "rgba(127,127,127,0.3)", "rgba(127,127,127,0.1)"
CODE = (
    "margin:6px 0;padding:8px 12px;border-radius:6px;overflow:auto;white-space:pre-wrap;"
    "word-wrap:break-word;word-break:normal;font-family:var(--jp-code-font-family,monospace);font-size:13px;line-height:1.5"
)
PRE = f"{CODE};background-color:{QUIET_PAPER}"
_CELL = f"padding:4px 12px;border:1px solid {LINE};vertical-align:top"

_STYLES = {
    "p": "margin:0 0 8px 0",
    "ul": "margin:0 0 8px 0;padding-left:24px",
    "ol": "margin:0 0 8px 0;padding-left:24px",
    "li": "margin:2px 0",
    "blockquote": f"margin:0 0 8px 0;padding:0 0 0 13px;border-left:3px solid {LINE};{FADED}",
    "hr": f"margin:14px 0;border:0;border-top:1px solid {LINE}",
    "table": "border-collapse:collapse;margin:0 0 10px 0;font-size:13px",
    "th": f"{_CELL};text-align:left;font-weight:600;background-color:{QUIET_PAPER}",
    "td": f"{_CELL};text-align:left",
    "a": f"color:{BUSY};text-decoration:underline",
}
_HEADINGS = {"h1": 19, "h2": 17}
_PROPERTIES = {
    *(
        "background-color",
        "border",
        "border-collapse",
        "border-left",
        "border-radius",
        "border-top",
        "color",
        "display",
    ),
    *("font-size", "font-style", "font-weight", "line-height", "list-style-type", "margin", "margin-left", "max-width"),
    *("opacity", "overflow", "padding", "padding-left", "text-align", "text-decoration", "vertical-align"),
    *("white-space", "word-wrap"),
}
_TAGS = {
    *(
        "a",
        "blockquote",
        "br",
        "code",
        "em",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "span",
        "strong",
    ),
    *("table", "tbody", "td", "th", "thead", "tr", "ul"),
}


def markdown(text: str) -> str:
    """`text` as HTML that needs no stylesheet and runs nothing."""
    text = re.sub(r"\r\n?", "\n", text)
    html = sanitized(_parser().render(_visible(text)))
    head, last, tail = html.rpartition('<p style="margin:0 0 8px 0')
    # The last paragraph ends where its box does.
    return (
        f'{head}<p style="margin:0{tail}'
        if last and "</p>" in tail and not tail.rpartition("</p>")[2].strip()
        else html
    )


def sanitized(html: str, tags: set[str] = _TAGS) -> str:
    """`html` without anything that runs, loads or leads elsewhere than it may."""
    return nh3.clean(
        html,
        tags=tags,
        clean_content_tags={"script", "style"},
        attributes={"*": {"style"}, "a": {"href", "title"}, "ol": {"start"}, **dict.fromkeys(("td", "th"), _CELLS)},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
        filter_style_properties=_PROPERTIES,
    )


_CELLS = {"style", "colspan", "rowspan"}
_TURNING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _visible(text: str) -> str:
    """For prose: what real languages need may stay invisible; what turns text round may not."""
    return _TURNING.sub(lambda match: escape(match[0]), text)


class _Renderer(RendererHTML):
    """Tokens as HTML, each with its style."""

    def renderToken(  # noqa: N802  (the name that the library calls)
        self, tokens: Sequence[Token], idx: int, options: Any, env: MutableMapping[str, Any]
    ) -> str:
        token = tokens[idx]
        if token.nesting >= 0:
            style = _STYLES.get(token.tag, "")
            if token.tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
                style = (
                    f"margin:14px 0 6px 0;font-size:{_HEADINGS.get(token.tag, 15)}px;line-height:1.35;font-weight:650"
                )
            if token.tag == "p" and token.hidden:
                return ""
            given = str(token.attrGet("style") or "")  # the alignment of a column
            if style or given:
                token.attrSet("style", ";".join(filter(None, [style, given])))
        if re.fullmatch(r"h[1-4]", token.tag):
            token.tag = f"h{int(token.tag[1]) + 2}"  # a page's own headings stay above
        return str(super().renderToken(tokens, idx, options, env))

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: MutableMapping[str, Any]) -> str:
        words = tokens[idx].info.split()
        text = tokens[idx].content.removesuffix("\n")
        return f'<pre style="{PRE}">{code(text, words[0] if words else "")}</pre>'

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: MutableMapping[str, Any]) -> str:
        style = f"padding:1px 5px;border-radius:4px;background-color:{QUIET_PAPER};font-size:13px"
        return f'<code style="{style}">{escape(tokens[idx].content)}</code>'

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: MutableMapping[str, Any]) -> str:
        return escape(f"[image: {tokens[idx].content or 'without a name'}]")


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"]).disable(["entity", "reference", "code", "lheading"])
    parser.validateLink = lambda url: bool(re.match(r"https?://|mailto:", url, re.I))  # type: ignore[method-assign]
    parser.core.ruler.push("tasks", _tasks)
    return parser


def _tasks(state: Any) -> None:
    """`- [x] done` as a list of tasks."""
    for before, token in zip(state.tokens, state.tokens[1:], strict=False):
        item = before.type == "paragraph_open" and token.type == "inline" and token.children
        if item and token.children[0].type == "text" and re.match(r"\[[ xX]\] ", token.children[0].content):
            box = token.children[0].content
            token.children[0].content = ("☐" if box[1] == " " else "☑") + box[3:]
