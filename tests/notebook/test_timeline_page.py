"""The slider's page side, in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from support.jupyter import browser

from llm_gateway_nb.notebook.timeline import Timeline

pytestmark = pytest.mark.browser

SETUP = """async (source) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const widget = (await import(url)).default();
  window.sent = [];
  const values = { times: [0, 0.5, 0.505, 0.51, 99], at: 5 };
  const model = { get: (name) => values[name], send: (message) => sent.push(message.at), on() {}, off() {} };
  const el = document.createElement("div");
  document.body.append(el);
  window.stop = widget.render({ model, el });
}"""


def test_it_is_moved_by_keys_and_plays_the_recording_with_long_pauses_cut_short() -> None:
    with browser() as chromium:
        page = chromium.new_page()
        page.set_content("<!doctype html><meta charset=utf-8><body></body>")
        page.add_style_tag(content=Timeline._css)
        page.evaluate(SETUP, str(Timeline._esm))
        slider = page.get_by_role("slider", name="Event")
        expect(page.get_by_text("event 5 of 5, 1 min 39 s")).to_be_visible()
        slider.press("ArrowLeft")
        expect(page.get_by_text("event 4 of 5, 0.51 s")).to_be_visible()
        expect(slider).to_have_attribute("aria-valuetext", "event 4 of 5, 0.51 s")
        slider.press("Home")
        expect(page.get_by_text("event 0 of 5, 0.00 s")).to_be_visible()
        page.wait_for_function("sent.at(-1) === 0")
        page.get_by_role("button", name="Play").click()
        expect(page.get_by_text("event 5 of 5")).to_be_visible()
        expect(page.get_by_role("button", name="Play")).to_be_visible()
        page.wait_for_function("sent.at(-1) === 5")
        assert page.evaluate("sent.every((at, n) => n < 2 || at >= sent[n - 1] || at === 0)")
        page.evaluate("stop()")
        assert page.get_by_role("slider").count() == 0
