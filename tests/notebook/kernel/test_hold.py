"""`hold` waits wherever synchronous code runs; `until` waits in a coroutine."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.notebook.kernel import Bridge, counts_sigint, hold, in_kernel, until, way_to_hold

VARIABLE = ContextVar("VARIABLE", default="unset")


async def double(number: int) -> int:
    await asyncio.sleep(0.001)
    return number * 2


def interrupt_from_a_thread() -> None:
    threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()


def test_in_a_script_it_has_a_loop_of_its_own() -> None:
    assert way_to_hold().name == "own loop"
    assert hold(double(4)) == 8


def test_the_context_of_the_caller_is_seen() -> None:
    async def read() -> str:
        return VARIABLE.get()

    token = VARIABLE.set("set")
    assert hold(read()) == "set"
    VARIABLE.reset(token)


def test_the_current_event_loop_of_the_thread_stays() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        assert hold(double(4)) == 8
        assert asyncio.get_event_loop_policy().get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def test_in_a_running_loop_it_is_driven_from_inside() -> None:
    patched = vars(type(asyncio.get_running_loop())).get("_nest_patched")
    assert way_to_hold().name == "reentrant"
    assert hold(double(4)) == 8
    assert vars(type(asyncio.get_running_loop())).get("_nest_patched") == patched


async def test_in_a_worker_thread_of_a_running_loop_it_has_its_own() -> None:
    assert await asyncio.to_thread(way_to_hold) == ("own loop", "no event loop runs in this thread")
    assert await asyncio.to_thread(hold, double(4)) == 8


def test_in_many_threads_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: hold(double(number)), range(20))) == [2 * number for number in range(20)]


async def test_an_error_is_raised_to_the_caller() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        hold(fail())


async def test_where_nothing_works_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Foreign:
        pass

    monkeypatch.setattr(asyncio, "get_running_loop", Foreign)
    with pytest.raises(ConfigurationError, match=r"Foreign is not a selector loop of asyncio.*use `await`"):
        hold(double(4))


async def test_an_interrupt_cancels_waits_for_the_clean_up_and_raises() -> None:
    before, cleaned = signal.getsignal(signal.SIGINT), []

    async def work() -> None:
        try:
            interrupt_from_a_thread()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        hold(work())
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGINT) is before


async def test_a_second_interrupt_raises_at_once_and_leaves_the_clean_up_its_time() -> None:
    before, cleaned = signal.getsignal(signal.SIGINT), asyncio.Event()
    release = asyncio.Event()

    async def work() -> None:
        try:
            interrupt_from_a_thread()
            await asyncio.Event().wait()
        finally:
            # From a callback, so that it is not this code that it interrupts.
            asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            await release.wait()
            cleaned.set()

    with pytest.raises(KeyboardInterrupt):
        hold(work())
    assert not cleaned.is_set()
    assert signal.getsignal(signal.SIGINT) is before
    release.set()
    await cleaned.wait()


@pytest.mark.parametrize("times", [1, 2])
def test_interrupting_a_script(times: int) -> None:
    code = """
import asyncio, os, signal, threading
from llm_gateway_nb.notebook.kernel import hold
async def work():
    try:
        threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
        await asyncio.sleep(60)
    finally:
        print("cleaned up", flush=True)
        if TIMES == 2:
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
            await asyncio.sleep(60)
try:
    hold(work())
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    code = code.replace("TIMES", str(times))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "cleaned up\ninterrupted True\n"


async def test_until_gives_the_result_or_the_error() -> None:
    assert await until(double(4)) == 8
    future = asyncio.get_running_loop().create_future()
    future.set_exception(LookupError("here"))
    with pytest.raises(LookupError, match="here"):
        await until(future)


async def test_until_keeps_the_loop_turning_while_nothing_happens() -> None:
    loop = asyncio.get_running_loop()
    never = loop.create_future()
    task = asyncio.create_task(until(never, heartbeat=0.02))

    def stop() -> None:
        # As ipykernel does it: from a signal handler, with nothing that would wake the selector.
        loop.call_soon(task.cancel)

    before = signal.signal(signal.SIGUSR1, lambda *_: stop())
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert never.cancelled()


async def test_until_waits_for_the_clean_up_of_a_cancelled_task() -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(True)

    waiting = asyncio.create_task(until(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cleaned == [True]


async def test_until_gives_way_to_a_second_cancel() -> None:
    release = asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()
        return "never"

    inner = asyncio.create_task(work())
    waiting = asyncio.create_task(until(inner, heartbeat=0.01))
    await asyncio.sleep(0)
    waiting.cancel()
    while not inner.cancelling():  # nothing tells of it
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not inner.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await inner


def test_counters_of_interrupts_may_end_in_any_order() -> None:
    before = signal.getsignal(signal.SIGINT)
    handled: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: handled.append(number))
    first, second = counts_sigint(), counts_sigint()
    try:
        bottom = signal.getsignal(signal.SIGINT)
        one, two = first.__enter__(), second.__enter__()
        signal.raise_signal(signal.SIGINT)
        first.__exit__(None, None, None)
        signal.raise_signal(signal.SIGINT)
        second.__exit__(None, None, None)
        assert signal.getsignal(signal.SIGINT) is bottom
        assert (one.count >= 1, two.count, len(handled)) == (True, 2, 2)
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_a_kernel_there_is_no_bridge() -> None:
    assert Bridge.current() is None
    assert not in_kernel()
