"""The steps of a run in a real Chromium, where scripts are off."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from support.jupyter import browser

from llm_gateway_nb import bash_tool, create_agent_harness, run_sync
from llm_gateway_nb.testing import ScriptedLLM, call

pytestmark = pytest.mark.browser


def test_keys_and_links_go_forwards_and_back_without_a_script() -> None:
    llm = ScriptedLLM([call("bash", command="rm notes"), "Then not."])
    result = run_sync(create_agent_harness(llm), "Tidy up.", tools=[bash_tool], approvals="deny", panel=False)
    with browser() as chromium:
        context = chromium.new_context(java_script_enabled=False)
        page = context.new_page()
        page.set_content(result.to_html(steps=True))
        first = page.get_by_role("radio", name="The person asks")
        expect(first).to_be_checked()
        expect(page.locator("section:visible").get_by_text("rm notes")).to_have_count(0)
        first.press("ArrowRight")
        expect(page.locator("section:visible").get_by_text("bash asks for leave")).to_be_visible()
        expect(page.locator("section:visible").get_by_text("rm notes").first).to_be_visible()
        page.locator("section:visible").get_by_text("Back").click()
        expect(first).to_be_checked()
        page.get_by_role("radio").last.check()
        expect(page.locator("section:visible").get_by_text("Then not.")).to_be_visible()
        expect(page.locator("section:visible")).to_have_count(1)
        context.close()
