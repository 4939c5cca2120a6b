"""`Deferred`: settled once, awaited by anyone."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading

import pytest
from support.waiting import settle

from llm_gateway_nb.primitives import Deferred, deferred


async def test_everyone_who_waits_gets_the_value() -> None:
    answer: Deferred[str] = deferred()
    tasks = [asyncio.ensure_future(answer.promise) for _ in range(3)]
    await settle()
    assert answer.resolve("done")
    assert await asyncio.gather(*tasks) == ["done"] * 3


async def test_one_who_comes_after_settling_gets_the_value_too_and_again() -> None:
    answer: Deferred[None] = deferred()
    answer.resolve(None)
    assert await answer.promise is None
    assert await answer.promise is None


async def test_waiters_resume_in_the_order_they_began_to_wait() -> None:
    answer: Deferred[int] = deferred()
    resumed: list[int] = []

    async def wait(number: int) -> None:
        await answer.promise
        resumed.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(wait(number))
        await settle()
        answer.resolve(0)
    assert resumed == [0, 1, 2, 3, 4]


async def test_a_rejection_is_raised_in_every_waiter() -> None:
    answer: Deferred[int] = deferred()
    waiting = asyncio.ensure_future(answer.promise)
    await settle()
    assert answer.reject(LookupError("gone"))
    with pytest.raises(LookupError, match="gone"):
        await waiting
    with pytest.raises(LookupError, match="gone"):
        await answer.promise


async def test_the_traceback_of_a_rejection_does_not_grow_with_each_waiter() -> None:
    answer: Deferred[int] = deferred()
    answer.reject(ValueError("no"))

    async def depth() -> int:
        frames = 0
        try:
            await answer.promise
        except ValueError as error:
            traceback = error.__traceback__
            while traceback is not None:
                frames, traceback = frames + 1, traceback.tb_next
        return frames

    assert len({await depth() for _ in range(3)}) == 1


def test_the_first_to_settle_wins_and_is_told_so() -> None:
    answer: Deferred[int] = deferred()
    assert answer.resolve(1)
    assert not answer.resolve(2)
    assert not answer.reject(ValueError("late"))
    assert answer.state == "resolved"
    assert asyncio.run(asyncio.wait_for(answer.promise, 30)) == 1


def test_the_state_and_the_repr_tell_what_has_happened() -> None:
    pending, resolved, rejected = Deferred[int](), Deferred[int](), Deferred[int]()
    resolved.resolve(1)
    rejected.reject(ValueError("no"))
    assert [each.state for each in (pending, resolved, rejected)] == ["pending", "resolved", "rejected"]
    assert repr(pending) == "Deferred(state='pending')"
    assert repr(rejected) == "Deferred(state='rejected')"
    assert repr(resolved.promise) == "Promise(state='resolved')"


async def test_a_cancelled_waiter_cancels_only_itself() -> None:
    answer: Deferred[int] = deferred()
    first, second = asyncio.ensure_future(answer.promise), asyncio.ensure_future(answer.promise)
    await settle()
    first.cancel()
    await settle()
    assert first.cancelled()
    assert answer.state == "pending"
    answer.resolve(7)
    assert await second == 7


async def test_a_waiter_cancelled_in_the_turn_of_the_settling_leaves_the_others_their_value() -> None:
    answer: Deferred[int] = deferred()
    first, second = asyncio.ensure_future(answer.promise), asyncio.ensure_future(answer.promise)
    await settle()
    answer.resolve(7)
    first.cancel()
    assert await second == 7
    assert first.cancelled()


async def test_a_promise_can_be_given_to_every_asyncio_function_that_waits() -> None:
    answer: Deferred[int] = deferred()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(answer.promise, 0.001)
    together = asyncio.gather(answer.promise, answer.promise)
    first = asyncio.ensure_future(asyncio.wait([asyncio.ensure_future(answer.promise)]))
    await settle()
    answer.resolve(3)
    assert await together == [3, 3]
    done, _ = await first
    assert [task.result() for task in done] == [3]
    assert await asyncio.wait_for(answer.promise, 30) == 3
    assert await asyncio.shield(answer.promise) == 3


def test_it_may_be_made_without_a_loop_and_awaited_in_several() -> None:
    answer: Deferred[int] = deferred()
    results: list[int] = []
    waiting = threading.Barrier(4)

    async def wait() -> None:
        task = asyncio.ensure_future(answer.promise)
        await asyncio.sleep(0)
        await asyncio.to_thread(waiting.wait, 10)
        results.append(await asyncio.wait_for(task, 30))

    threads = [threading.Thread(target=asyncio.run, args=(wait(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting.wait(60)
    answer.resolve(5)
    for thread in threads:
        thread.join(60)
    assert results == [5, 5, 5]


def test_of_many_threads_that_settle_exactly_one_wins() -> None:
    for _ in range(50):
        answer: Deferred[int] = deferred()
        ready = threading.Barrier(4)
        wins: list[int] = []

        def settle_it(number: int, answer: Deferred[int] = answer, ready: threading.Barrier = ready) -> None:
            ready.wait(60)
            if answer.resolve(number):
                wins.append(number)  # noqa: B023  the threads are joined before the next round

        threads = [threading.Thread(target=settle_it, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [asyncio.run(asyncio.wait_for(answer.promise, 30))] == wins


def test_a_waiter_whose_loop_was_closed_does_not_hinder_the_settling() -> None:
    answer: Deferred[int] = deferred()
    forgotten = asyncio.new_event_loop()
    coroutine = answer.promise.__await__()

    async def begin() -> None:
        coroutine.send(None)

    forgotten.run_until_complete(begin())
    forgotten.close()
    assert answer.resolve(1)
    coroutine.close()
    assert asyncio.run(asyncio.wait_for(answer.promise, 30)) == 1


def test_a_rejection_that_nobody_awaits_makes_no_noise_at_exit() -> None:
    code = (
        "import asyncio, gc\n"
        "from llm_gateway_nb.primitives import deferred\n"
        "async def main():\n"
        "    answer = deferred()\n"
        "    answer.reject(ValueError('nobody cares'))\n"
        "    del answer\n"
        "    gc.collect()\n"
        "asyncio.run(main(), debug=True)\n"
        "kept = deferred()\n"
        "kept.reject(ValueError('nobody cares'))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


async def test_an_awaited_rejection_leaves_no_reference_cycle() -> None:
    class Payload(Exception):
        pass

    gc.collect()
    gc.disable()
    try:
        answer: Deferred[int] = deferred()
        answer.reject(Payload())
        with pytest.raises(Payload):
            await answer.promise
        del answer
        assert not [each for each in gc.get_objects() if type(each) is Payload]
    finally:
        gc.enable()


@pytest.mark.parametrize("error", ["a text", ValueError, StopIteration(), StopAsyncIteration()])
def test_what_no_coroutine_could_raise_is_refused_at_once(error: object) -> None:
    answer: Deferred[int] = deferred()
    with pytest.raises(TypeError):
        answer.reject(error)  # type: ignore[arg-type]  # the point of the test
    assert answer.state == "pending"
