"""Without a mouse, in both front ends: all that a panel, a form, a table and a slider offer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import get_args

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.jupyter import FrontEnd, NotebookPage, Server, open_notebook

pytestmark = pytest.mark.browser

SETUP = """
import asyncio
from typing import Literal
from llm_gateway_nb import *
from llm_gateway_nb.harnesses import replay
from llm_gateway_nb.testing import ScriptedLLM, call

LOG = []

@tool
async def note(word: str) -> str:
    "Note a word."
    LOG.append(word)
    return f"noted {word}"

@tool
async def hang() -> None:
    "Never come back."
    await asyncio.Event().wait()

@tool
def book(day: Literal["Friday", "Saturday"], seats: int = 1) -> str:
    "Book seats."
    return f"{seats} on {day}"

def agent(*turns):
    return create_agent_harness(ScriptedLLM(list(turns)))
"""


@pytest.fixture(scope="module", params=get_args(FrontEnd))
def shared(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[NotebookPage]:
    notebook = open_notebook(browser, server, ["pass"], front_end=request.param)
    notebook.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notebook.execute(SETUP)
    yield notebook
    notebook.close()
    assert notebook.errors == []


@pytest.fixture
def notebook(shared: NotebookPage) -> NotebookPage:
    shared.execute("LOG.clear()")
    return shared


def tab_to(page: Page, name: str) -> Locator:
    """On to the next control of that name, as a person would."""
    for _ in range(25):
        page.keyboard.press("Tab")
        reached = page.evaluate(
            "(({ ariaLabel, textContent }) => (ariaLabel ?? textContent).trim())(document.activeElement)"
        )
        if reached.startswith(name):
            return page.locator(":focus")
    raise AssertionError(f"{name!r} was not reached; the last was {reached!r}")


def in_the_panel(page: Page) -> bool:
    return bool(page.evaluate("document.activeElement.closest('.lgnb') !== null"))


def test_questions_are_answered_and_the_run_is_searched_folded_copied_and_saved(notebook: NotebookPage) -> None:
    page = notebook.page
    words = ", ".join(f"call('note', word={word!r})" for word in ("one", "two", "three", "four", "four"))
    started = f"r = start(agent([{words}], 'All is noted.'), 'Note.', tools=[note], title='Notes')"
    notebook.replace(started, "await r\nprint(LOG)")
    notebook.run(0)
    page.get_by_role("button", name="Answer 5 questions").focus()
    page.keyboard.press("Enter")
    questions = page.get_by_role("group", name="Question")
    expect(questions.first).to_be_focused()
    page.keyboard.press("a")
    expect(questions).to_have_count(4)
    expect(questions.first).to_be_focused()
    tab_to(page, "Deny").press("Enter")
    page.keyboard.type("not that")
    page.keyboard.press("Enter")
    expect(questions).to_have_count(3)
    expect(questions.first).to_be_focused()
    tab_to(page, "Edit").press("Enter")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("3")
    tab_to(page, "Run as edited").press("Enter")
    expect(questions).to_have_count(2)
    expect(questions.first).to_be_focused()
    tab_to(page, "Approve all 2 like this").press("Enter")
    expect(page.get_by_text("All is noted.").first).to_be_visible()
    notebook.run(1)
    notebook.wait_done(1)
    log = ast.literal_eval(notebook.text(1).rpartition("[done]")[2] or notebook.text(1))
    assert sorted(log) == ["3", "four", "four", "one"]
    panel = page.get_by_role("region", name="Run: Notes")
    panel.get_by_role("button", name="Search", exact=True).focus()
    page.keyboard.press("Enter")
    page.keyboard.type("noted four")
    expect(panel.get_by_text("1 of 2", exact=True)).to_be_visible()
    page.keyboard.press("Enter")
    expect(panel.get_by_text("2 of 2", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel.get_by_role("log")).to_be_focused()
    tab_to(page, "note")
    page.keyboard.press("Enter")
    expect(panel.get_by_text("noted one")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(panel.get_by_text("noted one")).to_be_visible()
    panel.get_by_role("button", name="Copy or save").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(panel.get_by_role("status").filter(has_text="The answer is copied.")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == "All is noted."
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "Notes.html"
    assert in_the_panel(page)


def test_a_run_is_stopped(notebook: NotebookPage) -> None:
    page = notebook.page
    notebook.replace(
        "r = start(agent(call('hang')), 'Go.', tools=[hang], permissions={'allowlist': ['hang']}, title='Stopped')"
    )
    notebook.run(0)
    panel = page.get_by_role("region", name="Run: Stopped")
    panel.get_by_role("button", name="Stop", exact=True).focus()
    page.keyboard.press("Enter")
    expect(panel.locator(".lgnb-status")).to_have_text("cancelled")
    expect(panel.get_by_role("log")).to_be_focused()


def test_a_form_is_filled_rules_are_edited_and_a_conversation_goes_on(notebook: NotebookPage) -> None:
    page = notebook.page
    notebook.execute(
        "book",
        "table = show(Permissions(allowlist=['read', 'note']))",
        "talk = chat(agent('Hello, Ada.', 'And you?'), title='Talk')",
    )
    page.get_by_role("form", name="Call book").get_by_label("day").focus()
    page.keyboard.type("Sat")
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("3")
    tab_to(page, "Call").press("Enter")
    form = page.get_by_role("form", name="Call book")
    expect(form.get_by_role("status")).to_contain_text("done")
    expect(form).to_contain_text("3 on Saturday")
    expect(form.get_by_role("button", name="Call")).to_be_focused()

    rules = page.get_by_role("group", name="Permissions", exact=True)
    rules.get_by_role("button", name="Remove: allow read").focus()
    page.keyboard.press("Enter")
    expect(rules.get_by_role("button", name=re.compile("^Remove: allow note"))).to_be_focused()
    tab_to(page, "Tool of the new rule")
    page.keyboard.type("bash")
    tab_to(page, "Pattern of the new rule")
    page.keyboard.type("ls *")
    page.keyboard.press("Enter")
    expect(rules).to_contain_text('bash(command="ls *")')

    line = page.get_by_label("Your message")
    line.focus()
    page.keyboard.type("I am Ada.")
    tab_to(page, "Send").press("Enter")
    panel = page.get_by_role("region", name="Run: Talk")
    expect(panel).to_contain_text("Hello, Ada.")
    expect(line).to_be_focused()
    page.keyboard.type("Well?")
    expect(panel.get_by_role("button", name="Send")).to_be_enabled()
    page.keyboard.press("Enter")
    expect(panel).to_contain_text("And you?")


def test_a_recording_is_stepped_through_and_a_comparison_unfolded(notebook: NotebookPage) -> None:
    page = notebook.page
    said = "permissions={'allowlist': ['note']}, tools=[note]"
    notebook.execute(
        f"await run(agent(call('note', word='one'), 'It is said.'), 'Go.', {said}, record='run.jsonl', panel=False)\nshow(replay('run.jsonl'))",
        "await compare(agent('Three.'), agent('Seven.'), prompt='?', labels=['small', 'large'], progress=False)",
    )
    slider = page.get_by_role("slider", name="Event")
    panel = page.locator(".lgnb-live").first
    expect(panel).to_contain_text("It is said.")
    slider.focus()
    page.keyboard.press("Home")
    expect(panel).not_to_contain_text("It is said.")
    page.keyboard.press("End")
    expect(panel).to_contain_text("It is said.")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Play")).to_be_focused()
    whole = page.locator("summary", has_text="The whole run").first
    whole.focus()
    page.keyboard.press("Enter")
    expect(page.locator('[data-lgnb="run"] [data-lgnb="run"]').first).to_be_visible()
