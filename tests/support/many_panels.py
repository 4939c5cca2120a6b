"""Two hundred agents with panels in one cell of a real page, all at work until the one in their middle has its answer."""

from __future__ import annotations

from playwright.sync_api import Locator
from support.jupyter import NotebookPage

__all__ = ["AGENTS", "assert_nothing_is_lost", "question", "show_all", "wait_until_all_are_over"]

AGENTS = 200
_PATIENCE_MS = 300_000

_CODE = f"""
import asyncio
from llm_gateway_nb import create_agent_harness, start, tool
from llm_gateway_nb.testing import ScriptedLLM, call
answered = asyncio.Event()

@tool
async def work(n: int) -> str:
    "Work until the one that asks has been answered."
    if n == {AGENTS // 2}:
        answered.set()
    await answered.wait()
    return f"worked {{n}}"

def agent(n):
    return create_agent_harness(ScriptedLLM([["Let me look. ", call("work", n=n)], "word " * 30 + f"of {{n}}."]))

def rules(n):
    return {{}} if n == {AGENTS // 2} else {{"allowlist": ["work"]}}

runs = [start(agent(n), f"go {{n}}", tools=[work], permissions=rules(n), title=f"agent {{n}}") for n in range({AGENTS})]
"""
_RESULTS = "results = await asyncio.gather(*runs); print([result.text for result in results])"


def show_all(notebook: NotebookPage) -> None:
    """Start them; return when the page shows each of them at work."""
    notebook.replace(_CODE, _RESULTS)
    notebook.run(0)
    notebook.wait_done(0, _PATIENCE_MS / 1000)
    # JupyterLab shows the first 50 outputs of a cell, and a button for the others.
    notebook.page.locator(".jp-TrimmedOutputs-button").evaluate("(button) => button.click()")
    notebook.page.wait_for_function(
        f"document.querySelectorAll('.lgnb-live .lgnb-tool').length === {AGENTS}", timeout=_PATIENCE_MS
    )


def question(notebook: NotebookPage) -> Locator:
    """The button that approves the one that asks."""
    return notebook.page.locator(".lgnb-relay .lgnb-primary")


def wait_until_all_are_over(notebook: NotebookPage) -> None:
    over = f"document.querySelectorAll('.lgnb-live[data-state=\"final\"]').length === {AGENTS}"
    notebook.page.wait_for_function(over, timeout=_PATIENCE_MS)


def assert_nothing_is_lost(notebook: NotebookPage) -> None:
    """Each said all its words, to the kernel and to the page."""
    notebook.run(1)
    notebook.wait_done(1)
    said = ["word " * 30 + f"of {n}." for n in range(AGENTS)]
    assert notebook.text(1).strip() == str(said)
    shown = notebook.page.evaluate("[...document.querySelectorAll('.lgnb-live')].map((one) => one.textContent)")
    assert all(words in text for words, text in zip(said, shown, strict=True))
