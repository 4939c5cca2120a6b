"""A page that was reloaded finds its widgets while their cell still runs."""

from __future__ import annotations

import pytest
from support.frontend import FrontEnd

pytestmark = pytest.mark.kernel

WIDGETS = """
import ipywidgets
slider = ipywidgets.IntSlider(value=7)
"""


def questions(page: FrontEnd) -> list[str]:
    """The comm of each question so far, in order."""
    return page.senders_of("question")


@pytest.mark.parametrize("holding", ["await ask()", "hold(ask())"], ids=["await", "hold"])
def test_what_a_reloaded_page_asks_is_answered_in_the_running_cell(page: FrontEnd, holding: str) -> None:
    seen = len(questions(page))
    page.execute(WIDGETS)
    slider = page.evaluate("slider.model_id")
    cell = page.submit(f"print({holding})")
    behind = page.submit("print('behind')")
    page.wait(lambda: len(questions(page)) > seen, "question")

    info = page.request("kernel_info_request", {})
    page.wait(lambda: info in page.replies and ("idle", info) in page.states, "kernel_info_reply")
    assert page.replies[info]["status"] == "ok"
    assert page.replies[info]["implementation"] == "ipython"

    # Pages show the latest status: it says that the cell runs, not that a request has been answered.
    page.wait(lambda: page.states[-1] == ("busy", cell.id), "busy of the cell")

    comms = page.request("comm_info_request", {"target_name": "jupyter.widget"})
    page.wait(lambda: comms in page.replies, "comm_info_reply")
    assert page.replies[comms]["comms"][slider] == {"target_name": "jupyter.widget"}
    assert questions(page)[-1] not in page.replies[comms]["comms"]  # another target

    control = page.open_comm("jupyter.widget.control", metadata={"version": "1.0.0"})
    page.send(control, {"method": "request_states"})
    page.wait(lambda: bool(page.data_from(control)), "states of the widgets")
    assert page.data_from(control)[0]["states"][slider]["state"]["value"] == 7

    before = len(page.data_from(slider))
    page.send(slider, {"method": "request_state"})
    page.wait(lambda: len(page.data_from(slider)) > before, "state of one widget")
    assert page.data_from(slider)[-1]["state"]["value"] == 7

    assert not cell.done
    assert not behind.done
    page.send(questions(page)[-1], "yes")
    page.wait(lambda: cell.done and behind.done, "end of the cells")
    assert (cell.text, behind.text) == ("['yes']", "behind")
    page.execute("slider.close()")


@pytest.mark.parametrize("holding", ["await ask()", "hold(ask())"], ids=["await", "hold"])
def test_a_page_that_was_told_idle_on_another_channel_is_told_busy_again(page: FrontEnd, holding: str) -> None:
    seen = len(questions(page))
    cell = page.submit(holding)
    page.wait(lambda: len(questions(page)) > seen, "question")
    asked = page.request_control("kernel_info_request")
    page.wait(lambda: ("idle", asked) in page.states, "idle of the control channel")
    page.send(questions(page)[-1], {"echo": 1})
    page.wait(lambda: page.states[-1] == ("busy", cell.id), "busy of the cell")
    page.send(questions(page)[-1], "yes")
    page.wait(lambda: cell.done, "end of the cell")
    assert page.states[-1] == ("idle", cell.id)


def test_without_a_run_the_kernel_answers_by_itself_after_the_cell(page: FrontEnd) -> None:
    page.execute("gate = asyncio.Event(); asking = Asking()")
    (comm,) = list(page.comms)[-1:]
    page.execute("with asking.attached(): pass")  # a run was here, and is over
    cell = page.submit("print('before'); hold(asyncio.sleep(0.3))")
    page.wait(lambda: cell.text == "before", "first output")
    info = page.request("kernel_info_request", {})
    page.wait(lambda: cell.done and info in page.replies and ("idle", info) in page.states, "kernel_info_reply")
    states = [state for state in page.states if state in {("idle", cell.id), ("busy", info)}]
    assert states == [("idle", cell.id), ("busy", info)]
    page.execute("asking.comm.close()")
    assert comm in page.comms
