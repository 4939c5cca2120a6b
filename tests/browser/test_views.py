"""Types and primitives in a real JupyterLab: they change, they answer, and what is saved reads well without a kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.jupyter import FrontEnd, Server, open_notebook

pytestmark = pytest.mark.browser

SETUP = """
import asyncio, os, time
from typing import Literal
from llm_gateway_nb import *
from llm_gateway_nb.primitives import AsyncQueue, create_passthrough, deferred
from llm_gateway_nb.testing import ScriptedLLM, Turn, call
"""
VISIBLE = "e => e.checkVisibility()"


def test_a_primitive_changes_under_its_cell_while_later_cells_push_pop_and_block(
    browser: Browser, server: Server
) -> None:
    cells = [
        SETUP,
        "queue = AsyncQueue()\nqueue",
        "answer = deferred()\nanswer",
        "stream = create_passthrough()\nstream",
        "waiting = [asyncio.create_task(queue.pop()) for _ in '12']",
        "for word in ('<img src=x onerror=alert(1)>', 'two', 'three'): queue.push(word)\n"
        "answer.resolve(42); stream.push('a'); print(await anext(aiter(stream.iterable)))",
        "queue.push('blocked')\nwhile not os.path.exists('go_on'): time.sleep(0.01)",
    ]
    notebook = open_notebook(browser, server, cells)
    page = notebook.page
    for cell in range(4):
        notebook.run(cell)
        notebook.wait_done(cell)
    queue, answer, stream = (
        page.get_by_role("group", name=name, exact=True) for name in ("AsyncQueue", "Deferred", "Passthrough")
    )
    expect(queue).to_contain_text("empty")
    expect(answer).to_contain_text("pending")
    notebook.run(4)
    expect(queue).to_contain_text("2 coroutines wait in pop()")
    notebook.run(5)
    notebook.wait_done(5)
    expect(queue).to_contain_text("1 value")
    expect(queue).to_contain_text("three")
    expect(answer).to_contain_text("resolved")
    expect(answer).to_contain_text("42")
    expect(stream).to_contain_text("read")
    notebook.run(6)
    expect(queue).to_contain_text("blocked")
    assert notebook.running(6), "a cell that blocks the loop is seen while it does"

    # The static twin is hidden as long as the view lives, and all there is once the kernel is gone.
    twins = page.locator(".lgnb-static")
    assert [twin.evaluate(VISIBLE) for twin in twins.all()] == [False] * 3
    (server.folder / "go_on").touch()
    notebook.wait_done(6)
    saved = notebook.save()
    assert saved.cells[1].outputs[1].data["text/plain"] == "AsyncQueue(length=0)"
    assert "<script" not in saved.cells[1].outputs[1].data["text/html"]
    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
    page.goto("about:blank")
    notebook.load()
    expect(page.get_by_text("AsyncQueue").last).to_be_visible()
    expect(page.get_by_text("Error displaying widget").filter(visible=True)).to_have_count(0)
    assert not notebook.errors
    notebook.close()


def test_a_tool_is_called_by_hand_and_permissions_are_edited(browser: Browser, server: Server) -> None:
    cells = [
        SETUP,
        '@tool\ndef book(day: Literal["Friday", "Saturday"], seats: int = 1) -> str:\n'
        '    "Book seats. <img src=x onerror=alert(1)>"\n    print("looking")\n'
        '    if seats > 9: raise ValueError("too many")\n    return f"{seats} on {day}"\nbook',
        'table = show(Permissions(allowlist=["read"], deny=[{"tool": "bash", "params": {"command": "rm *"}}]))',
        "print(table.permissions)",
    ]
    notebook = open_notebook(browser, server, cells)
    page = notebook.page
    page.on("dialog", lambda dialog: notebook.errors.append(dialog.message))
    for cell in range(3):
        notebook.run(cell)
        notebook.wait_done(cell)
    form = page.get_by_role("form", name="Call book")
    call, state = form.get_by_role("button", name="Call"), form.get_by_role("status")
    form.get_by_label("seats").fill("many")
    call.click()
    expect(state).to_contain_text("not called")
    expect(form.get_by_label("day")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("seats")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("day").select_option("Saturday")
    form.get_by_label("seats").fill("12")
    form.get_by_label("seats").press("Enter")
    expect(state).to_contain_text("failed")
    expect(form).to_contain_text("ValueError: too many")
    form.get_by_label("seats").fill("3")
    call.click()
    expect(state).to_contain_text("done")
    expect(form).to_contain_text("3 on Saturday")
    expect(form).to_contain_text("looking")
    expect(page.locator(".lgnb img")).to_have_count(0)

    rules = page.get_by_role("group", name="Permissions", exact=True)
    arguments = rules.get_by_label("Arguments of the call to try")
    arguments.fill("git status && rm -r x")
    rules.get_by_role("button", name="Try").click()
    expect(rules).to_contain_text('denied by the rule bash(command="rm *")')
    rules.get_by_role("button", name=re.compile("Remove: deny")).click()
    expect(rules).to_contain_text("“Always” would add")  # tried again with the rules as they are now
    rules.get_by_label("Tool of the new rule").fill("bash")
    rules.get_by_label("Pattern of the new rule").fill("git status *")
    rules.get_by_role("button", name="Add rule").click()
    arguments.fill("git status")
    arguments.press("Enter")
    expect(rules).to_contain_text('allowed by the rule bash(command="git status *")')
    notebook.run(3)
    notebook.wait_done(3)
    assert "git status *" in notebook.text(3)
    assert "deny=None" in notebook.text(3)
    assert not notebook.errors
    notebook.close()


@pytest.mark.parametrize("kernel", ["python3", "ipykernel-6.31"])
def test_a_card_is_used_while_a_cell_runs_and_says_what_it_waits_for_while_one_blocks(
    browser: Browser, server: Server, kernel: str, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    cells = [
        SETUP + "from pathlib import Path\nbooked = AsyncQueue()",
        '@tool\ndef book(day: str) -> str:\n    "Book a day."\n    booked.push(day)\n    return f"booked {day}"\nbook',
        "table = show(Permissions(allowlist=['read']))",
        "print(await booked.pop())",
        f"while not Path({str(go_on)!r}).exists(): time.sleep(0.05)",
    ]
    notebook = open_notebook(browser, server, cells, kernel=kernel)
    page = notebook.page
    for cell in range(3):
        notebook.run(cell)
        notebook.wait_done(cell)
    form = page.get_by_role("form", name="Call book")
    notebook.run(3)
    rules = page.get_by_role("group", name="Permissions", exact=True)
    rules.get_by_label("Tool of the new rule").fill("bash")
    rules.get_by_role("button", name="Add rule").click()
    expect(rules.get_by_role("listitem")).to_have_count(2)
    assert notebook.running(3)
    form.get_by_label("day").fill("Friday")
    form.get_by_role("button", name="Call").click()
    expect(form).to_contain_text("booked Friday")
    notebook.wait_done(3)
    assert notebook.text(3) == "Friday\n"

    notebook.run(4)
    expect(page.locator(".jp-CodeCell").nth(4).locator(".jp-InputPrompt")).to_have_text("[*]:")
    card = page.get_by_role("group", name="book", exact=True)
    form.get_by_label("day").fill("Monday")
    form.get_by_role("button", name="Call").click()
    expect(card).to_contain_text("The kernel is busy: a cell that is running lets nothing else happen.")
    expect(rules).not_to_contain_text("The kernel is busy")
    go_on.touch()
    expect(form).to_contain_text("booked Monday")
    expect(card).not_to_contain_text("The kernel is busy")
    assert not notebook.errors
    notebook.close()


@pytest.mark.parametrize(("kernel", "front_end"), [("python3", "lab"), ("ipykernel-6.31", "notebook")])
def test_a_conversation_goes_on_while_another_cell_runs(
    browser: Browser, server: Server, kernel: str, front_end: FrontEnd
) -> None:
    cells = [
        SETUP,
        "talk = chat(create_agent_harness(ScriptedLLM(['Hello, Ada.',\n"
        "    call('ask_user', question='Which day?', options=['Friday', 'Saturday']), 'So be it.',\n"
        "    Turn('never ends ' * 9, delay=0.5)])), tools=[ask_user], title='Talk')",
        "while len(talk.results) < 2: await asyncio.sleep(0.05)\nprint(talk, talk.text)",
        "print('waits')\nawait talk",
    ]
    notebook = open_notebook(browser, server, cells, kernel=kernel, front_end=front_end)
    page = notebook.page
    for cell in range(2):
        notebook.run(cell)
        notebook.wait_done(cell)
    panel = page.get_by_role("region", name="Run: Talk")
    expect(panel.get_by_text("ready", exact=True)).to_be_visible()
    notebook.run(2)
    line = page.get_by_label("Your message")
    line.fill("I am")
    line.press("Shift+Enter")
    line.type("Ada.")
    line.press("Enter")
    expect(panel).to_contain_text("Hello, Ada.")
    assert notebook.running(2)
    send = page.get_by_role("button", name="Send")
    line.fill("Book.")
    expect(send).to_be_enabled()
    line.press("Enter")
    panel.get_by_role("button", name="Friday").click()
    notebook.wait_done(2)
    assert notebook.text(2) == "Chat(turns=2, messages=6) So be it.\n"
    line.fill("And?")
    expect(send).to_be_enabled()
    line.press("Enter")
    expect(panel).to_contain_text("never ends")
    notebook.run(3)
    expect(panel.get_by_role("button", name="Stop")).to_be_enabled()
    expect(page.locator(".jp-CodeCell").nth(3).locator(".jp-OutputArea")).to_contain_text(
        "waits"
    )  # it runs: an idle kernel takes no interrupt
    notebook.interrupt()  # of a cell that waits for the answer; the panel's own Stop does the same
    expect(panel.locator(".lgnb-status")).to_have_text("cancelled")
    notebook.wait_done(3)
    assert "KeyboardInterrupt" in notebook.text(3)
    page.wait_for_function(
        "() => JSON.stringify(window.jupyterapp.shell.currentWidget.content.widgets[1].model.outputs.toJSON())"
        ".includes('[cancelled]')"
    )
    saved = notebook.save().cells[1].outputs[1].data["text/plain"]
    assert "You: I am\n  Ada.\nAssistant: Hello, Ada." in saved
    assert 'answer="Friday"' in saved
    assert saved.endswith("[cancelled]")
    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
    page.goto("about:blank")
    notebook.load()
    expect(page.locator('[data-lgnb="run"]').filter(visible=True)).to_contain_text("Hello, Ada.")
    expect(page.get_by_text("Error displaying widget").first).to_be_attached()  # which Lab puts there, and nobody sees
    expect(page.get_by_text("Error displaying widget").filter(visible=True)).to_have_count(0)
    assert not notebook.errors
    notebook.close()
