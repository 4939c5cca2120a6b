"""`call_in`: from wherever, to where a run lives."""

from __future__ import annotations

import asyncio
import threading

from llm_gateway_nb.notebook.kernel import call_in


async def test_in_the_loop_itself_it_happens_at_once() -> None:
    called: list[int] = []
    call_in(asyncio.get_running_loop(), called.append, 1)
    assert called == [1]


async def test_from_a_thread_it_happens_in_the_thread_of_the_loop() -> None:
    loop, where = asyncio.get_running_loop(), asyncio.Queue[int]()
    await asyncio.to_thread(call_in, loop, lambda: where.put_nowait(threading.get_ident()))
    async with asyncio.timeout(30):
        assert await where.get() == threading.get_ident()


def test_in_a_closed_loop_nothing_happens() -> None:
    loop, called = asyncio.new_event_loop(), []
    loop.close()
    call_in(loop, called.append, 1)
    assert called == []
