"""Kernels in which the user has patched asyncio before us."""

from __future__ import annotations

import pytest
from support.frontend import FrontEnd

pytestmark = pytest.mark.kernel


def questions(page: FrontEnd) -> list[str]:
    """The comm of each question so far, in order."""
    return page.senders_of("question")


def answered_with_cells_behind(page: FrontEnd, code: str) -> None:
    page.execute("LOG.clear()")
    seen = len(questions(page))
    cell = page.submit(code)
    behind = [page.submit(f"LOG.append({number})") for number in range(5)]
    page.wait(lambda: len(questions(page)) > seen, "question")
    page.send(questions(page)[seen], "yes")
    page.wait(lambda: cell.done and all(other.done for other in behind), "end of all cells")
    assert cell.text == "['yes']"
    assert page.evaluate("LOG") == "['cleaned up', 0, 1, 2, 3, 4]"


@pytest.mark.parametrize("patch", ["nest_asyncio", "nest_asyncio2"])
def test_clicks_arrive_and_no_cell_is_lost(own_page: FrontEnd, patch: str) -> None:
    own_page.execute(f"import {patch}; {patch}.apply()")
    for code in ("print(hold(ask()))", "print(await ask())"):
        answered_with_cells_behind(own_page, code)
    assert own_page.evaluate("nest_patch(asyncio.get_running_loop())") == patch


def test_a_patch_applied_in_the_middle_of_the_cell_is_survived(own_page: FrontEnd) -> None:
    answered_with_cells_behind(own_page, "import nest_asyncio; nest_asyncio.apply(); print(hold(ask()))")


def test_where_only_nest_asyncio_is_left_it_is_refused_if_it_loses_cells(own_page: FrontEnd, kernel_name: str) -> None:
    own_page.execute("""
import sys, nest_asyncio
nest_asyncio.apply()
sys.modules["llm_gateway_nb.notebook.kernel.hold"].obstacle = lambda loop: "for this test it is not there"
""")
    cell = own_page.submit("print(hold(ask()))")
    behind = own_page.submit("LOG.append('behind')")
    if kernel_name == "ipykernel-6.31":
        own_page.wait(lambda: bool(questions(own_page)), "question")
        own_page.send(questions(own_page)[0], "yes")
    own_page.wait(lambda: cell.done and behind.done, "end of the cells")
    if kernel_name == "ipykernel-6.31":
        assert cell.text == "['yes']"
        assert own_page.evaluate("LOG") == "['cleaned up', 'behind']"
    else:
        assert cell.error == "ConfigurationError"
        assert cell.outputs[-1]["evalue"].startswith("A synchronous call cannot wait here: for this test it is not")
        assert "`nest_asyncio2.apply()`" in cell.outputs[-1]["evalue"]


def test_where_the_unpatched_way_is_missing_nest_asyncio2_serves(own_page: FrontEnd) -> None:
    own_page.execute("""
import sys
sys.modules["llm_gateway_nb.notebook.kernel.hold"].obstacle = lambda loop: "for this test it is not there"
""")
    answered_with_cells_behind(own_page, "print(hold(ask()))")
