"""What stays of a run: opened again, trusted or not, with the worst that a model could have said in it."""

from __future__ import annotations

import json

import nbformat
import pytest
from playwright.sync_api import Browser, expect
from support.attacks import ATTACKS, attack_events
from support.jupyter import Server, open_notebook

from llm_gateway_nb.types import HarnessEndEvent, HarnessStartEvent, dump_event

pytestmark = pytest.mark.browser

COUNT_ALERTS = (
    "window.alerts = 0; window.alert = () => { window.top.alerts++; }; 0"  # a function in the end would be called
)
OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = !one.open; one.open = true; })"
BUTTONS = (
    "[...document.querySelectorAll('.jp-OutputArea button')].filter((one) => one.textContent === 'Approve').length"
)

RUN = """
import json
from llm_gateway_nb import run, show
from llm_gateway_nb.types import parse_event

async def events():
    for line in open("attacks.jsonl"):
        yield parse_event(line)

result = await run(events(), title="<img src=x onerror=alert(1)>")
"""


@pytest.mark.timeout(300)
def test_nothing_that_a_model_said_runs_or_loads_live_or_saved_trusted_or_not(browser: Browser, server: Server) -> None:
    events = [HarnessStartEvent(run_id="r", model=ATTACKS[0])]
    for number, attack in enumerate(attack for attack in ATTACKS if len(attack) < 1000):
        events += attack_events(number, attack)
    lines = [json.dumps(dump_event(event)) for event in [*events, HarnessEndEvent(run_id="r", reason="final")]]
    (server.folder / "attacks.jsonl").write_text("\n".join(lines))
    notebook = open_notebook(browser, server, [RUN])
    page = notebook.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(COUNT_ALERTS)
    page.evaluate(COUNT_ALERTS)

    def check(where: str, selector: str) -> None:
        page.locator(selector).first.wait_for()
        page.evaluate(OPEN_ALL)
        page.locator(selector).first.get_by_text("over all").first.wait_for(state="attached")
        page.evaluate("new Promise((done) => setTimeout(done, 700))")  # time for what should not come
        assert page.evaluate("alerts") == 0, where
        assert [url for url in asked if "leak.invalid" in url] == [], where
        assert page.evaluate(BUTTONS) == 0, where
        assert page.evaluate("getComputedStyle(document.body).display") != "none", where

    notebook.run(0)
    notebook.wait_done(0, 90)
    check("in the session that made it", ".jp-RenderedHTMLCommon")
    saved = notebook.save()
    notebook.load()
    check("saved, opened again, trusted", ".jp-RenderedHTMLCommon")
    saved.metadata["copied"] = "so that no signature fits"
    nbformat.write(saved, server.folder / "untrusted.ipynb")
    own_name, notebook.name = notebook.name, "untrusted.ipynb"
    notebook.load()
    check("saved, opened again, not trusted", ".jp-RenderedHTMLCommon")
    notebook.name = own_name
    notebook.load()
    notebook.execute(RUN + "\nshow(result)", seconds=90)
    page.wait_for_function("document.querySelectorAll('.lgnb-relay-done').length > 14", timeout=60_000)
    check("live, drawn by the notebook's own renderers", ".lgnb")
    notebook.close()
    assert notebook.errors == []


def test_a_run_that_is_still_going_is_in_the_file_with_what_there_was(browser: Browser, server: Server) -> None:
    cell = """
from llm_gateway_nb import bash_tool, create_agent_harness, start
from llm_gateway_nb.testing import ScriptedLLM, call
r = start(create_agent_harness(ScriptedLLM([["I look at the notes.", call("bash", command="ls")], "done"])), "Notes?", tools=[bash_tool])
"""
    notebook = open_notebook(browser, server, [cell])
    notebook.run(0)
    notebook.wait_done(0)
    notebook.page.get_by_role("button", name="Approve").wait_for()
    expect(notebook.page.locator('[data-lgnb="run"]').filter(visible=True)).to_have_count(0)  # the live view is enough
    notebook.page.wait_for_function(_WRITTEN, timeout=90_000)
    saved = notebook.save()
    html = _static(saved)
    assert "Notes?" in html
    assert "I look at the notes." in html
    assert "waiting for an answer" in html
    notebook.close()


_WRITTEN = """() => {
  const outputs = window.jupyterapp.shell.currentWidget.content.widgets[0].model.outputs;
  for (let i = 0; i < outputs.length; i++) {
    if (String(outputs.get(i).toJSON().data?.['text/html'] ?? '').includes('waiting for an answer')) return true;
  }
  return false;
}"""


def _static(notebook: nbformat.NotebookNode) -> str:
    outputs = notebook.cells[0].outputs
    return "".join("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
