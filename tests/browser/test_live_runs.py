"""What else happens to a run on a page: floods, restarts, reloads, later cells, and every way to stop it."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect
from support.jupyter import NotebookPage, Server, open_notebook
from support.processes import alive

pytestmark = pytest.mark.browser

SETUP = """
import asyncio, time
from llm_gateway_nb import *
from llm_gateway_nb.notebook.kernel import Bridge
from llm_gateway_nb.testing import ScriptedLLM, call

LOG = []

@tool
async def note(word: str) -> str:
    "Note a word."
    LOG.append(("noted", time.time()))
    return word

@tool
async def chatter(lines: int) -> str:
    "Print many lines."
    for number in range(lines):
        print("line", number)
        if number % 50 == 0:
            await asyncio.sleep(0)
    LOG.append(("printed", time.time()))
    return "printed"

def agent(*calls):
    return create_agent_harness(ScriptedLLM([list(calls), "All is done."]))
TOOLS = [note, chatter, bash_tool]
"""


@pytest.fixture(scope="module")
def shared(browser: Browser, server: Server) -> Iterator[NotebookPage]:
    notebook = open_notebook(browser, server, ["pass"], kernel="ipykernel-newest")
    notebook.execute(SETUP)
    yield notebook
    notebook.close()
    assert notebook.errors == []


@pytest.fixture
def notebook(shared: NotebookPage) -> NotebookPage:
    """A page and a kernel that these tests share, with nothing noted and nothing running."""
    assert shared.execute("LOG.clear()\nprint(Bridge.current().attached)") == ["()\n"]
    return shared


@pytest.fixture
def own_notebook(browser: Browser, server: Server) -> Iterator[NotebookPage]:
    """A page of this test's own, for what a kernel or a page does not recover from."""
    notebook = open_notebook(browser, server, ["pass"], kernel="ipykernel-newest")
    notebook.execute(SETUP)
    yield notebook
    notebook.close()
    assert notebook.errors == []


def approve(notebook: NotebookPage) -> Locator:
    return notebook.page.get_by_role("button", name="Approve", exact=True)


def log(notebook: NotebookPage) -> dict[str, float]:
    return dict(ast.literal_eval(notebook.execute("print(LOG)")[0]))


FLOOD = """
async def flood():
    from llm_gateway_nb.types import TextEvent
    began, number = time.time(), 0
    while number < 10_000 or not LOG:  # it does not end before the click has come through
        yield TextEvent(run_id="flood", id="t", content="word ")
        number += 1
        if number % 20 == 0:
            await asyncio.sleep(0.002)
    LOG.append(("flooding", time.time() - began))
r, flooded = await asyncio.gather(
    run(agent(call("note", word="one")), "Note it.", tools=TOOLS, title="asking"), run(flood(), title="flooding"))
"""


def test_a_click_gets_through_a_flood_of_ten_thousand_events_of_another_run(
    notebook: NotebookPage, measured: Callable[[str, float], None]
) -> None:
    notebook.replace(FLOOD)
    notebook.run(0)
    approve(notebook).wait_for()
    clicked_at = click_and_look_at_the_clock(approve(notebook))
    notebook.wait_done(0)
    at = log(notebook)
    measured("flood_seconds", at["flooding"])
    measured("click_to_resume_seconds_beside_a_flood", at["noted"] - clicked_at)


def test_a_click_gets_through_ten_thousand_lines_of_a_tool_of_the_same_run(
    notebook: NotebookPage, measured: Callable[[str, float], None]
) -> None:
    code = (
        "r = await run(agent(call('chatter', lines=10_000), call('note', word='one')), 'Go.', tools=TOOLS,"
        " permissions={'allowlist': ['chatter']})"
    )
    notebook.replace(code)
    notebook.run(0)
    approve(notebook).wait_for()
    clicked_at = click_and_look_at_the_clock(approve(notebook))
    notebook.wait_done(0)
    at = log(notebook)
    measured("click_to_resume_seconds_among_lines", at["noted"] - clicked_at)
    (printed,) = notebook.execute("print(sum(event.type == 'tool_progress' for event in r.events) >= 10_000)")
    assert printed == "True\n"


def test_a_click_in_the_quiet_resumes_at_once(notebook: NotebookPage, measured: Callable[[str, float], None]) -> None:
    notebook.replace("r = await run(agent(call('note', word='one')), 'Note it.', tools=TOOLS)")
    notebook.run(0)
    approve(notebook).wait_for()
    clicked_at = click_and_look_at_the_clock(approve(notebook))
    notebook.wait_done(0)
    measured("click_to_resume_seconds", log(notebook)["noted"] - clicked_at)


def click_and_look_at_the_clock(button: Locator) -> float:
    """Both in the page: what the driver needs to reach the button is not the notebook's."""
    milliseconds: float = button.evaluate("(button) => { const at = Date.now(); button.click(); return at }")
    return milliseconds / 1000


def test_what_the_tools_of_a_started_run_print_lands_in_its_panel_and_in_no_later_cell(notebook: NotebookPage) -> None:
    started = "live = start(agent(call('chatter', lines=300)), 'Go.', tools=TOOLS)"
    later = "print('mine')\nwhile not LOG:\n    await asyncio.sleep(0.01)\nprint('still mine')"
    notebook.replace(started, later, "r = await live")
    notebook.run(0)
    notebook.wait_done(0)
    notebook.run(1)
    approve(notebook).click()
    notebook.wait_done(1)
    notebook.run(2)
    notebook.wait_done(2)
    assert notebook.text(1) == "mine\nstill mine\n"
    assert "line 299" not in notebook.text(2)
    panel = notebook.page.locator(".jp-Cell").first
    expect(panel.get_by_text("line 299").first).to_be_attached()


def test_a_restart_of_the_kernel_in_the_middle_is_said_and_no_button_pretends(own_notebook: NotebookPage) -> None:
    own_notebook.replace("r = await run(agent(call('note', word='one')), 'Note it.', tools=TOOLS)")
    own_notebook.run(0)
    approve(own_notebook).wait_for()
    own_notebook.restart_kernel()
    expect(approve(own_notebook)).to_be_disabled()
    expect(own_notebook.page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    expect(own_notebook.page.get_by_text(re.compile("kernel", re.I)).locator("visible=true").first).to_be_visible()
    expect(own_notebook.page.locator(".lgnb[data-state=lost]")).to_have_count(1)
    assert own_notebook.execute("print('a new kernel')") == ["a new kernel\n"]


def test_after_a_reload_of_an_unsaved_notebook_show_gives_the_live_panel_again(own_notebook: NotebookPage) -> None:
    own_notebook.replace("live = start(agent(call('note', word='one')), 'Note it.', tools=TOOLS)")
    own_notebook.run(0)
    approve(own_notebook).wait_for()
    own_notebook.load()
    expect(approve(own_notebook)).to_have_count(0)
    own_notebook.execute("show(live)")
    approve(own_notebook).click()
    expect(own_notebook.page.get_by_text("All is done.").first).to_be_visible()
    own_notebook.replace("r = await live", "print(r.text)")
    for cell in (0, 1):
        own_notebook.run(cell)
        own_notebook.wait_done(cell)
    assert own_notebook.text(1) == "All is done.\n"


SLEEP = "call('bash', command='echo $$ > {pid}; exec sleep 1000')"


@pytest.mark.parametrize("way", ["panel", "cancel in a later cell", "interrupt"])
def test_however_a_run_is_stopped_its_subprocess_is_gone(notebook: NotebookPage, tmp_path: Path, way: str) -> None:
    pid_file = tmp_path / "pid"
    holds = "r = await run" if way == "interrupt" else "live = start"
    code = f"{holds}(agent({SLEEP.format(pid=pid_file)}), 'Go.', tools=TOOLS, permissions={{'allowlist': ['bash']}})"
    notebook.replace(code, "live.cancel()", "r = await live\nprint(r.reason, [message.role for message in r.messages])")
    notebook.run(0)
    stop = notebook.page.get_by_role("button", name="Stop", exact=True)
    stop.wait_for()
    pid = wait_for_pid(notebook, pid_file)
    match way:
        case "panel":
            stop.click()
        case "interrupt":
            notebook.interrupt()
        case _:
            notebook.run(1)
            notebook.wait_done(1)
    if way == "interrupt":
        notebook.wait_done(0)
        assert "KeyboardInterrupt" in notebook.text(0)
    else:
        notebook.run(2)
        notebook.wait_done(2)
        assert notebook.text(2) == "cancelled ['user', 'assistant', 'tool']\n"
    expect(stop).to_have_count(0)
    wait_until(notebook, lambda: not alive(pid))


def wait_for_pid(notebook: NotebookPage, path: Path) -> int:
    wait_until(notebook, lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def wait_until(notebook: NotebookPage, condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        notebook.page.wait_for_function("() => true")  # a turn of the page's loop, and of ours


def test_a_cancel_from_a_later_cell_withdraws_the_question_and_leaves_a_history_to_go_on_from(
    notebook: NotebookPage,
) -> None:
    notebook.replace(
        "live = start(agent(call('note', word='one')), 'Note it.', tools=TOOLS)",
        "live.cancel()\nr = await live\nprint(r.reason, live.relays, LOG)",
        "print((await run(ScriptedLLM(['Going on.']), 'Go on.', messages=r.messages, panel=False)).text)",
    )
    notebook.run(0)
    approve(notebook).wait_for()
    for cell in (1, 2):
        notebook.run(cell)
        notebook.wait_done(cell)
    assert notebook.text(1) == "cancelled [] []\n"
    assert notebook.text(2) == "Going on.\n"
    expect(approve(notebook).locator("visible=true").and_(notebook.page.locator(":enabled"))).to_have_count(0)
    assert "Traceback" not in json.dumps(notebook.outputs(1))
