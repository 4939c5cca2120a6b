"""Cards in real kernels: what a person does there passes a running cell, and a cell that runs again lets go of its cards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.frontend import Cell, FrontEnd

pytestmark = pytest.mark.kernel

SETUP = """
import gc, ipywidgets, time
from pathlib import Path
from llm_gateway_nb import *
from llm_gateway_nb.notebook.panel import RunPanel
from llm_gateway_nb.notebook.views.live import LiveCard
from llm_gateway_nb.primitives import AsyncQueue
from llm_gateway_nb.testing import ScriptedLLM, Turn, call

booked = AsyncQueue()

@tool
async def book(day: str) -> str:
    "Book a day."
    booked.push(day)
    return f"booked {day}"

async def booking_of(relay):
    return await booked.pop() == "Friday"

async def agent_asks():
    agent = create_agent_harness(ScriptedLLM([call("book", day="Sunday"), "Done."]))
    return (await run(agent, "Book.", tools=[book], approvals=booking_of)).reason
"""


@pytest.fixture(autouse=True)
def closed_at_the_end(page: FrontEnd) -> Iterator[None]:
    """A card lives on, and the kernel is that of other tests too."""
    page.execute(SETUP)
    yield
    page.execute("ipywidgets.Widget.close_all()")


def card_of(page: FrontEnd, code: str, cell_id: str | None = None) -> str:
    """Show something; the comm of its widget."""
    known = set(page.comms)
    page.execute(code, cell_id=cell_id)
    return next(comm for comm in page.comms if comm not in known and "_esm" in page.comms[comm]["data"]["state"])


def click(page: FrontEnd, card: str, number: int, **message: object) -> None:
    page.send(card, {"method": "custom", "content": {**message, "n": number}})


def taken(page: FrontEnd, card: str) -> list[int]:
    contents = [data.get("content") for data in page.data_from(card)]
    return [content["n"] for content in contents if content and content["k"] == "taken"]


def wait_for(page: FrontEnd, *cells: Cell) -> None:
    page.wait(lambda: all(cell.done for cell in cells), "end of all cells", 20)


@pytest.mark.parametrize(
    "holding",
    [
        "await booked.pop()",
        "hold(booked.pop())",
        "await agent_asks()",
        "hold(agent_asks())",
    ],
)
def test_a_form_is_sent_while_a_cell_runs(page: FrontEnd, holding: str) -> None:
    card = card_of(page, "show(book)")
    cell = page.submit(f"print('holds')\nprint({holding})")
    behind = page.submit("print('behind')")
    page.wait(lambda: cell.text == "holds", "first output")
    click(page, card, 1, k="call", values={"day": "Friday"})
    wait_for(page, cell, behind)
    assert cell.text in {"holds\nFriday", "holds\nfinal"}
    assert behind.text == "behind"
    page.wait(lambda: taken(page, card) == [1], "word that the click was taken")


def test_permissions_are_edited_while_a_cell_runs(page: FrontEnd) -> None:
    card = card_of(page, "table = show(Permissions(allowlist=['read']))")
    page.execute("async def edited():\n    while not table.permissions.deny: await asyncio.sleep(0)")
    cell = page.submit("print('holds'); await edited(); print(table.permissions.deny[0])")
    page.wait(lambda: cell.text == "holds", "first output")
    click(page, card, 1, k="add", list="deny", tool="bash", params={})
    wait_for(page, cell)
    assert "bash" in cell.text


def test_behind_a_cell_that_blocks_a_click_waits_and_is_not_said_to_be_taken(page: FrontEnd, tmp_path: Path) -> None:
    card = card_of(page, "show(book)")
    go_on = tmp_path / "go on"
    cell = page.submit(f"print('blocks')\nwhile not Path({str(go_on)!r}).exists(): time.sleep(0.01)\nprint('lets go')")
    page.wait(lambda: cell.text == "blocks", "first output")
    click(page, card, 1, k="call", values={"day": "Monday"})
    assert not taken(page, card)
    go_on.touch()
    wait_for(page, cell)
    page.wait(lambda: taken(page, card) == [1], "word that the click was taken")
    assert page.evaluate("await booked.pop()") == "Monday"


SHOWN = {
    "the same tool": "show(book); show(book)",
    "a tool of this cell": "@tool\ndef f(a: int) -> int:\n    'F.'\n    return a\nf",
    "permissions": "table = show(Permissions(allowlist=['read']))",
    "a primitive": "AsyncQueue()",
    "a result": "show(result)",
    "a started run": "live = start(ScriptedLLM(['Hello.']), 'Hello'); await live",
    "an awaited run": "await run(ScriptedLLM(['Hello.']), 'Hello')",
    "a conversation": "talk = chat(ScriptedLLM(['Hello.']), turns=['Hello']); await talk",
    "a recording": "show(recorded)",
}
THERE_ARE = """(
    len(ipywidgets.widgets.widget._instances),
    (gc.collect(), len([each for each in gc.get_objects() if isinstance(each, (LiveCard, RunPanel))]))[1],
    len(Bridge.current().attached),
)"""


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_a_cell_that_runs_twenty_times_has_the_widgets_of_one(page: FrontEnd, shown: str, tmp_path: Path) -> None:
    page.execute(f"""
from llm_gateway_nb import *
from llm_gateway_nb.harnesses import replay
result = await run(ScriptedLLM(['Hello.']), 'Hello', panel=False, record={str(tmp_path / "run.jsonl")!r})
recorded = replay({str(tmp_path / "run.jsonl")!r})
""")
    none = page.evaluate(THERE_ARE)
    page.execute(shown, cell_id="shows")
    once = page.evaluate(THERE_ARE)
    for _ in range(19):
        page.execute(shown, cell_id="shows")
    assert page.evaluate(THERE_ARE) == once
    page.execute("live = talk = table = Out = _ = None\n'something else'", cell_id="shows")
    assert page.evaluate(THERE_ARE) == none


def test_what_another_cell_shows_too_stays(page: FrontEnd) -> None:
    card = card_of(page, "show(book)")  # by a page that does not tell its cells
    page.execute("show(book)", cell_id="one")
    page.execute("show(book)", cell_id="other")
    page.execute("'nothing'", cell_id="one")
    click(page, card, 1, k="call", values={"day": "Friday"})
    page.wait(lambda: taken(page, card) == [1], "word that the click was taken")


def test_a_run_that_goes_on_keeps_its_panel_until_it_is_over(page: FrontEnd) -> None:
    page.execute("gate = asyncio.Event()")
    panel = card_of(page, "live = start(ScriptedLLM([Turn('Hello.', wait=gate.wait)]), 'Hello')", "starts")
    page.execute("'nothing'", cell_id="starts")
    assert page.evaluate("live._panel.comm is not None") == "True"
    page.execute("gate.set(); await live")
    assert page.evaluate("live._panel.comm is None") == "True"
    assert card_of(page, "live.show()") != panel, "shown again it has a view again"
