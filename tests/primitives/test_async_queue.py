"""`AsyncQueue`: order, waiting in line, and cancels that lose nothing."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter, deque

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.waiting import settle

from llm_gateway_nb.primitives import AsyncQueue


async def waiters(queue: AsyncQueue[int], count: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(queue.pop()) for _ in range(count)]
    await settle()
    return tasks


async def test_values_come_out_in_the_order_they_went_in() -> None:
    queue = AsyncQueue[int]()
    for value in range(100):
        queue.push(value)
    assert [await queue.pop() for _ in range(100)] == list(range(100))


async def test_interleaved_pushes_and_pops_keep_the_order() -> None:
    queue = AsyncQueue[str]()
    queue.push("a")
    popped = [await queue.pop()]
    queue.push("b")
    queue.push("c")
    popped.append(await queue.pop())
    queue.push("d")
    popped += [await queue.pop(), await queue.pop()]
    assert popped == ["a", "b", "c", "d"]


async def test_waiters_are_served_in_the_order_they_called() -> None:
    queue = AsyncQueue[int]()
    tasks = await waiters(queue, 3)
    finished: list[int] = []
    for number, task in enumerate(tasks):
        task.add_done_callback(lambda _, number=number: finished.append(number))
    for value in (1, 2, 3):
        queue.push(value)
    assert await asyncio.gather(*tasks) == [1, 2, 3]
    assert finished == [0, 1, 2]


async def test_length_counts_what_nobody_waits_for() -> None:
    queue = AsyncQueue[int]()
    for value in range(5):
        queue.push(value)
    assert (queue.length, len(queue), repr(queue)) == (5, 5, "AsyncQueue(length=5)")
    for _ in range(5):
        await queue.pop()
    assert queue.length == 0


async def test_a_hand_off_leaves_length_zero_at_once() -> None:
    queue = AsyncQueue[int]()
    (task,) = await waiters(queue, 1)
    assert queue.length == 0
    queue.push(1)
    assert queue.length == 0
    assert await task == 1
    assert queue.length == 0


async def test_none_is_a_value() -> None:
    queue = AsyncQueue[None]()
    queue.push(None)
    assert queue.length == 1
    assert await queue.pop() is None


async def test_a_pop_that_finds_a_value_does_not_yield_to_the_loop() -> None:
    queue = AsyncQueue[int]()
    queue.push(1)
    with pytest.raises(StopIteration) as returned:
        queue.pop().send(None)
    assert returned.value.value == 1


async def test_one_who_comes_after_the_hand_off_does_not_get_the_waiters_value() -> None:
    queue = AsyncQueue[int]()
    (task,) = await waiters(queue, 1)
    queue.push(1)
    queue.push(2)
    assert await queue.pop() == 2
    assert await task == 1


async def test_a_waiter_that_was_cancelled_gets_no_value() -> None:
    queue = AsyncQueue[int]()
    first, second = await waiters(queue, 2)
    first.cancel()
    await settle()
    queue.push(1)
    assert await second == 1


async def test_a_value_goes_past_a_waiter_whose_cancel_is_under_way() -> None:
    queue = AsyncQueue[int]()
    first, second = await waiters(queue, 2)
    first.cancel()
    queue.push(1)
    assert await second == 1
    assert first.cancelled()


async def test_a_cancel_in_the_turn_of_the_hand_off_leaves_the_value_to_the_next_pop() -> None:
    queue = AsyncQueue[int]()
    (task,) = await waiters(queue, 1)
    queue.push(1)
    task.cancel()
    queue.push(2)
    await settle()
    assert task.cancelled()
    assert queue.length == 2
    assert [await queue.pop(), await queue.pop()] == [1, 2]


async def test_a_cancel_in_the_turn_of_the_hand_off_keeps_values_and_waiters_in_order() -> None:
    queue = AsyncQueue[int]()
    first, *others = await waiters(queue, 3)
    for value in (1, 2, 3):
        queue.push(value)
    first.cancel()
    assert await asyncio.gather(*others) == [1, 2]
    assert queue.length == 1
    assert await queue.pop() == 3


async def test_all_waiters_cancelled_in_the_turn_of_the_hand_off_leave_every_value_in_order() -> None:
    queue = AsyncQueue[int]()
    tasks = await waiters(queue, 3)
    for value in range(4):
        queue.push(value)
    for task in reversed(tasks):
        task.cancel()
    await settle()
    assert [await queue.pop() for _ in range(4)] == [0, 1, 2, 3]


async def test_a_timeout_in_the_turn_of_the_hand_off_loses_no_value() -> None:
    queue = AsyncQueue[int]()
    taken: list[int] = []
    for value in range(200):
        asyncio.get_running_loop().call_later(0.0005, queue.push, value)  # as the limit below strikes, or about
        try:
            taken.append(await asyncio.wait_for(queue.pop(), 0.0005))
        except TimeoutError:
            taken.append(await queue.pop())
    assert taken == list(range(200))


async def test_a_task_around_wait_for_that_is_cancelled_after_the_hand_off_loses_no_value() -> None:
    queue = AsyncQueue[int]()
    task = asyncio.create_task(asyncio.wait_for(queue.pop(), 60))
    await settle()
    queue.push(1)
    task.cancel()
    await asyncio.wait([task])
    # Python 3.11 lets the value win over the cancel, later ones the cancel.
    assert (await queue.pop() if task.cancelled() else task.result()) == 1
    assert queue.length == 0


async def test_a_pop_that_nobody_ever_resumes_leaves_its_value_to_the_next() -> None:
    queue = AsyncQueue[int]()
    forgotten = queue.pop()
    forgotten.send(None)
    queue.push(1)
    forgotten.close()
    assert await queue.pop() == 1


async def test_the_garbage_collector_may_end_a_pop_and_no_value_is_lost() -> None:
    queue = AsyncQueue[int]()
    forgotten = queue.pop()
    forgotten.send(None)
    queue.push(1)
    del forgotten
    gc.collect()
    assert await queue.pop() == 1


def test_it_may_be_made_and_filled_without_a_loop() -> None:
    queue = AsyncQueue[int]()
    queue.push(1)
    assert asyncio.run(queue.pop()) == 1


async def test_a_push_from_another_thread_wakes_the_waiter() -> None:
    queue = AsyncQueue[int]()
    (task,) = await waiters(queue, 1)
    await asyncio.to_thread(queue.push, 1)
    assert await asyncio.wait_for(task, 30) == 1


async def test_a_push_from_here_does_not_overtake_one_from_another_thread() -> None:
    queue = AsyncQueue[int]()
    first, second = await waiters(queue, 2)
    thread = threading.Thread(target=queue.push, args=(1,))
    thread.start()
    thread.join(60)  # the loop has not run since: the wake of the first waiter is still under way
    queue.push(2)
    assert await asyncio.gather(first, second) == [1, 2]


async def test_a_waiter_called_from_another_thread_may_still_be_cancelled() -> None:
    queue = AsyncQueue[int]()
    first, second = await waiters(queue, 2)
    thread = threading.Thread(target=queue.push, args=(1,))
    thread.start()
    thread.join(60)
    first.cancel()
    assert await second == 1
    assert first.cancelled()


def start_waiting_on(loop: asyncio.AbstractEventLoop, queue: AsyncQueue[int]) -> asyncio.Task[int]:
    """A task of another loop that stands in line; the loop does not run any more after this."""
    task = loop.create_task(queue.pop())
    loop.run_until_complete(settle())
    return task


def abandon(loop: asyncio.AbstractEventLoop, task: asyncio.Task[int]) -> None:
    """Close a loop under a task that waits, as a crash would. The task stays in memory and is never resumed."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # the loop's complaint is no part of the test
    loop.close()


def test_a_loop_that_was_closed_before_the_push_eats_no_value() -> None:
    queue = AsyncQueue[int]()
    other = asyncio.new_event_loop()
    task = start_waiting_on(other, queue)
    abandon(other, task)
    queue.push(1)
    assert queue.length == 1
    assert asyncio.run(asyncio.wait_for(queue.pop(), 30)) == 1


def test_a_loop_that_is_closed_after_the_push_eats_no_value() -> None:
    queue = AsyncQueue[int]()
    other = asyncio.new_event_loop()
    task = start_waiting_on(other, queue)
    queue.push(1)
    abandon(other, task)
    assert asyncio.run(asyncio.wait_for(queue.pop(), 30)) == 1
    assert not task.done()


def test_a_loop_that_stands_still_holds_up_no_other() -> None:
    queue = AsyncQueue[int]()
    still = asyncio.new_event_loop()
    task = start_waiting_on(still, queue)
    queue.push(1)
    queue.push(2)
    assert asyncio.run(asyncio.wait_for(queue.pop(), 30)) == 1
    assert still.run_until_complete(asyncio.wait_for(task, 30)) == 2
    still.close()


def test_threads_that_push_and_loops_that_pop_lose_and_double_nothing() -> None:
    queue = AsyncQueue[tuple[int, int]]()
    producers, consumers, each = 3, 3, 2000
    stop = (-1, -1)
    taken: list[list[tuple[int, int]]] = [[] for _ in range(consumers)]

    def produce(producer: int) -> None:
        for number in range(each):
            queue.push((producer, number))

    async def consume(mine: list[tuple[int, int]]) -> None:
        while (value := await queue.pop()) != stop:
            mine.append(value)

    consuming = [threading.Thread(target=asyncio.run, args=(consume(mine),)) for mine in taken]
    producing = [threading.Thread(target=produce, args=(producer,)) for producer in range(producers)]
    for thread in consuming + producing:
        thread.start()
    for thread in producing:
        thread.join(60)
    for _ in range(consumers):
        queue.push(stop)
    for thread in consuming:
        thread.join(60)
    assert not any(thread.is_alive() for thread in consuming)
    assert Counter(value for mine in taken for value in mine) == Counter(
        (producer, number) for producer in range(producers) for number in range(each)
    )
    for mine in taken:  # whatever one consumer sees of one producer, it sees in order
        for producer in range(producers):
            numbers = [number for origin, number in mine if origin == producer]
            assert numbers == sorted(numbers)


def test_cancels_under_pushes_from_threads_lose_nothing() -> None:
    queue = AsyncQueue[int]()
    count = 3000

    async def consume() -> list[int]:
        taken: list[int] = []
        producer = threading.Thread(target=lambda: [queue.push(value) for value in range(count)])
        producer.start()
        turn = 0
        while len(taken) < count:
            task = asyncio.create_task(queue.pop())
            await asyncio.sleep(0)
            turn += 1
            if turn % 2:
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                taken.append(task.result())
        producer.join(60)
        return taken

    assert asyncio.run(asyncio.wait_for(consume(), 60)) == list(range(count))


steps = st.lists(
    st.one_of(
        st.just(("push", 0)),
        st.just(("thread_push", 0)),
        st.just(("pop", 0)),
        st.just(("turn", 0)),
        st.tuples(st.just("cancel"), st.integers(0, 7)),
    ),
    max_size=40,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_no_schedule_of_pushes_pops_and_cancels_loses_doubles_or_reorders_a_value(
    schedule: list[tuple[str, int]],
) -> None:
    async def run() -> None:
        queue = AsyncQueue[int]()
        pushed = 0
        tasks: list[asyncio.Task[None]] = []
        waiting: deque[asyncio.Task[None]] = deque()
        taken: list[int] = []
        served: list[int] = []

        async def take(number: int) -> None:
            taken.append(await queue.pop())
            served.append(number)

        for step, index in schedule:
            if step == "push":
                queue.push(pushed)
                pushed += 1
            elif step == "thread_push":
                thread = threading.Thread(target=queue.push, args=(pushed,))
                thread.start()
                thread.join(60)
                pushed += 1
            elif step == "pop":
                tasks.append(asyncio.create_task(take(len(tasks))))
            elif step == "turn":
                await asyncio.sleep(0)
            elif waiting := deque(task for task in tasks if not task.done()):
                waiting[index % len(waiting)].cancel()
        await settle()
        left = sum(not task.done() for task in tasks)
        assert left == 0 or len(taken) == pushed  # nobody waits while a value lies there
        assert queue.length == pushed - len(taken)
        while len(taken) < pushed:
            taken.append(await asyncio.wait_for(queue.pop(), 30))
        assert taken == list(range(pushed))
        assert served == sorted(served)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (queue.length, len(queue._line), len(queue._called)) == (0, 0, 0)

    asyncio.run(asyncio.wait_for(run(), 30))
