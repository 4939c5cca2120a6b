"""A run on a server, on a page: its panel and its buttons, over a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from support.jupyter import NotebookPage, Server, open_notebook

pytestmark = pytest.mark.browser

SETUP = """
import asyncio
from llm_gateway_nb import *
from llm_gateway_nb.server import RemoteHarness, create_app, serve
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.types import ToolContext

ENDED = []

@tool
async def note(word: str) -> str:
    "Note a word."
    return f"noted {word}"

@tool
async def wait(ctx: ToolContext) -> str:
    "Wait until it is stopped."
    ctx.progress("it waits now")
    try:
        await asyncio.Event().wait()
    finally:
        ENDED.append("wait")

async def served(*calls):
    agent = create_agent_harness(ScriptedLLM([list(calls), "All is done."]))
    return await serve(create_app(agent, tools=[note, wait], token="the-token"))
"""


@pytest.fixture
def notebook(browser: Browser, server: Server) -> Iterator[NotebookPage]:
    notebook = open_notebook(browser, server, ["pass"])
    notebook.execute(SETUP)
    yield notebook
    notebook.close()
    assert notebook.errors == []


def test_a_click_answers_a_run_on_a_server_and_a_stop_ends_it_there(notebook: NotebookPage) -> None:
    page = notebook.page
    notebook.replace(
        "server = await served(call('note', word='far away'))\n"
        "r = await run(RemoteHarness(server.url, 'the-token'), 'Note it.')\n"
        "await server.aclose()"
    )
    notebook.run(0)
    page.get_by_role("button", name="Approve", exact=True).click()
    notebook.wait_done(0)
    expect(page.get_by_text("noted far away").first).to_be_attached()
    assert notebook.execute("print(r.text, '|', r.reason)") == ["All is done. | final\n"]
    notebook.replace(
        "server = await served(call('wait'))\nr = start(RemoteHarness(server.url, 'the-token'), 'Wait.')\n"
    )
    notebook.run(0)
    page.get_by_role("button", name="Approve", exact=True).click()
    page.get_by_text("it waits now").first.wait_for(state="attached")
    page.get_by_role("button", name="Stop", exact=True).click()
    ended = "print((await r).reason, ENDED)\nawait server.aclose()"
    assert notebook.execute(ended) == ["cancelled ['wait']\n"]
