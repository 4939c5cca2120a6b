"""`with_rate_limit`: a true rate, whoever shares it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import openai_server as wire
from support.clock import jump
from support.waiting import settle

from llm_gateway_nb import create_llm
from llm_gateway_nb.errors import ConfigurationError, ProviderTimeoutError, RateLimitError
from llm_gateway_nb.harnesses import RateLimit, create_agent_harness, rate_limit, with_rate_limit, with_retry
from llm_gateway_nb.providers import LLM
from llm_gateway_nb.testing import ScriptedLLM
from llm_gateway_nb.types import UserMessage

BUSY = RateLimitError("busy", status=429)


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: self.now))

    def pass_until_taken(self, limit: RateLimit) -> float:
        while seconds := limit._take():
            self.now += seconds
        return self.now


@given(rate=st.floats(0.1, 1000), pauses=st.lists(st.floats(0, 5), min_size=30, max_size=60))
def test_no_window_ever_holds_more_than_the_burst_and_the_rate(rate: float, pauses: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock, limit = Clock(patch), RateLimit(rate)
        taken = []
        for pause in pauses:
            clock.now += pause / rate
            taken.append(clock.pass_until_taken(limit))
    burst = max(1.0, rate)
    for first, begin in enumerate(taken):
        for count, end in enumerate(taken[first:], 1):
            assert count <= burst + rate * (end - begin) + 1e-6


def test_twenty_calls_at_five_a_second_take_three_seconds_and_the_burst_is_back_after_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    limit = RateLimit(5)
    taken = [clock.pass_until_taken(limit) for _ in range(20)]
    assert taken[:5] == [0.0] * 5
    assert taken[-1] == pytest.approx(3.0, abs=0.05)  # the guide's own sample takes 15 s
    clock.now += 1.0
    assert [clock.pass_until_taken(limit) for _ in range(5)] == [clock.now] * 5


async def test_a_model_stays_a_model_and_its_calls_go_in_order() -> None:
    inner = ScriptedLLM([f"answer {number}" for number in range(8)])
    llm = with_rate_limit(inner, per_second=4)
    assert isinstance(llm, LLM)
    loop = asyncio.get_running_loop()
    began = loop.time()
    answers = await asyncio.gather(*(llm.agenerate(f"call {number}") for number in range(6)))
    assert loop.time() - began >= 0.49, "four at once, then one each quarter of a second"
    assert [answer.content for answer in answers] == [f"answer {number}" for number in range(6)]
    assert [str(request.messages[0].content) for request in inner.requests] == [f"call {n}" for n in range(6)]
    assert "".join([chunk.content or "" async for chunk in await llm.agenerate("x", stream=True)]) == "answer 6"
    assert llm.generate("from another loop").content == "answer 7"


async def test_each_attempt_takes_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = RateLimit(1000)
    turns = 0
    take = limit._take

    def counted() -> float:
        nonlocal turns
        seconds = take()
        turns += not seconds
        return seconds

    monkeypatch.setattr(limit, "_take", counted)
    for wrapped in (
        with_retry(with_rate_limit(ScriptedLLM([BUSY, BUSY, "ok"]), limit), wait=0),
        with_rate_limit(with_retry(ScriptedLLM([BUSY, BUSY, "ok"]), wait=0), limit),
    ):
        turns = 0
        assert (await wrapped.agenerate("hi")).content == "ok"
        assert turns == 3


async def test_copies_and_several_models_share_a_limit() -> None:
    limit = RateLimit(0.001)
    one, other = (with_rate_limit(ScriptedLLM(["ok", "ok"]), limit) for _ in range(2))
    await one.agenerate("takes the only one there is")
    for llm in (one.with_options(temperature=0), other):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(llm.agenerate("hi"), 0.01)


async def test_a_cancelled_call_gives_its_place_to_the_next_one() -> None:
    limit = RateLimit(20)
    for _ in range(20):
        await limit.acquire()
    waiting = [asyncio.create_task(limit.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[1].cancel()
    _, pending = await asyncio.wait(waiting, timeout=30)
    assert not pending
    assert [task.cancelled() for task in waiting] == [True, True, False]


async def test_no_clock_runs_while_a_call_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time()))
    async with wire.serve(wire.text("ok")) as server:
        options = {"base_url": server.base_url, "timeout": 60, "total_timeout": 60}
        async with create_llm("openai-compatible", "m", **options) as plain:
            llm = with_rate_limit(plain, per_second=0.001)
            assert (await llm.agenerate("hi")).content == "ok"
            waiting = asyncio.create_task(llm.agenerate("hi"))
            await settle()
            jump(2000)
            assert (await waiting).content == "ok"


async def test_the_wait_for_a_further_attempt_counts_in_the_total_time() -> None:
    llm = with_retry(with_rate_limit(ScriptedLLM([BUSY, "never"]), per_second=0.001), wait=0)
    with pytest.raises(ProviderTimeoutError, match="total_timeout"):
        await llm.agenerate("hi", total_timeout=0.05)


async def test_a_harness_is_held_by_its_invokes() -> None:
    agent = with_rate_limit(create_agent_harness(ScriptedLLM(["one", "two"])), per_second=0.001)

    async def run() -> list[str]:
        return [event.type async for event in agent.invoke(messages=[UserMessage(content="go")])]

    assert (await run())[-1] == "harness_end"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(), 0.01)


@pytest.mark.parametrize("rate", [0, -1, "5", float("nan"), float("inf"), True])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match="per_second"):
        with_rate_limit(ScriptedLLM(["x"]), per_second=rate)
