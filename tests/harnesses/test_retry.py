"""`with_retry` around models and around any harness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import tenacity
from support import openai_server as wire

from llm_gateway_nb import create_llm
from llm_gateway_nb.errors import (
    AuthenticationError,
    ConfigurationError,
    ProviderAPIError,
    ProviderConnectionError,
    RateLimitError,
)
from llm_gateway_nb.harnesses import create_agent_harness, with_rate_limit, with_retry
from llm_gateway_nb.providers import LLM
from llm_gateway_nb.testing import ScriptedLLM, Turn
from llm_gateway_nb.types import (
    ErrorEvent,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    TextEvent,
    UserMessage,
    new_id,
)

GO = [UserMessage(content="go")]
BUSY = RateLimitError("busy", status=429)


def model(*turns: Any) -> ScriptedLLM:
    return ScriptedLLM(turns)


async def events_of(harness: Any) -> list[HarnessEvent]:
    return [event async for event in harness.invoke(messages=GO)]


# -- a model -------------------------------------------------------------------------------------------------------------


async def test_a_model_is_tried_again_until_it_answers_and_stays_a_model() -> None:
    llm = with_retry(model(BUSY, BUSY, "here"), attempts=3, wait=0)
    assert isinstance(llm, LLM)
    assert (await llm.agenerate("hi")).content == "here"


async def test_the_last_failure_says_how_many_attempts_there_were() -> None:
    inner = model(BUSY, BUSY, "too late")
    with pytest.raises(RateLimitError) as caught:
        await with_retry(inner, attempts=2, wait=0).agenerate("hi")
    assert (caught.value.attempts, len(inner.requests)) == (2, 2)


async def test_it_takes_the_place_of_the_models_own_retries() -> None:
    down = wire.status(500, "down", **{"Retry-After": "0"})
    async with wire.serve(down) as server:
        options = {"base_url": server.base_url, "max_retries": 5}
        async with create_llm("openai-compatible", "m", **options) as llm:
            with pytest.raises(ProviderAPIError) as caught:
                await with_retry(with_retry(llm, attempts=9), attempts=2, wait=0).agenerate("hi")
        assert (len(server.requests), caught.value.attempts) == (2, 2)


async def test_streaming_and_the_synchronous_twin_are_tried_again_too() -> None:
    llm = with_retry(model(BUSY, "one two", BUSY, "three"), wait=0)
    assert [chunk.content async for chunk in await llm.agenerate("hi", stream=True)] == ["one ", "two", ""]
    assert llm.generate("hi").content == "three"


async def test_nothing_is_tried_again_once_a_delta_was_seen() -> None:
    inner = model(Turn(text="half of it", error=ProviderConnectionError("cut")), "again")
    with pytest.raises(ProviderConnectionError) as caught:
        await with_retry(inner, wait=0).agenerate("hi")
    assert (caught.value.partial_text, len(inner.requests)) == ("half of it", 1)


async def test_what_will_not_pass_is_not_tried_again() -> None:
    inner = model(AuthenticationError("no", status=401), "yes")
    with pytest.raises(AuthenticationError):
        await with_retry(inner, wait=0).agenerate("hi")
    assert len(inner.requests) == 1


async def test_a_strategy_of_tenacity_says_how_long_to_wait_and_the_service_at_least_how_long() -> None:
    asked: list[int] = []

    def wait(state: tenacity.RetryCallState) -> float:
        asked.append(state.attempt_number)
        return 0.0

    polite = RateLimitError("slow down", status=429, retry_after=0.05)
    llm = with_retry(model(BUSY, polite, "here"), attempts=3, wait=wait)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await llm.agenerate("hi")
    assert asked == [1, 2]
    assert loop.time() - began >= 0.05


@pytest.mark.parametrize("attempts", [0, -1, 1.5])
def test_attempts_that_are_no_number_of_attempts_are_refused(attempts: Any) -> None:
    with pytest.raises(ConfigurationError, match="attempts"):
        with_retry(model("x"), attempts=attempts)


# -- any harness ---------------------------------------------------------------------------------------------------------


class Flaky:
    """A harness that fails so often before it says something, or after."""

    def __init__(self, failures: int, *, said_first: bool = False, raises: bool = False) -> None:
        self.failures, self.said_first, self.raises = failures, said_first, raises
        self.invoked = self.closed = 0

    async def supported_models(self) -> list[str]:
        return ["flaky"]

    async def invoke(self, params: GeneratorInvokeParams) -> AsyncGenerator[HarnessEvent, None]:
        self.invoked += 1
        run_id = new_id()
        try:
            yield HarnessStartEvent(run_id=run_id)
            if self.said_first:
                yield TextEvent(run_id=run_id, id="t", content="so ")
            if self.invoked <= self.failures:
                if self.raises:
                    raise BUSY
                yield ErrorEvent(run_id=run_id, error=BUSY)
                yield HarnessEndEvent(run_id=run_id, reason="error")
                return
            yield TextEvent(run_id=run_id, id="t", content="it is")
            yield HarnessEndEvent(run_id=run_id, reason="final")
        finally:
            self.closed += 1


@pytest.mark.parametrize("raises", [False, True])
async def test_a_harness_is_invoked_anew_and_a_failed_attempt_leaves_no_trace(raises: bool) -> None:
    inner = Flaky(2, raises=raises)
    events = await events_of(with_retry(inner, attempts=3, wait=0))
    assert [event.type for event in events] == ["harness_start", "text", "harness_end"]
    assert len({event.run_id for event in events}) == 1
    assert (inner.invoked, inner.closed) == (3, 3)


async def test_the_last_failed_attempt_is_told_as_it_came() -> None:
    events = await events_of(with_retry(Flaky(9), attempts=2, wait=0))
    assert [event.type for event in events] == ["harness_start", "error", "harness_end"]
    with pytest.raises(RateLimitError):
        await events_of(with_retry(Flaky(9, raises=True), attempts=2, wait=0))


async def test_a_harness_that_said_something_is_not_invoked_anew() -> None:
    inner = Flaky(1, said_first=True)
    events = await events_of(with_retry(inner, wait=0))
    assert [event.type for event in events] == ["harness_start", "text", "error", "harness_end"]
    assert inner.invoked == 1


async def test_closing_the_wrapper_closes_the_harness() -> None:
    inner = Flaky(0)
    events = with_retry(inner).invoke(messages=GO)
    await anext(events)
    await events.aclose()
    assert inner.closed == 1


async def test_a_cancel_between_two_attempts_ends_it() -> None:
    inner = Flaky(9)
    waits = asyncio.Event()
    harness = with_retry(inner, attempts=9, wait=lambda _state: waits.set() or 3600.0)
    task = asyncio.create_task(events_of(harness))
    await waits.wait()
    task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), inner.invoked, inner.closed) == (True, 1, 1)


async def test_an_agent_takes_a_wrapped_model_and_can_be_wrapped_itself() -> None:
    agent = create_agent_harness(with_rate_limit(with_retry(model(BUSY, "done"), wait=0), per_second=1000))
    events = await events_of(with_retry(agent, wait=0))
    assert "".join(event.content for event in events if isinstance(event, TextEvent)) == "done"
    assert await with_retry(agent).supported_models() == ["scripted"]
