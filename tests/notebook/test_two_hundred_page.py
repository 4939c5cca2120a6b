"""Two hundred panels on one page: all of them whole, and the page answers while they stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.jupyter import browser as launched_browser

from llm_gateway_nb.graph.fold import fold_event
from llm_gateway_nb.graph.tree import RunTree
from llm_gateway_nb.notebook.panel import RunPanel
from llm_gateway_nb.types import (
    HarnessEndEvent,
    HarnessStartEvent,
    RelayEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
)

pytestmark = pytest.mark.browser

PANELS = 200
ROUNDS = 10

SETUP = """async ([source, count]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const make = (await import(url)).default;
  window.sent = []; window.models = [];
  for (let at = 0; at < count; at++) {
    const handlers = {};
    const model = {
      get: (name) => ({ title: `agent ${at}` })[name],
      on: (name, f) => (handlers[name] ??= []).push(f),
      off: (name, f) => (handlers[name] = (handlers[name] ?? []).filter((g) => g !== f)),
      send: (message) => { if (message.k !== "ready") sent.push([at, message]); },
    };
    const widget = make();
    const el = document.createElement("div");
    el.id = `panel${at}`;
    document.body.append(el);
    widget.initialize({ model });
    widget.render({ model, el });
    models.push((message) => (handlers["msg:custom"] ?? []).forEach((f) => f(message)));
  }
}"""

# Each message in a task of its own, as they come from a socket.
FEED = """async (messages) => {
  for (const [at, message] of messages) {
    models[at](message);
    await new Promise((done) => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); });
  }
}"""


@pytest.fixture
def page() -> Iterator[Page]:
    with launched_browser() as browser:
        page = browser.new_page(viewport={"width": 900, "height": 900})
        yield page
        page.close()


def events(at: int) -> Iterator[list[Any]]:
    """What happens to one run, round by round."""
    run = f"r{at}"
    yield [HarnessStartEvent(run_id=run), ToolCallEvent(run_id=run, id=f"{run}/c", name="work", input={"n": at})]
    yield [ToolResultEvent(run_id=run, id=f"{run}/c", name="work", output="worked", status="ok")]
    for number in range(ROUNDS):
        yield [
            TextEvent(run_id=run, id=f"{run}t", content=f"word{word} ") for word in range(number * 5, number * 5 + 5)
        ]
    if at == PANELS // 2:
        yield [RelayEvent(run_id=run, tool_call_id=f"{run}/d", tool="work", params={"n": 1})]
    else:
        yield [HarnessEndEvent(run_id=run, reason="final")]


def test_two_hundred_panels_are_whole_and_the_page_answers(page: Page) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content("<!doctype html><meta charset=utf-8><body></body>")
    page.add_style_tag(content=RunPanel._css)
    trees = [RunTree() for _ in range(PANELS)]
    panels = [RunPanel(tree, title=f"agent {at}") for at, tree in enumerate(trees)]
    messages: list[tuple[int, Any]] = []
    for at, panel in enumerate(panels):
        panel.send = lambda message, at=at: messages.append((at, message))
    page.evaluate(SETUP, [str(panels[0]._esm), PANELS])
    for panel in panels:
        panel._on_custom(panel, {"k": "ready"}, [])
    for happening in zip(*(events(at) for at in range(PANELS)), strict=True):
        for at, some in enumerate(happening):
            for event in some:
                fold_event(trees[at], event)
            panels[at].flush()
        page.evaluate(FEED, messages)
        messages.clear()
        assert page.evaluate("1 + 1") == 2, "between two waves the page has time for others"
    last = f"word{ROUNDS * 5 - 1}"
    expect(page.locator("#panel0")).to_contain_text(last)
    expect(page.locator(f"#panel{PANELS - 1}")).to_contain_text(str(PANELS - 1))
    whole = page.evaluate(
        "([count, words]) => [...Array(count).keys()].filter((at) => {"
        "const text = document.getElementById(`panel${at}`).textContent; return words.every((w) => text.includes(w)); })",
        [PANELS, [f"word{word} " if word < ROUNDS * 5 - 1 else f"word{word}" for word in range(ROUNDS * 5)]],
    )
    assert whole == list(range(PANELS))
    asking = page.locator(f"#panel{PANELS // 2}")
    asking.scroll_into_view_if_needed()
    asking.get_by_role("button", name="Approve").click()
    (answer,) = page.evaluate("sent")
    assert (answer[0], answer[1]["k"], answer[1]["approved"]) == (PANELS // 2, "relay", True)
    assert errors == []
