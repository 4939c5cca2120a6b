"""Buttons work while a cell runs: every front end, every kernel, every way of running.

One page a place, on which the scenarios come one after the other; each finds the kernel as if nothing had been before, and
leaves it so. The first line of a docstring is the scenario's name in the table of `docs/front_ends.md`.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from playwright.sync_api import Browser, Locator, expect
from support.jupyter import FrontEnd, NotebookPage, open_notebook
from support.kernels import KERNELS
from support.matrix import WAYS

pytestmark = pytest.mark.browser

SETUP = """
import asyncio, signal, sys, threading
import ipykernel, ipywidgets
from IPython.display import display
from llm_gateway_nb import *
from llm_gateway_nb.notebook.kernel import Bridge
from llm_gateway_nb.testing import ScriptedLLM, call

LOG = []

@tool
async def note(word: str) -> str:
    "Note a word."
    LOG.append(word)
    return word

@tool
async def hang() -> None:
    "Never come back."
    LOG.append("hangs")
    try:
        await asyncio.Event().wait()
    finally:
        LOG.append("gone")

def asking(*words):
    LOG.clear()
    calls = [call("note", word=word) for word in words] or [call("hang")]
    return create_agent_harness(ScriptedLLM([calls, "All is noted."]))

def state():
    "What a run could leave behind."
    shell = get_ipython()
    return {
        "attached": Bridge.current().attached,
        "stream": shell.kernel.shell_stream._recv_callback,
        "signal": signal.getsignal(signal.SIGINT),
        "stdout": (type(sys.stdout), "write" in vars(sys.stdout)),
        "publisher": [name for name in ("publish", "clear_output") if name in vars(shell.display_pub)],
        "threads": [thread.name for thread in threading.enumerate() if "llm_gateway_nb" in thread.name],
        "tasks": [task.get_name() for task in asyncio.all_tasks(shell.kernel.io_loop.asyncio_loop)
                  if "llm_gateway_nb" in task.get_name()],
        "patched": hasattr(type(shell.kernel.io_loop.asyncio_loop), "_nest_patched"),
    }

BEFORE = state()
assert BEFORE["attached"] == () and not BEFORE["publisher"] and not BEFORE["patched"], BEFORE
"""

BUTTON = """
clicks = []
counter = ipywidgets.Button(description="Count")
def count(_):
    clicks.append(1)
    counter.description = f"Counted {len(clicks)}"
counter.on_click(count)
counter
"""

CALLS = {
    "await run": "r = await run({}, 'Note them.', tools=[note, hang])",
    "run_sync": "r = run_sync({}, 'Note them.', tools=[note, hang])",
    "start": "r = start({}, 'Note them.', tools=[note, hang])",
}
REPORT = (
    "print([r.text, r.reason, len(r.messages), LOG, [name for name, was in BEFORE.items() if state()[name] != was]])"
)


class Place:
    """One page, and one way of running on it."""

    def __init__(self, notebook: NotebookPage, way: str, setting: str) -> None:
        self.notebook = notebook
        self.way = way
        self.started = way == "start"
        self.front_end = notebook.application + (f", {setting}" if setting else "")
        _, self.kernel = notebook.execute(SETUP, "print(ipykernel.__version__, end='')")
        assert self.kernel, notebook.outputs(0)

    @property
    def approve(self) -> Locator:
        return self.notebook.page.get_by_role("button", name="Approve", exact=True)

    def begin(self, *words: str, before: tuple[str, ...] = (), questions: int = 1) -> int:
        """Run a cell that asks, below the cells `before`; the number of its cell, once it asks."""
        cell = len(before)
        self.notebook.replace(*before, self.code(*words))
        for number in range(cell):
            self.notebook.run(number)
            self.notebook.wait_done(number)
        self.notebook.run(cell)
        self.asked(questions)
        if self.started:
            self.notebook.wait_done(cell)
        else:
            assert self.notebook.running(cell), "the cell waits"
        return cell

    def code(self, *words: str) -> str:
        return CALLS[self.way].format(f"asking({', '.join(map(repr, words))})")

    def asked(self, questions: int = 1) -> None:
        expect(self.approve).to_have_count(questions)
        expect(self.approve.first).to_be_enabled()

    def end(self) -> list[Any]:
        """When the run is over: its text, its reason, the length of its history, the log. The kernel is as before."""
        *_, printed = self.notebook.execute("r = await r" if self.started else "pass", REPORT)
        *report, left_behind = ast.literal_eval(printed)
        assert left_behind == []
        return report


@pytest.fixture(scope="class")
def place(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Place]:
    front_end, kernel, way, setting = request.cls.where
    server = request.getfixturevalue("server_without_subshells" if setting else "server")
    notebook = open_notebook(browser, server, ["pass"], front_end=front_end, kernel=kernel)
    yield Place(notebook, way, setting)
    notebook.close()
    assert notebook.errors == []


NOTED = ["All is noted.", "final", 4]


class Scenarios:
    """A class a place, because `--dist loadscope` gives each class to one worker, and with it the page."""

    where: tuple[FrontEnd, str, str, str]

    def test_one_click_answers(self, place: Place) -> None:
        """one click"""
        cell = place.begin("one")
        place.approve.click()
        place.notebook.wait_done(cell)
        assert place.end() == [*NOTED, ["one"]]

    def test_two_questions_of_one_turn_are_answered_in_either_order(self, place: Place) -> None:
        """two questions answered in reverse order"""
        cell = place.begin("first", "second", questions=2)
        place.approve.nth(1).click()
        place.approve.nth(0).click()
        place.notebook.wait_done(cell)
        assert place.end() == ["All is noted.", "final", 5, ["second", "first"]]

    def test_a_double_click_is_one_answer(self, place: Place) -> None:
        """a double click is one answer"""
        cell = place.begin("one")
        place.approve.dblclick()
        place.notebook.wait_done(cell)
        assert place.end() == [*NOTED, ["one"]]

    def test_the_stop_right_after_an_approval_ends_the_run_and_its_tool(self, place: Place) -> None:
        """Approve, and at once the stop button

        A started run holds no cell that the notebook's button could stop; there it is the panel's, and the notebook's does
        no harm.
        """
        cell = place.begin()
        place.approve.click()
        place.notebook.interrupt()
        if place.started:
            place.notebook.page.get_by_role("button", name="Stop", exact=True).click()
            text, reason, _, log = place.end()
            assert (text, reason) == ("", "cancelled")
        else:
            place.notebook.wait_done(cell)
            assert place.notebook.text(cell).endswith("KeyboardInterrupt: \n")
            assert "cancelled" in place.notebook.text(cell)
            *_, log = place.end()
        assert log in ([], ["hangs", "gone"])
        expect(place.approve).to_have_count(0)

    def test_the_cells_of_run_all_run_once_in_order_and_print_below_themselves(self, place: Place) -> None:
        """Run All with three cells behind"""
        behind = [f"LOG.append({word!r}); print({word!r})" for word in ("a", "b", "c")]
        place.notebook.replace(place.code("one"), *behind)
        place.notebook.run_all()
        place.asked()
        if place.started:  # they run while the question is open
            place.notebook.wait_done(3)
        else:
            assert all(place.notebook.waiting(cell) for cell in (1, 2, 3))
            assert [place.notebook.text(cell) for cell in (1, 2, 3)] == ["", "", ""]
        place.approve.click()
        place.notebook.wait_done(3)
        assert [place.notebook.text(cell) for cell in (1, 2, 3)] == ["a\n", "b\n", "c\n"]
        assert place.end() == [*NOTED, ["a", "b", "c", "one"] if place.started else ["one", "a", "b", "c"]]

    def test_no_click_on_another_widget_is_lost(self, place: Place) -> None:
        """another widget's clicks, during and after"""
        cell = place.begin("one", before=(BUTTON,))
        button = place.notebook.page.locator(".jp-OutputArea-output button.jupyter-button")
        button.click()
        place.approve.click()
        place.notebook.wait_done(cell)
        expect(button).to_have_text("Counted 1")
        button.click()
        expect(button).to_have_text("Counted 2")
        assert place.end() == [*NOTED, ["one"]]

    def test_doctor_says_what_has_just_been_shown(self, place: Place) -> None:
        """`doctor()` says so"""
        place.begin("one")
        place.approve.click()
        place.end()
        (printed,) = place.notebook.execute(
            "print([(d := doctor()).rung, d.can_click, d.pages > 0, d.run_sync, str(d)])"
        )
        rung, can_click, seen, run_sync, said = ast.literal_eval(printed)
        assert (rung, can_click, seen) == ("bridge", True, True)
        assert run_sync.startswith("reentrant: ")
        assert f"ipykernel {place.kernel}" in said

    def test_a_reloaded_page_is_live_again_and_answers(
        self, place: Place, measured: Callable[[str, float], None]
    ) -> None:
        """a reload while a question is open, then Approve"""
        place.begin("one")
        place.notebook.save()
        place.notebook.load()
        started = time.perf_counter()
        place.asked()
        measured("reload_seconds", time.perf_counter() - started)
        place.approve.click()
        expect(place.notebook.page.get_by_text("All is noted.").first).to_be_visible()
        assert place.end() == [*NOTED, ["one"]]


PLACES: list[tuple[FrontEnd, str, str, str]] = [
    *((front_end, kernel, way, "") for front_end in get_args(FrontEnd) for kernel in KERNELS for way in WAYS),
    *(("lab", "ipykernel-newest", way, "no comms over subshells") for way in WAYS),
]
for where in PLACES:
    name = "Test_" + "_".join(re.sub(r"\W+", "_", part) for part in where if part)
    globals()[name] = type(name, (Scenarios,), {"where": where, "__module__": __name__})
