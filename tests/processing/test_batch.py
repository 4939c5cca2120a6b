"""`gather_with_progress`: order, limits, failures, and nothing left behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.processing import gather_with_progress


class Gauge:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = self.cancelled = 0
        self.begun: list[Any] = []

    async def work(self, value: Any, until: asyncio.Event | None = None) -> Any:
        self.begun.append(value)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if until is not None:
                await until.wait()
            await asyncio.sleep(0)
            if isinstance(value, Exception):
                raise value
            return value
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1


async def test_results_stand_in_the_order_of_the_awaitables() -> None:
    gauge, late = Gauge(), asyncio.Event()

    async def last() -> str:
        late.set()
        return "c"

    assert await gather_with_progress([gauge.work("a", late), gauge.work("b"), last()]) == ["a", "b", "c"]


async def test_no_more_than_the_limit_are_begun_at_once() -> None:
    gauge = Gauge()
    assert await gather_with_progress((gauge.work(n) for n in range(20)), limit=3) == list(range(20))
    assert gauge.most == 3


async def test_the_first_failure_ends_the_others_and_is_raised_as_it_was() -> None:
    gauge, never = Gauge(), asyncio.Event()
    broken = ValueError("this one")
    with pytest.raises(ValueError, match="this one") as caught:
        await gather_with_progress([gauge.work("a", never), gauge.work(broken), gauge.work("b")], limit=2)
    assert caught.value is broken
    assert (gauge.inside, gauge.cancelled, gauge.begun) == (0, 1, ["a", broken])


async def test_with_return_exceptions_one_failure_loses_none_of_the_rest() -> None:
    gauge, broken = Gauge(), ValueError("this one")
    results = await gather_with_progress([gauge.work(1), gauge.work(broken), gauge.work(3)], return_exceptions=True)
    assert results == [1, broken, 3]


async def test_a_cancel_ends_them_all_and_begins_no_other() -> None:
    gauge, never = Gauge(), asyncio.Event()
    whole = asyncio.create_task(
        gather_with_progress([gauge.work(n, never) for n in range(5)], limit=2, return_exceptions=True)
    )
    while gauge.inside < 2:
        await asyncio.sleep(0)
    whole.cancel()
    await asyncio.wait([whole])
    assert whole.cancelled()
    assert (gauge.inside, gauge.cancelled, gauge.begun) == (0, 2, [0, 1])


async def test_an_awaitable_that_somebody_else_cancels_counts_as_a_failure() -> None:
    gauge = Gauge()
    for keep in (False, True):
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        call = gather_with_progress([gauge.work(1), lost, gauge.work(3)], return_exceptions=keep)
        if keep:
            results = await call
            assert (results[0], type(results[1]), results[2]) == (1, asyncio.CancelledError, 3)
        else:
            with pytest.raises(asyncio.CancelledError):
                await call


async def test_nothing_gives_nothing_and_what_is_no_awaitable_is_refused() -> None:
    assert await gather_with_progress([]) == []
    gauge = Gauge()
    with pytest.raises(ConfigurationError, match="takes awaitables"):
        await gather_with_progress([gauge.work(1), "text"])  # type: ignore[list-item]  # what is refused
    with pytest.raises(ConfigurationError, match="limit"):
        await gather_with_progress([gauge.work(1)], limit=0)
    assert gauge.begun == []


def test_a_terminal_shows_a_line_that_counts() -> None:
    code = """
import asyncio
from llm_gateway_nb.processing import gather_with_progress
async def one(n): return n
print(asyncio.run(gather_with_progress([one(n) for n in range(4)], description="Asking")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 1, 2, 3]\n"
    assert "Asking: 100%" in done.stderr
    assert "4/4" in done.stderr


async def test_progress_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    await gather_with_progress([Gauge().work(1)], progress=False)
    assert capsys.readouterr() == ("", "")


CELL = """
import asyncio
from llm_gateway_nb.processing import gather_with_progress

async def one(n):
    if n == 3: raise ValueError(n)
    return n
"""


@pytest.mark.kernel
def test_what_is_saved_of_a_bar_is_how_it_ended_and_no_widget() -> None:
    cells = [
        CELL,
        "print(await gather_with_progress([one(n) for n in range(3)], description='Asking <5>'))",
        "await gather_with_progress([one(n) for n in range(5)], limit=1)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3", allow_errors=True).execute()
    bar, printed = notebook.cells[1].outputs
    assert bar.data["text/plain"] == "Asking <5>: 3 of 3"
    assert "width:100%" in bar.data["text/html"]
    assert "Asking &lt;5&gt;" in bar.data["text/html"]
    assert printed.text == "[0, 1, 2]\n"
    assert notebook.cells[2].outputs[0].data["text/plain"] == "3 of 5, stopped"
    assert "widgets" not in notebook.metadata
