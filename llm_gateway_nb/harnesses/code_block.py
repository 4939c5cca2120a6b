"""The one block of code in a model's reply, found by a Markdown parser, and errors that teach."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from llm_gateway_nb.errors import CodeBlockError

__all__ = ["code_block"]

_PYTHON = {"python", "python3", "py"}
_HOW = "Write exactly one block, opened by ```python and closed by ``` on lines of their own, and nothing after it."

# HTML off: a tag on a line of its own, as models write around their thoughts, would swallow the block below it.
_markdown = MarkdownIt("commonmark", {"html": False})


def code_block(reply: str) -> str:
    """The code of the one fenced `python` block. Prose before it is fine; fences of back-ticks and of tildes are.

    Raises:
        CodeBlockError: there is none, there are several, one is not closed, or something follows it. The message is for
            the model.
    """
    lines = re.sub(r"\r\n?", "\n", reply).split("\n")
    fences = [token for token in _markdown.parse("\n".join(lines)) if token.type == "fence"]
    blocks = [token for token in fences if _language(token) in _PYTHON]
    if not blocks:
        marks = [repr(_language(token)) if _language(token) else "nothing" for token in fences]
        what = (
            f"no code block marked python in the reply (one is marked {marks[0]})"
            if marks
            else "no code block in the reply"
        )
        raise CodeBlockError(f"There is {what}, so nothing was run. {_HOW}")
    if len(blocks) > 1:
        raise CodeBlockError(
            f"There are multiple code blocks in the reply: {len(blocks)} code blocks. None was run. {_HOW}"
        )
    (block,) = blocks
    assert block.map is not None
    end = block.map[1]
    if not _is_closed(block, lines):
        raise CodeBlockError(f"The code block is not closed, so nothing was run. {_HOW}")
    if any(line.strip() for line in lines[end:]):
        raise CodeBlockError(
            "There is text after the closing code fence, so nothing was run. If the code itself holds a line of three "
            f"back-ticks, open and close the block with ~~~ instead. {_HOW}"
        )
    if not block.content.strip():
        raise CodeBlockError(f"The code block is empty, so nothing was run. {_HOW}")
    return str(block.content).rstrip("\n")


def _language(token: Token) -> str:
    return (token.info.split() or [""])[0].lower()


def _is_closed(block: Token, lines: list[str]) -> bool:
    """Whether the block's last line is its closing fence; the parser takes the end of the text for one too."""
    assert block.map is not None
    start, end = block.map
    last = lines[end - 1].strip().lstrip("> ") if end - 1 > start else ""
    return len(last) >= len(block.markup) and set(last) == {block.markup[0]}
