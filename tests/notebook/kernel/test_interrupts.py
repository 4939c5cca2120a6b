"""The stop button: a cancel with clean-up, at once, and no trace of it afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from support.frontend import FrontEnd

pytestmark = pytest.mark.kernel


def questions(page: FrontEnd) -> list[str]:
    """The comm of each question so far, in order."""
    return page.senders_of("question")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("await ask()", "CancelledError"),
        ("with counts_sigint(): await ask(heartbeat=3600)", "CancelledError"),
        ("hold(ask())", "KeyboardInterrupt"),
        ("await asyncio.sleep(0); hold(ask())", "KeyboardInterrupt"),
    ],
    ids=["await", "await, counted", "hold", "hold in an async cell"],
)
def test_the_stop_button_cancels_a_waiting_run(
    page: FrontEnd, code: str, error: str, measured: Callable[[str, float], None]
) -> None:
    seen = len(questions(page))
    page.execute("import signal; before = signal.getsignal(signal.SIGINT)")
    cell = page.submit(code)
    page.wait(lambda: len(questions(page)) > seen, "question")
    started = time.perf_counter()
    page.interrupt()
    page.wait(lambda: cell.done, "end of the interrupted cell")
    measured("interrupt_seconds", time.perf_counter() - started)
    assert cell.error == error
    assert page.evaluate("LOG, Bridge.current().attached, signal.getsignal(signal.SIGINT) is before") == (
        "(['cleaned up'], (), True)"
    )
    again = page.submit("print(hold(ask()))")
    page.wait(lambda: len(questions(page)) > seen + 1, "question after the interrupt")
    page.send(questions(page)[-1], "yes")
    page.wait(lambda: again.done, "end of the next run")
    assert again.text == "['yes']"


def test_a_stop_in_the_innermost_of_nested_holds_cleans_all_of_them_up(page: FrontEnd) -> None:
    seen = len(questions(page))
    page.execute("""
async def outer(depth):
    try:
        async with asyncio.TaskGroup() as group:  # the hold is in a task of its own at each depth
            group.create_task(inner(depth))
    finally:
        LOG.append(depth)
async def inner(depth):
    hold(outer(depth - 1)) if depth else await ask()
""")
    cell = page.submit("hold(outer(2))")
    page.wait(lambda: len(questions(page)) > seen, "question")
    page.interrupt()
    page.wait(lambda: cell.done, "end of the interrupted cell")
    assert cell.error == "KeyboardInterrupt"
    assert page.evaluate("LOG, len(asyncio.all_tasks()) < 10") == "(['cleaned up', 0, 1, 2], True)"


def test_a_second_stop_does_not_wait_for_the_clean_up(page: FrontEnd) -> None:
    page.execute("""
from tests.support.in_kernel import Asking
async def stubborn():
    asking = Asking()
    asking.comm.send("waiting")
    try:
        await asyncio.Event().wait()
    finally:
        # From a callback: the second stop raises wherever it finds the kernel, and that must not be in this code.
        asyncio.get_running_loop().call_later(0.02, asking.comm.send, "cleaning")
        await released.wait()
        LOG.append("cleaned up")
released = asyncio.Event()
""")
    cell = page.submit("hold(stubborn())")
    page.wait(lambda: page.comm_messages[-1:] != [] and page.comm_messages[-1][1] == "waiting", "waiting")
    page.interrupt()
    page.wait(lambda: page.comm_messages[-1][1] == "cleaning", "cleaning up")
    page.interrupt()
    page.wait(lambda: cell.done, "end of the cell")
    assert cell.error == "KeyboardInterrupt"
    page.execute("released.set(); await until(asyncio.sleep(0.01))")
    assert page.evaluate("LOG") == "['cleaned up']"  # in the background: nothing was torn out
