"""The page for everybody: who can't see it, can't click it, needs it larger, narrower, calmer, or in their own colours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from support.attacks import ATTACKS
from support.jupyter import browser as launched_browser
from support.specimens import things
from support.stage import ASK, START, THEMES, Stage, everything

from llm_gateway_nb.graph.fold import fold_answer
from llm_gateway_nb.notebook.timeline import Timeline
from llm_gateway_nb.notebook.views.bits import code
from llm_gateway_nb.notebook.views.cards import card_of
from llm_gateway_nb.notebook.views.live import LiveCard
from llm_gateway_nb.notebook.views.permission_table import PermissionTable
from llm_gateway_nb.notebook.views.tool_form import form_fields
from llm_gateway_nb.types import HarnessEndEvent, HarnessStartEvent, RelayResponse, ToolCallEvent

pytestmark = pytest.mark.browser

AXE = {
    "resultTypes": ["violations"],
    "rules": {"heading-order": {"enabled": False}},
}  # the headings are the model's own


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched_browser() as launched:
        yield launched


@pytest.fixture
def stage_in(chromium: Browser) -> Iterator[Callable[[str], Stage]]:
    """A page with every living view that there is, in a theme of JupyterLab."""
    pages: list[Page] = []

    def open_page(theme: str) -> Stage:
        pages.append(chromium.new_page(viewport={"width": 900, "height": 900}))
        stage = Stage(pages[-1], theme=theme, chat=True)
        everything(stage)
        for picture in pictures():
            stage.beside(LiveCard, first=picture)
        stage.beside(Timeline, times=[0.0, 0.5, 62.0], at=3)
        expect(stage.page.get_by_role("slider")).to_be_visible()
        stage.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        return stage

    yield open_page
    for page in pages:
        page.close()


def pictures(text: str = "Friday") -> Iterator[dict[str, Any]]:
    """Of every card; of a tool's with its form in every state; of permissions with a call that was tried."""
    everything = things(text)
    for thing in everything.values():
        bit = card_of(thing)
        if bit is not None and bit["b"] == "card":
            yield {"card": bit}
    fields = form_fields(everything["tool"].json_schema())
    for status, more in {
        "idle": {},
        "invalid": {"errors": {"day": f"needed, not {text}", "": text}},
        "running": {"output": [code("looking")]},
        "ok": {"output": [code(f"3 on {text}")]},
        "error": {"output": [code(f"ValueError: {text}")]},
    }.items():
        form = {"name": f"book ({status})", "fields": fields, "status": status, **more}
        yield {"card": card_of(everything["tool"]), "form": form}
    table = PermissionTable(everything["permissions"])
    table.acted({"k": "try", "tool": "bash", "arguments": f"rm -r x {text}"})
    table.acted({"k": "add", "list": "deny", "tool": "", "params": {}})
    yield table.picture()


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_to_complain_of(stage_in: Callable[[str], Stage], theme: str) -> None:
    page = stage_in(theme).page
    page.get_by_role("button", name="Edit").first.click()
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("button", name="Copy or save").click()
    found = Axe().run(page, context=".lgnb", options=AXE)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("how", ["320 pixels wide", "zoomed to 200 %", "in forced colours, without motion"])
def test_nothing_is_cut_off(stage_in: Callable[[str], Stage], how: str) -> None:
    page = stage_in("light").page
    match how:
        case "320 pixels wide":
            page.set_viewport_size({"width": 320, "height": 700})
        case "zoomed to 200 %":
            page.evaluate("document.documentElement.style.zoom = 2")
        case _:
            page.emulate_media(forced_colors="active", reduced_motion="reduce")
    page.get_by_role("button", name="Edit").first.click()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    boxes = page.locator(
        ".lgnb, .lgnb-head, .lgnb-body, .lgnb-dock, .lgnb-relay, .lgnb-tool, .lgnb-repl, .lgnb-card, .lgnb-form"
    )
    assert (
        boxes.evaluate_all("all => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.className)") == []
    )
    for name in ("Approve", "Deny", "Stop", "Search", "Run as edited", "Call", "Add rule", "Try", "Play"):
        box = page.get_by_role("button", name=name, exact=True).first.bounding_box()
        assert box is not None, name
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.evaluate("innerWidth"), name
    if "motion" in how:
        assert page.evaluate("document.getAnimations().length") == 0
        seen = page.locator(".lgnb-mark").and_(page.locator("[data-tone=good], [data-tone=bad]")).filter(visible=True)
        assert seen.evaluate_all("all => [...new Set(all.map((e) => getComputedStyle(e).color))]") == ["rgb(0, 0, 0)"]
        found = Axe().run(page, context=".lgnb", options=AXE)
        assert found.violations_count == 0, found.generate_report()


# -- without a mouse ---------------------------------------------------------------------------------------------------


@pytest.fixture
def stage(chromium: Browser) -> Iterator[Stage]:
    page = chromium.new_page(viewport={"width": 900, "height": 900})
    yield (stage := Stage(page))
    page.close()
    assert stage.errors == []


PRESS = """([key, at]) => document.activeElement.dispatchEvent(Object.defineProperty(
  new KeyboardEvent("keydown", { key, bubbles: true }), "timeStamp", { value: at }))"""
LONG_BEFORE, LONG_AFTER = 0, 1e9


def focused(page: Page) -> Locator:
    return page.locator(":focus")


def test_every_stop_of_the_tab_key_can_be_seen_and_has_a_name(stage_in: Callable[[str], Stage]) -> None:
    page = stage_in("light").page
    page.get_by_role("button", name="Search", exact=True).click()
    reached: list[tuple[str, bool]] = []
    while (stop := page.evaluate(NEXT_STOP)) is not None and len(reached) < 400:
        reached.append(tuple(stop))
        page.keyboard.press("Tab")
    assert [name for name, seen in reached if name.startswith("<")] == []
    assert [name for name, seen in reached if not seen] == []
    names = [name for name, _ in reached]
    for want in (
        "Search this run", "Previous", "Question: ", "Approve", "Always allow", "Deny", "Edit", "The run", "Your message", "day",
        "notes", "Call", "Remove: deny", "List", "Tool of the new rule", "Add rule", "Arguments of the call to try", "Try", "Play",
        "Event", "As code", "JSON Schema",
    ):  # fmt: skip
        assert any(name.startswith(want) for name in names), want


NEXT_STOP = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(e);
  const name = e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent;
  return [name.trim().slice(0, 60) || e.outerHTML.slice(0, 80), outlineStyle !== "none" && parseFloat(outlineWidth) >= 2];
}"""


def test_the_focus_goes_from_question_to_question_and_then_stays_in_the_panel(stage: Stage) -> None:
    page = stage.page
    stage.fold(START, ASK, ASK.model_copy(update={"id": "q2", "tool_call_id": "c2", "rule": None}))
    expect(page.get_by_role("group", name="Question")).to_have_count(2)
    first = page.get_by_role("group", name="Question").first
    page.get_by_role("button", name="Answer 2 questions").focus()
    page.keyboard.press("Enter")
    expect(first).to_be_focused()
    page.keyboard.press("Tab")
    expect(focused(page)).to_have_class(re.compile("lgnb-code"))  # so that it can be scrolled
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert stage.sent == [{"k": "relay", "id": "q1", "approved": True}]
    expect(first).to_be_focused()
    fold_answer(stage.tree, "q1", RelayResponse(approved=True), by="person")
    stage.show()
    second = page.get_by_role("group", name="Question")
    expect(second).to_have_count(1)
    expect(second).to_be_focused()
    page.evaluate(PRESS, ["d", LONG_BEFORE])
    expect(second).to_be_focused()  # a second press of what was meant for the first
    page.evaluate(PRESS, ["d", LONG_AFTER])
    page.keyboard.type("not now")
    page.keyboard.press("Enter")
    assert stage.sent[1:] == [{"k": "relay", "id": "q2", "approved": False, "reason": "not now"}]
    fold_answer(stage.tree, "q2", RelayResponse(approved=False, reason="not now"), by="person")
    stage.show()
    expect(focused(page)).to_have_text("Denied by you: not now")


def test_a_key_that_is_held_answers_one_question(stage: Stage) -> None:
    page = stage.page
    stage.fold(START, ASK, ASK.model_copy(update={"id": "q2", "tool_call_id": "c2"}))
    expect(page.get_by_role("group", name="Question")).to_have_count(2)
    page.get_by_role("group", name="Question").first.focus()
    page.keyboard.down("a")
    fold_answer(stage.tree, "q1", RelayResponse(approved=True), by="person")
    stage.show()
    expect(page.get_by_role("group", name="Question")).to_have_count(1)
    expect(page.get_by_role("group", name="Question")).to_be_focused()
    page.evaluate(
        "() => document.activeElement.addEventListener('keydown', (event) => { window.repeated = event.repeat })"
    )
    page.keyboard.down("a")
    page.wait_for_function("repeated")
    page.keyboard.up("a")
    assert [message["id"] for message in stage.sent] == ["q1"]


def test_a_person_who_is_elsewhere_by_now_is_left_there(stage: Stage) -> None:
    page = stage.page
    page.evaluate("document.body.append(Object.assign(document.createElement('input'), {id: 'mine'}))")
    stage.fold(START, ASK, ASK.model_copy(update={"id": "q2", "tool_call_id": "c2"}))
    page.get_by_role("group", name="Question").first.focus()
    page.keyboard.press("a")
    page.locator("#mine").focus()
    fold_answer(stage.tree, "q1", RelayResponse(approved=True), by="person")
    stage.show()
    expect(page.locator(".lgnb-answer")).to_have_text("Approved by you")
    expect(page.locator("#mine")).to_be_focused()


def test_from_a_subagents_question_at_the_top_the_focus_stays_in_the_panel(stage: Stage) -> None:
    page = stage.page
    stage.fold(
        START,
        ToolCallEvent(run_id="r", id="c0", name="agent", input={"task": "look"}),
        HarnessStartEvent(run_id="s", parent_id="c0"),
        ASK.model_copy(update={"run_id": "s", "parent_id": "c0"}),
    )
    page.locator(".lgnb-dock").get_by_role("group", name="Question").focus()
    page.keyboard.press("a")
    fold_answer(stage.tree, "q1", RelayResponse(approved=True), by="person")
    stage.show()
    expect(page.get_by_role("log", name="The run")).to_be_focused()


def test_who_stops_a_run_by_the_keyboard_is_then_in_the_run(stage: Stage) -> None:
    page = stage.page
    stage.fold(START)
    page.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert stage.sent == [{"k": "stop"}]
    expect(page.get_by_role("button", name="stopping…")).to_be_focused()
    stage.fold(HarnessEndEvent(run_id="r", reason="cancelled"))
    expect(page.get_by_role("log", name="The run")).to_be_focused()


def test_each_question_is_said_once_and_two_at_once_are_both_said(stage: Stage) -> None:
    page = stage.page
    page.evaluate(
        """() => { window.said = []; new MutationObserver((all) => all.forEach((one) => one.addedNodes.forEach((node) =>
        said.push(node.textContent)))).observe(document.querySelector('.lgnb-says'), { childList: true, subtree: true }) }"""
    )
    stage.fold(START, ASK, ASK.model_copy(update={"id": "q2", "tool_call_id": "c2", "tool": "write"}))
    asked = "Waiting for you: bash wants to run. Waiting for you: write wants to run"
    expect(page.get_by_role("status")).to_have_text(asked)
    stage.panel._on_custom(None, {"k": "ready"}, [])  # a snapshot: all is drawn again
    stage.show()
    page.evaluate("emit('comm_live_update')")
    stage.fold(ASK.model_copy(update={"id": "q3", "tool_call_id": "c3"}))
    expect(page.get_by_role("status")).to_have_text("Waiting for you: bash wants to run")
    assert page.evaluate("said") == [asked, "Waiting for you: bash wants to run"]


def test_a_rule_that_is_removed_leaves_the_focus_with_the_next(stage: Stage) -> None:
    page = stage.page
    table = PermissionTable(things()["permissions"])
    stage.beside(LiveCard, first=table.picture())
    page.evaluate(
        "() => { const card = mounted.at(-1); window.redraw = (picture, seq) => card.emit('msg:custom', { k: 'card', seq, picture }) }"
    )
    for seq, left in enumerate(["allow read, with any arguments", 'allow bash(command="Friday *")'], 1):
        page.get_by_role("button", name=re.compile("^Remove")).first.focus()
        page.keyboard.press("Enter")
        table.acted(stage.sent[-1])
        page.evaluate("([picture, seq]) => redraw(picture, seq)", [table.picture(), seq])
        expect(focused(page)).to_have_accessible_name(f"Remove: {left}")
    page.keyboard.press("Enter")
    table.acted(stage.sent[-1])
    page.evaluate("([picture, seq]) => redraw(picture, seq)", [table.picture(), 3])
    expect(page.get_by_label("Tool of the new rule")).to_be_focused()


# -- what must never happen --------------------------------------------------------------------------------------------


def test_no_markup_of_a_model_becomes_an_element_of_a_card_a_form_or_a_table(stage: Stage) -> None:
    page = stage.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    attacks = [attack for attack in ATTACKS if len(attack) < 1000]
    for several in ("\n\n".join(attacks[start::3]) for start in range(3)):
        for picture in pictures(several):
            stage.beside(LiveCard, first=picture)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = !one.open; one.open = true })")
    page.locator("img").evaluate_all("all => Promise.all(all.map((one) => one.decode().catch(() => null)))")
    bad = "script, style, svg:not(.lgnb-icon), iframe, a:not([href^=http]), object, embed, img:not([src^='data:image/png;base64,'])"
    assert page.locator(f".lgnb :is({bad}, [onerror], [onload], [ontoggle], [onclick], [onmouseover])").count() == 0
    assert page.get_by_role("button", name="Approve", exact=True).count() == 0
    assert page.evaluate("alerts") == 0
    assert [url for url in asked if not url.startswith(("blob:", "data:image/png;base64,"))] == []
