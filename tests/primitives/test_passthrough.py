"""`Passthrough`: pushed into from anywhere, read by `async for`, closed from either end."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import aclosing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.waiting import settle

from llm_gateway_nb.errors import StreamClosedError
from llm_gateway_nb.primitives import Passthrough, create_passthrough


async def collect(stream: Passthrough[int]) -> list[int]:
    return [value async for value in stream.iterable]


async def test_values_pushed_before_and_while_reading_come_in_order_until_the_end() -> None:
    stream: Passthrough[str] = create_passthrough()
    stream.push("a")
    seen: list[str] = []

    async def read() -> None:
        async for value in stream.iterable:
            seen.append(value)

    reading = asyncio.create_task(read())
    await settle()
    assert seen == ["a"]
    stream.push("b")
    stream.push("c")
    stream.end()
    await reading
    assert seen == ["a", "b", "c"]


async def test_a_stream_ended_at_once_yields_nothing() -> None:
    stream = Passthrough[int]()
    stream.end()
    assert await collect(stream) == []
    assert await collect(stream) == []


async def test_the_end_wakes_a_reader_that_waits() -> None:
    stream = Passthrough[int]()
    reading = asyncio.create_task(collect(stream))
    await settle()
    stream.end()
    assert await asyncio.wait_for(reading, 30) == []


async def test_ending_twice_ends_once() -> None:
    stream = Passthrough[int]()
    assert stream.end()
    assert not stream.end()
    assert not stream.fail(ValueError("late"))
    assert await collect(stream) == []


@pytest.mark.parametrize("maxsize", [None, 2])
async def test_nothing_can_be_put_in_after_the_end(maxsize: int | None) -> None:
    stream = Passthrough[int](maxsize)
    stream.push(1)
    stream.end()
    with pytest.raises(StreamClosedError, match="end"):
        stream.push(2)
    with pytest.raises(StreamClosedError, match="end"):
        await stream.send(2)
    assert await collect(stream) == [1]


async def test_a_failure_comes_after_the_values_and_to_every_reader() -> None:
    stream = Passthrough[int]()
    error = LookupError("gone")
    waiting = [asyncio.create_task(collect(stream)) for _ in range(3)]
    await settle()
    stream.fail(error)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(outcome is error for outcome in outcomes)
    with pytest.raises(LookupError):
        await collect(stream)

    other = Passthrough[int]()
    other.push(1)
    other.fail(error)
    reader = aiter(other.iterable)
    assert await anext(reader) == 1
    with pytest.raises(LookupError, match="gone"):
        await anext(reader)
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


@pytest.mark.parametrize("error", ["a text", ValueError, StopAsyncIteration()])
def test_what_no_reader_could_raise_is_refused_at_once(error: object) -> None:
    with pytest.raises(TypeError):
        Passthrough[int]().fail(error)  # type: ignore[arg-type]  # the point of the test


async def test_two_readers_share_the_values_and_none_hangs_at_the_end() -> None:
    stream = Passthrough[int]()
    readers = [asyncio.create_task(collect(stream)) for _ in range(2)]
    await settle()
    for value in range(20):
        stream.push(value)
        await asyncio.sleep(0)
    stream.end()
    first, second = await asyncio.wait_for(asyncio.gather(*readers), 30)
    assert sorted(first + second) == list(range(20))
    assert (first, second) == (sorted(first), sorted(second))
    assert first
    assert second


async def test_two_tasks_may_wait_on_one_reader() -> None:
    stream = Passthrough[int]()
    reader = aiter(stream.iterable)
    tasks = [asyncio.ensure_future(anext(reader)) for _ in range(3)]
    await settle()
    stream.push(1)
    stream.push(2)
    stream.end()
    assert await asyncio.gather(*tasks[:2]) == [1, 2]
    with pytest.raises(StopAsyncIteration):
        await tasks[2]


async def test_a_reader_cancelled_in_the_turn_of_the_push_loses_no_value() -> None:
    stream = Passthrough[int]()
    reading = asyncio.create_task(collect(stream))
    await settle()
    stream.push(1)
    reading.cancel()
    stream.push(2)
    stream.end()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert await collect(stream) == [1, 2]


async def test_a_reader_cancelled_in_the_turn_of_the_end_leaves_the_end_to_the_others() -> None:
    stream = Passthrough[int]()
    first, second = (asyncio.create_task(collect(stream)) for _ in range(2))
    await settle()
    stream.end()
    first.cancel()
    assert await asyncio.wait_for(second, 30) == []


async def test_a_reader_that_closes_tells_the_producer() -> None:
    stream = Passthrough[int]()
    stream.push(1)
    stream.push(2)
    assert not stream.closed_by_reader
    async with aclosing(aiter(stream.iterable)) as reader:
        assert await anext(reader) == 1
        assert not stream.closed_by_reader
    assert stream.closed_by_reader
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_a_break_out_of_the_loop_tells_the_producer() -> None:
    stream = Passthrough[int]()
    stream.push(1)
    async for _ in stream.iterable:
        break
    assert stream.closed_by_reader


async def test_a_reader_that_saw_the_end_has_not_left_early() -> None:
    stream = Passthrough[int]()
    stream.end()
    async with aclosing(aiter(stream.iterable)) as reader:
        assert [value async for value in reader] == []
    assert not stream.closed_by_reader


async def test_what_one_reader_leaves_the_next_one_gets() -> None:
    stream = Passthrough[int]()
    for value in (1, 2, 3):
        stream.push(value)
    async for _ in stream.iterable:
        break
    stream.push(4)
    stream.end()
    assert await collect(stream) == [2, 3, 4]


async def test_one_of_two_readers_may_leave_while_the_other_waits() -> None:
    stream = Passthrough[int]()
    leaving, staying = aiter(stream.iterable), aiter(stream.iterable)
    task = asyncio.ensure_future(anext(staying))
    await settle()
    await leaving.aclose()
    assert not stream.closed_by_reader
    stream.push(1)
    assert await asyncio.wait_for(task, 30) == 1
    await staying.aclose()
    assert stream.closed_by_reader


async def test_closing_a_reader_ends_the_wait_of_a_task_on_it_and_no_other() -> None:
    stream = Passthrough[int]()
    closing, staying = aiter(stream.iterable), aiter(stream.iterable)
    ended, served = asyncio.ensure_future(anext(closing)), asyncio.ensure_future(anext(staying))
    await settle()
    await closing.aclose()
    await closing.aclose()
    stream.push(1)
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(ended, 30)
    assert await asyncio.wait_for(served, 30) == 1


async def test_a_reader_closed_in_the_turn_of_the_push_still_delivers_that_value() -> None:
    stream = Passthrough[int]()
    reader = aiter(stream.iterable)
    task = asyncio.ensure_future(anext(reader))
    await settle()
    stream.push(1)
    await reader.aclose()
    assert await task == 1


async def test_a_reader_closed_before_its_task_began_takes_nothing() -> None:
    stream = Passthrough[int]()
    stream.push(1)
    reader = aiter(stream.iterable)
    pending = asyncio.ensure_future(anext(reader))
    await reader.aclose()
    with pytest.raises(StopAsyncIteration):
        await pending
    assert repr(stream) == "Passthrough(state='open', length=1)"


async def test_the_reprs_have_no_address() -> None:
    stream = Passthrough[int]()
    stream.push(1)
    reader = aiter(stream.iterable)
    assert repr(stream) == "Passthrough(state='open', length=1)"
    assert repr(stream.iterable) == "Passthrough(state='open', length=1).iterable"
    assert repr(reader) == "PassthroughReader(closed=False)"
    stream.end()
    assert repr(stream) == "Passthrough(state='ended', length=1)"
    failed = Passthrough[int](maxsize=3)
    failed.fail(ValueError("no"))
    assert repr(failed) == "Passthrough(state='failed', length=0)"


# A bound


def test_maxsize_zero_is_no_bound_and_a_negative_one_is_refused() -> None:
    assert (create_passthrough(0).maxsize, create_passthrough().maxsize, create_passthrough(3).maxsize) == (
        None,
        None,
        3,
    )
    with pytest.raises(ValueError, match="-1"):
        create_passthrough(maxsize=-1)


async def test_send_waits_for_room_until_a_reader_takes_one() -> None:
    stream = Passthrough[int](maxsize=2)
    await stream.send(1)
    await stream.send(2)
    sending = asyncio.create_task(stream.send(3))
    await settle()
    assert not sending.done()
    reader = aiter(stream.iterable)
    assert await anext(reader) == 1
    await asyncio.wait_for(sending, 30)
    assert [await anext(reader), await anext(reader)] == [2, 3]


async def test_senders_get_room_in_the_order_they_asked() -> None:
    stream = Passthrough[int](maxsize=1)
    sending = [asyncio.create_task(stream.send(value)) for value in range(5)]
    reader = aiter(stream.iterable)
    assert [await anext(reader) for _ in range(5)] == [0, 1, 2, 3, 4]
    await asyncio.gather(*sending)


async def test_a_push_into_a_full_stream_is_refused_and_puts_nothing_in() -> None:
    stream = Passthrough[int](maxsize=1)
    stream.push(1)
    with pytest.raises(asyncio.QueueFull, match="send"):
        stream.push(2)
    stream.end()
    assert await collect(stream) == [1]


async def test_a_push_does_not_take_the_room_of_a_send_that_waits() -> None:
    stream = Passthrough[int](maxsize=1)
    stream.push(1)
    sending = asyncio.create_task(stream.send(2))
    await settle()
    reader = aiter(stream.iterable)
    assert await anext(reader) == 1
    with pytest.raises(asyncio.QueueFull):
        stream.push(3)
    await sending
    assert await anext(reader) == 2


async def test_a_cancelled_send_has_put_nothing_in_and_leaves_its_room_to_the_next() -> None:
    stream = Passthrough[int](maxsize=1)
    await stream.send(1)
    first, second = (asyncio.create_task(stream.send(value)) for value in (2, 3))
    await settle()
    reader = aiter(stream.iterable)
    assert await anext(reader) == 1
    first.cancel()  # room was promised to it in this turn
    assert await asyncio.wait_for(anext(reader), 30) == 3
    await second
    assert first.cancelled()


@pytest.mark.parametrize("close", ["end", "fail", "aclose", "break"])
async def test_senders_that_wait_are_told_when_either_end_closes(close: str) -> None:
    stream = Passthrough[int](maxsize=1)
    await stream.send(1)
    sending = [asyncio.create_task(stream.send(value)) for value in (2, 3, 4)]
    await settle()
    if close == "end":
        stream.end()
    elif close == "fail":
        stream.fail(LookupError("gone"))
    elif close == "aclose":
        await aiter(stream.iterable).aclose()
    else:
        sending.pop(0)  # the reader takes the first value, which makes room for it
        async for _ in stream.iterable:
            break
    outcomes = await asyncio.wait_for(asyncio.gather(*sending, return_exceptions=True), 30)
    assert [type(outcome) for outcome in outcomes] == [StreamClosedError] * len(sending)


async def test_a_sender_that_comes_after_the_last_reader_left_is_told() -> None:
    for maxsize in (None, 3):
        stream = Passthrough[int](maxsize)
        await aiter(stream.iterable).aclose()
        with pytest.raises(StreamClosedError, match="reader"):
            await stream.send(1)


async def test_the_bound_holds_for_push_after_the_last_reader_left() -> None:
    stream = Passthrough[int](maxsize=2)
    await aiter(stream.iterable).aclose()
    stream.push(1)
    stream.push(2)
    with pytest.raises(asyncio.QueueFull):
        stream.push(3)
    stream.end()
    assert await collect(stream) == [1, 2]


# Threads


def test_it_may_be_made_and_filled_without_a_loop() -> None:
    stream = Passthrough[int](maxsize=3)
    stream.push(1)
    stream.push(2)
    stream.end()
    assert asyncio.run(collect(stream)) == [1, 2]


def test_threads_that_push_and_loops_that_read_lose_and_double_nothing() -> None:
    stream = Passthrough[tuple[int, int]]()
    producers, each = 3, 1500
    taken: list[list[tuple[int, int]]] = [[], [], []]

    def produce(producer: int) -> None:
        for number in range(each):
            stream.push((producer, number))

    async def read(mine: list[tuple[int, int]]) -> None:
        async for value in stream.iterable:
            mine.append(value)

    reading = [threading.Thread(target=asyncio.run, args=(read(mine),)) for mine in taken]
    producing = [threading.Thread(target=produce, args=(producer,)) for producer in range(producers)]
    for thread in reading + producing:
        thread.start()
    for thread in producing:
        thread.join(60)
    stream.end()
    for thread in reading:
        thread.join(60)
    assert not any(thread.is_alive() for thread in reading)
    assert Counter(value for mine in taken for value in mine) == Counter(
        (producer, number) for producer in range(producers) for number in range(each)
    )


def test_a_push_that_races_with_the_end_is_either_delivered_or_refused() -> None:
    for _ in range(100):
        stream = Passthrough[int]()
        accepted: list[int] = []
        ready = threading.Barrier(2)

        def produce(
            stream: Passthrough[int] = stream, accepted: list[int] = accepted, ready: threading.Barrier = ready
        ) -> None:
            ready.wait(60)
            try:
                for value in range(10_000):
                    stream.push(value)
                    accepted.append(value)
            except StreamClosedError:
                return

        thread = threading.Thread(target=produce)
        thread.start()
        ready.wait(60)
        stream.end()
        thread.join(60)
        assert asyncio.run(asyncio.wait_for(collect(stream), 30)) == accepted


def test_senders_and_readers_in_different_threads_keep_the_order() -> None:
    stream = Passthrough[int](maxsize=4)

    async def send_all() -> None:
        for value in range(1000):
            await stream.send(value)
        stream.end()

    thread = threading.Thread(target=asyncio.run, args=(send_all(),))
    thread.start()
    assert asyncio.run(asyncio.wait_for(collect(stream), 60)) == list(range(1000))
    thread.join(60)


steps = st.lists(
    st.one_of(
        st.just(("send", 0)),
        st.just(("push", 0)),
        st.just(("read", 0)),
        st.just(("turn", 0)),
        st.tuples(st.sampled_from(["cancel_reader", "cancel_sender"]), st.integers(0, 7)),
    ),
    max_size=40,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.sampled_from([None, 1, 2]))
def test_no_schedule_of_sends_reads_and_cancels_loses_doubles_or_reorders_a_value(
    schedule: list[tuple[str, int]], maxsize: int | None
) -> None:
    async def run() -> None:
        stream = Passthrough[int](maxsize)
        reader = aiter(stream.iterable)
        put: list[int] = []
        taken: list[int] = []
        senders: list[asyncio.Task[None]] = []
        readers: list[asyncio.Task[None]] = []

        async def send(value: int) -> None:
            await stream.send(value)
            put.append(value)

        async def read() -> None:
            taken.append(await anext(reader))

        for number, (step, index) in enumerate(schedule):
            if step == "send":
                senders.append(asyncio.create_task(send(number)))
            elif step == "push":
                try:
                    stream.push(number)
                    put.append(number)
                except asyncio.QueueFull:
                    pass
            elif step == "read":
                readers.append(asyncio.create_task(read()))
            elif step == "turn":
                await asyncio.sleep(0)
            else:
                tasks = [task for task in (readers if step == "cancel_reader" else senders) if not task.done()]
                if tasks:
                    tasks[index % len(tasks)].cancel()
        await settle()
        for task in readers:
            task.cancel()
        await settle()
        while any(not task.done() for task in senders) or len(taken) < len(put):
            await asyncio.wait_for(read(), 30)
        stream.end()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(reader), 30)
        assert taken == put
        if stream._room is not None:
            assert stream._room.length == (maxsize or 0) + 1  # every place, and the news of the end

    asyncio.run(asyncio.wait_for(run(), 30))
