"""Many streams read as one: order, fairness, and streams that come, go, pause, raise and hang."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.orchestrator import AgentMultiplexer
from llm_gateway_nb.primitives import create_passthrough
from llm_gateway_nb.types import ErrorEvent


async def stream(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


async def never() -> Any:
    await asyncio.get_running_loop().create_future()


async def until(condition: Callable[[], bool]) -> None:
    """Looks at every turn of the loop: what it waits for may not last."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def read(mux: AgentMultiplexer[Any]) -> list[tuple[str, Any]]:
    async with asyncio.timeout(30):
        return [item async for item in mux.events()]


def of(items: list[tuple[str, Any]], agent: str) -> list[Any]:
    return [value for name, value in items if name == agent]


async def test_one_stream_comes_out_as_it_is() -> None:
    mux = AgentMultiplexer[int]()
    mux.register("a", stream(1, 2, 3))
    assert await read(mux) == [("a", 1), ("a", 2), ("a", 3)]


async def test_two_streams_keep_their_order_and_the_reading_ends_after_both() -> None:
    mux = AgentMultiplexer[int]()
    mux.register("a", stream(*range(5)))
    mux.register("b", stream(*range(5)))
    items = await read(mux)
    assert (of(items, "a"), of(items, "b")) == ([*range(5)], [*range(5)])
    assert [name for name, _ in items[:4]] in (["a", "b", "a", "b"], ["b", "a", "b", "a"]), "they take turns"


async def test_with_nobody_there_it_ends_at_once() -> None:
    assert await read(AgentMultiplexer[int]()) == []


async def test_add_gives_an_id_of_version_7() -> None:
    mux = AgentMultiplexer[int]()
    agent_id = mux.add(stream(1))
    assert uuid.UUID(agent_id).version == 7
    assert await read(mux) == [(agent_id, 1)]


async def test_an_id_that_is_taken_is_refused() -> None:
    mux = AgentMultiplexer[int]()
    mux.register("a", stream(1))
    with pytest.raises(ConfigurationError, match="'a' already"):
        mux.register("a", stream(2))
    assert await read(mux) == [("a", 1)]


def test_streams_may_be_registered_where_no_loop_is_running() -> None:
    mux, closed = AgentMultiplexer[int](), []

    class Closes:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> int:
            raise AssertionError("it was unregistered before anybody read")

        async def aclose(self) -> None:
            closed.append(True)

    mux.register("a", stream(1))
    mux.register("b", Closes())
    mux.unregister("b")
    assert asyncio.run(read(mux)) == [("a", 1)]
    assert closed == [True]


async def test_a_paused_stream_keeps_what_it_fetched_and_the_others_go_on() -> None:
    mux = AgentMultiplexer[int]()
    mux.register("a", stream(1, 2, 3))
    mux.register("b", stream(1, 2, 3))
    seen = []
    async for name, value in mux.events():
        seen.append((name, value))
        if len(seen) == 1:
            assert name == "a"
            for _ in range(5):
                await asyncio.sleep(0)
            mux.pause("a")
        if len(seen) == 4:
            assert of(seen, "b") == [1, 2, 3]
            mux.resume("a")
    assert of(seen, "a") == [1, 2, 3]


async def test_a_pause_holds_back_a_value_that_waits_in_line() -> None:
    mux = AgentMultiplexer[int]()
    mux.register("a", stream(1))
    mux.register("b", stream(1, 2))
    events = mux.events()
    await anext(events)
    mux.pause("a")
    mux.pause("b")
    reading = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    assert not reading.done(), "all are paused: it waits, and does not end"
    mux.resume("a")
    mux.resume("b")
    assert len([await reading] + [item async for item in events]) == 2


async def test_a_stream_that_comes_while_the_reader_waits_is_seen_at_once() -> None:
    mux, parent = AgentMultiplexer[str](), create_passthrough()
    mux.register("parent", parent.iterable)
    parent.push("start")
    events = mux.events()
    assert await anext(events) == ("parent", "start")
    reading = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    mux.register("child", stream("done"))
    assert await asyncio.wait_for(reading, 30) == ("child", "done")
    parent.push("end")
    parent.end()
    assert [item async for item in events] == [("parent", "end")]


async def test_what_is_unregistered_before_the_reading_is_not_read() -> None:
    mux = AgentMultiplexer[int]()
    mux.register("a", stream(1))
    mux.register("b", stream(2))
    mux.unregister("a")
    assert await read(mux) == [("b", 2)]


async def test_a_reader_that_unregisters_while_it_handles_an_event_fetches_no_more() -> None:
    fetched = []

    async def counting() -> AsyncIterator[int]:
        for n in range(10):
            fetched.append(n)
            yield n

    mux = AgentMultiplexer[int]()
    mux.register("a", counting())
    async for name, _ in mux.events():
        mux.unregister(name)
    assert fetched == [0]


async def test_at_most_one_value_is_fetched_ahead() -> None:
    fetched = []

    async def counting() -> AsyncIterator[int]:
        for n in range(10):
            fetched.append(n)
            yield n

    mux = AgentMultiplexer[int]()
    mux.register("a", counting())
    for _ in range(20):
        await asyncio.sleep(0)
    assert fetched == [], "nobody reads, so nothing runs that somebody would have to stop"
    async with aclosing(mux.events()) as events:
        await anext(events)
        for _ in range(20):
            await asyncio.sleep(0)
        assert fetched == [0], "the next one is fetched when the reader comes back for more"


@pytest.mark.parametrize("paused", [True, False])
async def test_unregistering_the_last_one_ends_the_reading(paused: bool) -> None:
    mux, begun, closed = AgentMultiplexer[int](), asyncio.Event(), asyncio.Event()

    async def hanging() -> AsyncIterator[int]:
        begun.set()
        try:
            await never()
            yield 1
        finally:
            closed.set()

    mux.register("a", hanging())
    if paused:
        mux.pause("a")
    reading = asyncio.ensure_future(read(mux))
    await until(begun.is_set)
    mux.unregister("a")
    assert await reading == []
    assert closed.is_set(), "its clean-up has run, though it was waiting for something that never comes"


async def test_closed_waits_for_the_clean_up() -> None:
    mux, gone = AgentMultiplexer[int](), False

    async def slow_to_go() -> AsyncIterator[int]:
        nonlocal gone
        try:
            yield 1
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            gone = True

    mux.register("a", slow_to_go())
    mux.register("b", stream(1))
    async for name, _ in mux.events():
        if name == "a":
            mux.unregister("a")
            await mux.closed("a")
            assert gone


async def test_a_stream_that_was_never_read_is_closed_when_it_is_unregistered() -> None:
    closed = asyncio.Event()

    class Closes:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> int:
            raise AssertionError("nobody reads")

        async def aclose(self) -> None:
            closed.set()

    mux = AgentMultiplexer[int]()
    mux.register("a", Closes())
    mux.unregister("a")
    await mux.closed("a")
    assert closed.is_set()


async def test_a_stream_that_raises_says_so_as_its_last_word_and_the_others_go_on() -> None:
    async def failing() -> AsyncIterator[Any]:
        yield 1
        raise OSError("disk on fire")

    mux = AgentMultiplexer[Any]()
    mux.register("a", failing())
    mux.register("b", stream(1, 2, 3))
    items = await read(mux)
    assert of(items, "b") == [1, 2, 3]
    first, error = of(items, "a")
    assert first == 1
    assert isinstance(error, ErrorEvent)
    assert isinstance(error.error, OSError)
    assert len(mux) == 0


async def test_a_stream_that_cancels_itself_is_a_stream_that_raises() -> None:
    async def cancelling() -> AsyncIterator[Any]:
        yield 1
        raise asyncio.CancelledError

    mux = AgentMultiplexer[Any]()
    mux.register("a", cancelling())
    _, error = of(await read(mux), "a")
    assert isinstance(error, ErrorEvent)


async def test_a_quiet_stream_is_not_starved_by_a_chatty_one() -> None:
    mux = AgentMultiplexer[int]()
    mux.register("chatty", stream(*range(1000)))
    mux.register("quiet", stream(*range(10)))
    items = await read(mux)
    assert max(i for i, (name, _) in enumerate(items) if name == "quiet") < 40


async def test_two_readers_at_once_are_refused() -> None:
    mux = AgentMultiplexer[int]()
    mux.register("a", stream(1, 2))
    async with aclosing(mux.events()) as events:
        await anext(events)
        with pytest.raises(ConfigurationError, match="being read already"):
            await anext(mux.events())


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_a_reader_that_leaves_closes_every_stream_and_leaves_no_task(how: str) -> None:
    before, open_streams = asyncio.all_tasks(), set()

    async def working(n: int) -> AsyncIterator[int]:
        open_streams.add(n)
        try:
            while True:
                yield n
                await (never() if n % 2 else asyncio.sleep(0))
        finally:
            await asyncio.sleep(0)
            open_streams.discard(n)

    mux = AgentMultiplexer[int]()
    for n in range(20):
        mux.register(str(n), working(n))

    async def reading() -> None:
        async with aclosing(mux.events()) as events:
            async for _ in events:
                if how == "close" and len(open_streams) == 20:
                    return

    task = asyncio.create_task(reading())
    await until(lambda: len(open_streams) == 20)
    if how == "cancel":
        task.cancel()
    await asyncio.wait([task])
    assert not open_streams
    assert asyncio.all_tasks() == before


async def test_a_thousand_streams_lose_nothing() -> None:
    async def numbers() -> AsyncIterator[int]:
        for n in range(5):
            await asyncio.sleep(0)
            yield n

    mux = AgentMultiplexer[int]()
    ids = [mux.add(numbers()) for _ in range(1000)]
    seen: dict[str, list[int]] = {agent_id: [] for agent_id in ids}
    async for agent_id, value in mux.events():
        seen[agent_id].append(value)
    assert set(map(tuple, seen.values())) == {(0, 1, 2, 3, 4)}


async def test_unknown_ids_are_ignored() -> None:
    mux = AgentMultiplexer[int]()
    mux.pause("x")
    mux.resume("x")
    mux.unregister("x")
    await mux.closed("x")
