"""A run in a real JupyterLab: it unfolds, it asks, it is answered while its cell runs, and it is still there after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from support.jupyter import Server, open_notebook

pytestmark = pytest.mark.browser

SETUP = """
from llm_gateway_nb import bash_tool, create_agent_harness, run, run_sync, show, start, tool
from llm_gateway_nb.testing import ScriptedLLM, call

def agent():
    return create_agent_harness(ScriptedLLM([
        ["I will count the files with a shell command.", call("bash", command="printf 'a\\\\nb\\\\nc\\\\n' | wc -l")],
        "There are 3 files.",
    ]))
"""


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
@pytest.mark.parametrize(
    "how",
    [
        "await run(agent(), 'How many files are here?', tools=[bash_tool])",
        "run_sync(agent(), 'How many?', tools=[bash_tool])",
    ],
)
def test_approve_is_clicked_while_the_cell_runs_and_the_result_shows(
    browser: Browser, server: Server, front_end: Any, how: str
) -> None:
    notebook = open_notebook(
        browser, server, [SETUP, f"r = {how}\nprint(r.text)", "print('queued')"], front_end=front_end
    )
    page = notebook.page
    notebook.run(0)
    notebook.wait_done(0)
    notebook.run(1)
    approve = page.get_by_role("button", name="Approve", exact=True)
    expect(approve).to_be_visible()
    notebook.run(2)
    assert notebook.running(1), "the cell waits"
    expect(page.get_by_text("printf 'a")).not_to_have_count(0)
    approve.click()
    notebook.wait_done(1)
    notebook.wait_done(2)
    assert "There are 3 files." in notebook.text(1)
    assert notebook.text(2) == "queued\n"
    saved = notebook.save()
    live, static, *_ = saved.cells[1].outputs
    assert dict(live.data) == {"text/plain": ""}
    assert "asked: approved by you" in static.data["text/plain"].lower()
    assert "<script" not in static.data["text/html"]
    assert "widgets" not in saved.metadata or not saved.metadata["widgets"]
    notebook.load()
    expect(page.get_by_text("There are 3 files.").first).to_be_visible()
    assert not notebook.errors
    notebook.close()


def test_a_started_run_goes_on_under_its_cell_while_others_run_and_a_reload_finds_it(
    browser: Browser, server: Server
) -> None:
    cells = [
        SETUP,
        "r = start(agent(), 'How many files are here?', tools=[bash_tool])",
        "print('later')",
        "print((await r).text)",
    ]
    notebook = open_notebook(browser, server, cells)
    page = notebook.page
    for cell in (0, 1, 2):
        notebook.run(cell)
        notebook.wait_done(cell)
    assert notebook.text(2) == "later\n"
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    notebook.save()
    notebook.load()
    page.get_by_role("button", name="Approve", exact=True).click()
    notebook.run(3)
    notebook.wait_done(3)
    assert notebook.text(3) == "There are 3 files.\n"
    assert not notebook.errors
    notebook.close()


def test_the_stop_button_ends_a_waiting_run_and_says_so(browser: Browser, server: Server) -> None:
    cells = [SETUP, "r = await run(agent(), 'How many?', tools=[bash_tool])", "print('after')"]
    notebook = open_notebook(browser, server, cells)
    notebook.run(0)
    notebook.wait_done(0)
    notebook.run(1)
    expect(notebook.page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    notebook.interrupt()
    notebook.wait_done(1, 5)
    assert "KeyboardInterrupt" in notebook.text(1)
    assert "cancelled" in notebook.text(1)
    expect(notebook.page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
    notebook.run(2)
    notebook.wait_done(2)
    assert notebook.text(2) == "after\n"
    notebook.close()


def test_the_panels_own_stop_ends_the_run_and_the_cell_goes_on(browser: Browser, server: Server) -> None:
    cells = [SETUP, "r = await run(agent(), 'How many?', tools=[bash_tool])\nprint(r.reason, len(r.messages))"]
    notebook = open_notebook(browser, server, cells)
    notebook.run(0)
    notebook.wait_done(0)
    notebook.run(1)
    expect(notebook.page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    notebook.page.get_by_role("button", name="Stop").click()
    notebook.wait_done(1, 5)
    assert "cancelled 3" in notebook.text(1)
    assert json.dumps(notebook.outputs(1)).count("Traceback") == 0
    notebook.close()
