"""A running loop can be driven from inside, and its own turn notices nothing."""

from __future__ import annotations

import asyncio
import socket
from asyncio import tasks
from collections.abc import Callable, Coroutine
from contextlib import closing
from contextvars import copy_context
from typing import Any, TypeVar

import pytest

from llm_gateway_nb.notebook.kernel import obstacle, run_reentrant

T = TypeVar("T")


def drive(coro: Coroutine[Any, Any, T]) -> T:
    """What `hold` does, without its signals."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(coro)
    run_reentrant(loop, task)
    return task.result()


async def after(seconds: float, value: T) -> T:
    await asyncio.sleep(seconds)
    return value


async def test_the_result_and_the_current_task_are_right() -> None:
    async def inner() -> str:
        current = asyncio.current_task()
        assert current is not None
        await asyncio.sleep(0.001)
        assert asyncio.current_task() is current
        return current.get_name()

    outer = asyncio.current_task()
    assert drive(inner()).startswith("Task-")
    assert asyncio.current_task() is outer


async def test_nested_four_deep_with_timeouts_groups_and_threads() -> None:
    async def level(depth: int) -> list[int]:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            aside = group.create_task(asyncio.to_thread(int, depth))
            below = drive(level(depth - 1)) if depth else []
        return [aside.result(), *below]

    assert drive(level(3)) == [3, 2, 1, 0]


async def test_a_timeout_around_and_inside_fires() -> None:
    async def inner() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        drive(inner())


async def test_other_tasks_go_on_in_order_and_once() -> None:
    seen: list[int] = []

    async def other(number: int) -> None:
        seen.append(number)
        await asyncio.sleep(0)
        seen.append(number)

    others = [asyncio.create_task(other(number)) for number in range(50)]
    asyncio.get_running_loop().call_soon(seen.append, -1)
    drive(after(0.001, None))
    await asyncio.gather(*others)
    assert seen == [*range(50), -1, *range(50)]


async def test_handles_taken_from_the_outer_turn_do_not_upset_it() -> None:
    loop, seen = asyncio.get_running_loop(), []
    done, held = asyncio.Event(), asyncio.Event()

    def hold_here() -> None:
        drive(after(0.001, None))  # takes the nineteen that this very turn has counted
        seen.append("held")
        held.set()

    loop.call_soon(hold_here)
    for number in range(19):
        loop.call_soon(seen.append, number)
    loop.call_soon(done.set)
    await done.wait()
    await held.wait()
    assert seen == [*range(19), "held"]


async def test_a_handle_of_an_entered_context_is_put_off_and_not_lost() -> None:
    loop, seen, shared = asyncio.get_running_loop(), [], copy_context()
    finished = asyncio.Event()

    def cell(number: int) -> None:
        seen.append(("begin", number))
        if number == 0:
            drive(after(0.005, None))
        seen.append(("end", number))
        if number == 2:
            finished.set()

    for number in range(3):
        loop.call_soon(cell, number, context=shared)
    await finished.wait()
    assert seen == [(what, number) for number in range(3) for what in ("begin", "end")]


async def test_a_reader_that_cannot_run_now_neither_spins_nor_is_lost() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    read: asyncio.Future[bytes] = loop.create_future()
    turns = 0

    async def counting() -> None:
        nonlocal turns
        while turns < 5:
            await asyncio.sleep(0.01)
            turns += 1

    def reader() -> None:
        if not read.done():
            theirs.send(b"x")  # readable all the time, while its Context is entered: by us
            drive(counting())
            read.set_result(ours.recv(16))

    with closing(ours), closing(theirs):
        theirs.send(b"x")
        loop.add_reader(ours, reader)
        assert await read == b"xx"
        loop.remove_reader(ours)


async def test_a_cancel_of_the_calling_task_reaches_what_is_driven() -> None:
    cleaned = []

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    async def outer() -> None:
        drive(inner())

    task = asyncio.create_task(outer())
    asyncio.get_running_loop().call_later(0.01, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


@pytest.mark.parametrize("task_class", [asyncio.Task, tasks._PyTask], ids=["C", "Python"])  # type: ignore[attr-defined]
@pytest.mark.parametrize("inner_class", [asyncio.Task, tasks._PyTask], ids=["C", "Python"])  # type: ignore[attr-defined]
async def test_tasks_in_c_and_in_python_may_be_mixed(
    task_class: Callable[..., asyncio.Task[int]], inner_class: Callable[..., asyncio.Task[int]]
) -> None:
    loop = asyncio.get_running_loop()

    async def outer() -> int:
        task = inner_class(after(0.001, 5), loop=loop)
        run_reentrant(loop, task)
        await asyncio.sleep(0)
        return task.result()

    assert await task_class(outer(), loop=loop) == 5


async def test_an_interrupt_in_a_callback_leaves_the_loop_intact() -> None:
    loop, seen = asyncio.get_running_loop(), []

    def interrupt() -> None:
        raise KeyboardInterrupt

    loop.call_soon(interrupt)
    loop.call_soon(seen.append, "behind")
    forever = loop.create_future()
    with pytest.raises(KeyboardInterrupt):
        run_reentrant(loop, forever)
    await asyncio.sleep(0)
    assert seen == ["behind"]
    assert drive(after(0.001, "again")) == "again"


async def test_works_in_debug_mode_and_with_many_cancelled_timers() -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    for timer in [loop.call_later(60, print) for _ in range(500)]:
        timer.cancel()
    assert drive(after(0.001, "done")) == "done"
    await asyncio.sleep(0)
    loop.set_debug(False)


async def test_an_ordinary_loop_has_no_obstacle() -> None:
    assert obstacle(asyncio.get_running_loop()) is None


def test_loops_of_others_have_one() -> None:
    class Foreign(asyncio.SelectorEventLoop):
        def run_forever(self) -> None:  # as the loops of GUI toolkits do
            raise NotImplementedError

    with closing(Foreign()) as loop:
        assert "is driven by" in (obstacle(loop) or "")

    class NoSelector(asyncio.AbstractEventLoop):
        pass

    assert "is not a selector loop" in (obstacle(NoSelector()) or "")


def test_a_missing_private_part_is_named() -> None:
    class Later(asyncio.SelectorEventLoop):
        @property
        def _process_events(self) -> None:  # type: ignore[override]
            raise AttributeError

    with closing(Later()) as loop:
        assert "_process_events" in (obstacle(loop) or "")
