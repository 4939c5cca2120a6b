"""A model's Markdown for a place that renders it: prose stays prose, but nothing is fetched and no HTML is HTML."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from llm_gateway_nb.notebook.text import shown

__all__ = ["fenced", "plain_markdown"]

_parser = MarkdownIt("commonmark")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_ADDRESS = re.compile(
    r"(?i)(\]\(\s*<?|^\s{0,3}\[[^\]]+\]:\s*<?)\s*(?!https?:|mailto:|#|/|\.)([a-z][a-z0-9+.-]*:)", re.MULTILINE
)


def plain_markdown(text: str) -> str:
    """The text with raw HTML escaped, images turned into links, and links of strange kinds disarmed; code is left alone."""
    lines = shown(text).split("\n")
    code = {
        number
        for token in _parser.parse("\n".join(lines))
        if token.type in {"fence", "code_block"} and token.map is not None
        for number in range(*token.map)
    }
    return "\n".join(line if number in code else _prose(line) for number, line in enumerate(lines))


def _prose(line: str) -> str:
    pieces, at = [], 0
    for span in _CODE_SPAN.finditer(line):
        pieces += [_disarmed(line[at : span.start()]), span[0]]
        at = span.end()
    return "".join([*pieces, _disarmed(line[at:])])


def _disarmed(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("![", r"!\[")
    return _ADDRESS.sub(r"\1x-\2", text)


def fenced(text: str, language: str = "") -> str:
    """The text as a code block, whatever fences are in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"
