"""The log of a stream: what comes out is what went in, from wherever a reader goes on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.server.log import EventLog, EventsGoneError
from llm_gateway_nb.testing.strategies import event_streams
from llm_gateway_nb.types import HarnessEvent, dump_event, parse_event


async def read(log: EventLog, after: int = 0) -> bytes:
    return b"".join([chunk async for chunk in log.read(after, keep_alive_seconds=300)])


def parsed(data: bytes, sizes: list[int]) -> list[httpx2.ServerSentEvent]:
    """As a client reads them, cut into chunks of these sizes, and what is left in one."""

    def chunks() -> Any:
        at = 0
        for size in sizes:
            yield data[at : at + size]
            at += size
        yield data[at:]

    response = httpx2.Response(
        200,
        headers={"content-type": "text/event-stream; charset=utf-8"},
        content=chunks(),
        request=httpx2.Request("GET", "http://x"),
    )
    return list(httpx2.EventSource(response, max_event_size=None))


@given(event_streams(), st.data())
def test_whatever_is_cut_and_wherever_the_events_are_the_same(events: list[HarnessEvent], data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 60), max_size=30))
    cut = data.draw(st.integers(0, len(events)))

    async def frames() -> tuple[bytes, bytes]:
        log = EventLog("s", keep_bytes=2**30)
        for event in events:
            log.append(event.type, dump_event(event))
        log.end({})
        return await read(log), await read(log, cut)

    whole, rest = asyncio.run(frames())
    messages = parsed(whole, sizes)
    assert [message.id for message in messages] == [f"s/{number}" for number in range(1, len(events) + 2)]
    assert messages[cut:] == parsed(rest, sizes)
    assert messages[-1].event == "done"
    for number, (message, event) in enumerate(zip(messages, events, strict=False), 1):
        assert dump_event(parse_event(message.data)) == {**dump_event(event), "seq": number}
        assert json.loads(message.data)["type"] == event.type


async def test_what_nobody_was_handed_is_never_dropped_and_the_writer_waits() -> None:
    log = EventLog("s", keep_bytes=1000)
    for _ in range(100):
        log.append("text", {"content": "x" * 50})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await log.room()
    frames = log.read(0, keep_alive_seconds=300)
    assert (await anext(frames)).count(b"\n\n") == 100
    reading = asyncio.create_task(anext(frames))  # it comes back: so the first chunk is out
    await asyncio.wait_for(log.room(), 30)
    log.end({})
    assert b"done" in await reading
    with pytest.raises(EventsGoneError, match="numbers"):
        log.check(0)
    assert len(log._frames) < 20


async def test_a_run_that_is_to_end_does_not_wait_for_readers() -> None:
    log = EventLog("s", keep_bytes=10)
    log.append("text", {"content": "x" * 50})
    waiting = asyncio.create_task(log.room())
    await asyncio.sleep(0)
    log.let_go()
    await asyncio.wait_for(waiting, 30)


async def test_a_reader_left_behind_by_a_faster_one_is_told() -> None:
    log = EventLog("s", keep_bytes=1000)
    for _ in range(3000):
        log.append("text", {"content": "x" * 50})
    slow = log.read(0, keep_alive_seconds=300)
    await anext(slow)
    log.end({})
    await read(log)
    await log.room()
    with pytest.raises(EventsGoneError):
        await anext(slow)
