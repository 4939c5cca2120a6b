"""A click reaches the run that holds its cell, and nothing else changes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from support.frontend import Cell, FrontEnd

pytestmark = pytest.mark.kernel

HOLDING = pytest.mark.parametrize("holding", ["await {}", "hold({})"], ids=["await", "hold"])


def questions(page: FrontEnd) -> list[str]:
    """The comm of each question so far, in order."""
    return page.senders_of("question")


def answer_next(page: FrontEnd, seen: int, answer: object = "yes") -> None:
    page.wait(lambda: len(questions(page)) > seen, "question")
    page.send(questions(page)[seen], answer)


def wait_for(page: FrontEnd, *cells: Cell) -> None:
    page.wait(lambda: all(cell.done for cell in cells), "end of all cells")


@HOLDING
def test_clicks_arrive_in_the_running_cell_and_the_cells_behind_run_once_in_order(page: FrontEnd, holding: str) -> None:
    seen = len(questions(page))
    cell = page.submit(f"print({holding.format('ask(3)')})")
    behind = [page.submit(f"LOG.append({number}); print('cell', {number})") for number in range(8)]
    for number in range(3):
        answer_next(page, seen + number, number)
    wait_for(page, cell, *behind)
    assert cell.text == "[0, 1, 2]"
    assert [other.text for other in behind] == [f"cell {number}" for number in range(8)]
    assert page.evaluate("LOG") == str(["cleaned up", *range(8)])


@HOLDING
def test_a_flood_of_messages_and_cells_is_kept_in_order(page: FrontEnd, holding: str) -> None:
    seen = len(questions(page))
    cell = page.submit(f"print({holding.format('ask(200)')} == list(range(200)))")
    page.wait(lambda: len(questions(page)) > seen, "question")
    cells = []
    for number in range(200):
        page.send(questions(page)[seen], number)
        cells.append(page.submit(f"LOG.append({number})"))
    wait_for(page, cell, *cells)
    assert cell.text == "True"
    assert page.evaluate("LOG == ['cleaned up', *range(200)]") == "True"


@HOLDING
def test_two_runs_at_once_each_get_their_own_clicks(page: FrontEnd, holding: str) -> None:
    seen = len(questions(page))
    page.execute("async def both(): return await asyncio.gather(ask(), ask())")
    cell = page.submit(f"print({holding.format('both()')})")
    page.wait(lambda: len(questions(page)) == seen + 2, "both questions")
    first, second = questions(page)[seen:]
    page.send(second, "second")  # answered in reverse order
    page.send(first, "first")
    wait_for(page, cell)
    assert cell.text == "[['first'], ['second']]"


@HOLDING
def test_a_click_whose_announcement_was_taken_away_is_read_all_the_same(page: FrontEnd, holding: str) -> None:
    page.execute("""
import zmq
stream = get_ipython().kernel.shell_stream

def take_the_announcement():  # as a reply does that is sent on the socket in that very instant
    comm.send({'question': 'now'})
    while not stream.socket.EVENTS & zmq.POLLIN:
        pass

async def lose_one():
    global comm
    asking = Asking()
    comm = asking.comm
    with asking.attached():
        stream.io_loop.add_callback(take_the_announcement)
        return await asking.answers.get()
""")
    seen = len(questions(page))
    cell = page.submit(f"print({holding.format('lose_one()')})")
    answer_next(page, seen, "clicked")
    wait_for(page, cell)
    assert cell.text == "clicked"


def test_runs_may_be_held_within_runs(page: FrontEnd) -> None:
    seen = len(questions(page))
    page.execute("""
async def outer(depth):
    return hold(outer(depth - 1)) + await ask() if depth else await ask()
""")
    cell = page.submit("print(hold(outer(2)))")
    behind = page.submit("print(LOG)")
    for number in range(3):
        answer_next(page, seen + number, number)
    wait_for(page, cell, behind)
    assert cell.text == "[0, 1, 2]"
    assert behind.text == str(["cleaned up"] * 3)


@HOLDING
def test_a_click_is_answered_at_once(page: FrontEnd, holding: str, measured: Callable[[str, float], None]) -> None:
    seen = len(questions(page))
    cell = page.submit(f"print({holding.format('ask()')})")
    page.wait(lambda: len(questions(page)) > seen, "question")
    comm = questions(page)[seen]
    times = []
    for number in range(20):
        started = time.perf_counter()
        page.send(comm, {"echo": number})
        page.wait(lambda number=number: {"echo": number} in page.data_from(comm), "echo")
        times.append(time.perf_counter() - started)
    page.send(comm, "done")
    wait_for(page, cell)
    measured("click_seconds", sorted(times)[len(times) // 2])
    assert min(times) < 1, "at once, and not when the cell is over; what slows the others is the machine"


def test_a_run_in_a_subshell_gets_its_clicks(page: FrontEnd, kernel_name: str) -> None:
    if kernel_name == "ipykernel-6.31":
        pytest.skip("ipykernel 6 has no subshells")
    subshell = page.create_subshell()
    for code in ("print(await ask())", "print(hold(ask()))"):
        seen = len(questions(page))
        cell = page.submit(code, subshell_id=subshell)
        answer_next(page, seen)
        wait_for(page, cell)
        assert cell.text == "['yes']"


def test_after_the_run_the_kernel_is_exactly_as_before(page: FrontEnd) -> None:
    seen = len(questions(page))
    page.execute("""
import signal, sys, threading
kernel = get_ipython().kernel
def facts():
    return [id(kernel.shell_stream._recv_callback), sorted(map(str, threading.enumerate())),
            sorted(kernel.comm_manager.comms), sorted(kernel.comm_manager.targets), sorted(kernel.shell_handlers),
            signal.getsignal(signal.SIGINT), sorted(vars(sys.stdout)), sorted(vars(get_ipython().display_pub)),
            type(asyncio.get_running_loop())._run_once, asyncio.Task, len(asyncio.all_tasks())]
""")
    page.execute("before = facts()")
    for code in ("await ask()", "hold(ask())"):
        cell = page.submit(code)
        answer_next(page, seen)
        seen += 1
        wait_for(page, cell)
    assert page.evaluate("[(a, b) for a, b in zip(before, facts()) if a != b]") == "[]"


def test_a_callback_that_the_user_put_in_front_stays_and_may_go_later(page: FrontEnd) -> None:
    seen = len(questions(page))
    page.execute("""
stream = get_ipython().kernel.shell_stream
original = stream._recv_callback
class Wrapper:
    def __call__(self, frames):
        return self.behind(frames)
wrapper = Wrapper()
async def wrapped():
    asking = Asking()
    with asking.attached():
        wrapper.behind = stream._recv_callback
        stream._recv_callback = wrapper
        answers = await ask()
    return answers
""")
    cell = page.submit("print(await wrapped(), stream._recv_callback is wrapper)")
    answer_next(page, seen)
    wait_for(page, cell)
    assert cell.text == "['yes'] True"
    page.execute("stream._recv_callback = wrapper.behind")
    page.execute("pass")  # ours finds itself first again at the next message, and goes
    assert page.evaluate("stream._recv_callback is original") == "True"


def test_a_handler_that_raises_hurts_nobody(page: FrontEnd) -> None:
    seen = len(questions(page))
    cell = page.submit("print(await ask())")
    page.wait(lambda: len(questions(page)) > seen, "question")
    page.send(questions(page)[seen], "raise")
    page.send(questions(page)[seen], "yes")
    wait_for(page, cell)
    assert cell.error is None
    assert "['yes']" in cell.text


def test_a_handler_may_itself_wait_for_the_next_click(page: FrontEnd) -> None:
    seen = len(questions(page))
    page.execute("""
clicks, finished = asyncio.Queue(), asyncio.Event()
def clicked(message):
    data = message["content"]["data"]
    if data == "first":
        LOG.append(hold(clicks.get()))
        finished.set()
    else:
        clicks.put_nowait(data)
async def run():
    asking = Asking()
    asking.comm.on_msg(clicked)
    with asking.attached():
        asking.comm.send({"question": 0})
        await until(finished.wait())
""")
    cell = page.submit("await run(); print(LOG)")
    page.wait(lambda: len(questions(page)) > seen, "question")
    page.send(questions(page)[seen], "first")
    page.send(questions(page)[seen], "second")
    wait_for(page, cell)
    assert cell.text == "['second']"


def test_messages_of_other_comms_wait_for_the_cell_in_their_order(page: FrontEnd) -> None:
    seen, known = len(questions(page)), set(page.comms)
    page.execute("other = Asking(); other.comm.on_msg(lambda message: LOG.append(message['content']['data']))")
    (other,) = set(page.comms) - known
    cell = page.submit("print(hold(ask()))")
    page.wait(lambda: len(questions(page)) > seen, "question")
    for number in range(20):
        page.send(other, number)
    page.send(questions(page)[seen], "yes")
    wait_for(page, cell)
    assert page.evaluate("LOG") == str(["cleaned up", *range(20)])


def test_forged_and_broken_messages_are_left_to_the_kernel(page: FrontEnd) -> None:
    seen = len(questions(page))
    cell = page.submit("print(await ask())")
    page.wait(lambda: len(questions(page)) > seen, "question")
    comm = questions(page)[seen]
    header = b'{"msg_id": "x", "msg_type": "comm_msg", "version": "5.3", "session": "s", "username": "u", "date": ""}'
    page.send_frames(
        [b"<IDS|MSG>", b"forged", header, b"{}", b"{}", b'{"comm_id": "%s", "data": "no"}' % comm.encode()]
    )
    page.send_frames([b"no message at all"])
    page.send_frames([b"<IDS|MSG>", b"too", b"short"])
    page.send(comm, "yes")
    wait_for(page, cell)
    assert cell.text == "['yes']"
