"""The contract again, where it can be kept without a script: against llama.cpp's own HTTP server and a random model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from llm_gateway_nb import BasicSession, create_agent_harness, create_llm, tool
from llm_gateway_nb.errors import AuthenticationError, InvalidRequestError, ProviderTimeoutError
from llm_gateway_nb.providers import LLM
from llm_gateway_nb.testing.tiny_model import write_tiny_model
from llm_gateway_nb.types import ErrorEvent, HarnessEndEvent, TextEvent, UsageEvent, UserMessage

xllamacpp = pytest.importorskip("xllamacpp", reason="the extra `local` is not installed", exc_type=ImportError)

KEY = "a-key-of-the-real-server-0123456789"
HI = [UserMessage(content="Hi.")]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    params = xllamacpp.CommonParams()
    params.model.path = str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf"))
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [KEY]
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 2048, 2, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity, params.ui, params.model_alias = 0, False, {"tiny"}
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


@pytest.fixture(params=["openai-compatible", "vllm", "lmstudio", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(provider: str, address: str, **options: Any) -> LLM:
    base_url = address if provider == "anthropic" else f"{address}/v1"
    given: dict[str, Any] = {"api_key": KEY, "max_tokens": 24, **options}
    return create_llm(provider, "tiny", base_url=base_url, **given)


def counts(provider: str, tokens: int) -> list[list[int | None]]:
    """What may be counted: llama.cpp leaves out Anthropic's `message_start`, and with it the prompt's tokens, where the
    model's first token is half a character, as noise often is. Unknown is then None, or no event."""
    return [[tokens], [None], []] if provider == "anthropic" else [[tokens]]


async def test_a_call_streams_and_ends_with_usage_and_a_reason(provider: str, address: str) -> None:
    async with make(provider, address) as llm:
        events = [event async for event in llm.invoke(messages=HI)]
    counted = [event.output_tokens for event in events if isinstance(event, UsageEvent)]
    end = events[-1]
    assert not [event for event in events if isinstance(event, ErrorEvent)]
    assert sum(isinstance(event, TextEvent) for event in events) > 1
    assert counted in counts(provider, 24)
    assert isinstance(end, HarnessEndEvent)
    assert end.finish_reason == "length"


async def test_streaming_synchronous_calls_and_sessions(provider: str, address: str) -> None:
    async with make(provider, address, temperature=0, seed=1) as llm:
        streamed = "".join([chunk.content or "" async for chunk in await llm.agenerate("Hi.", stream=True)])
        assert streamed
        assert llm.generate("Hi.").content
        session = BasicSession(llm)
        await session.agenerate("one")
        await session.agenerate("two")
        assert len(session.conversation_history) == 4


async def test_many_calls_at_once_wait_for_one_another(provider: str, address: str) -> None:
    async with make(provider, address, max_tokens=2) as llm:
        answers = await asyncio.gather(*(llm.agenerate(f"Say {number}.") for number in range(20)))
    assert all([answer.output_tokens] in counts(provider, 2) for answer in answers)


async def test_a_cancel_stops_the_server_and_frees_its_place(provider: str, address: str) -> None:
    async with make(provider, address, max_tokens=900, temperature=1.0) as llm:
        for _ in range(4):  # more than it has places
            async for _chunk in await llm.agenerate("Go on and on.", stream=True):
                break
        began = asyncio.Event()

        async def read() -> None:
            async for _chunk in await llm.agenerate("Go on and on.", stream=True):
                began.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(began.wait(), 60)
        task.cancel()
        await asyncio.wait([task])
        answer = await asyncio.wait_for(llm.agenerate("Hi.", max_tokens=2), 60)
    assert [answer.output_tokens] in counts(provider, 2)


async def test_a_wrong_key_is_told_and_not_shown(provider: str, address: str) -> None:
    async with make(provider, address, api_key="sk-wrong-0123456789abcdef") as llm:
        with pytest.raises(AuthenticationError, match="_API_KEY") as caught:
            await llm.agenerate("Hi.")
    assert caught.value.status == 401
    assert "sk-wrong" not in str(caught.value)


async def test_a_conversation_that_is_too_long_is_a_request_that_is_refused(provider: str, address: str) -> None:
    async with make(provider, address) as llm:
        with pytest.raises(InvalidRequestError, match=re.compile("context|exceed", re.IGNORECASE)):
            await llm.agenerate("word " * 3000)


async def test_silence_is_a_timeout(provider: str, address: str) -> None:
    async with make(provider, address, timeout=0.0005, max_retries=0, max_tokens=900) as llm:
        with pytest.raises(ProviderTimeoutError):
            await llm.agenerate("Go on and on.")


class Sum(BaseModel):
    total: int


@pytest.mark.parametrize("name", ["openai-compatible", "lmstudio"])
async def test_a_schema_holds_even_noise_to_its_shape(name: str, address: str) -> None:
    async with make(name, address, max_tokens=300, temperature=0.7, seed=3) as llm:
        assert isinstance(await llm.agenerate("1 and 1?", response_model=Sum), Sum)


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


async def test_an_agent_with_tools_comes_to_an_end(provider: str, address: str) -> None:
    async with make(provider, address, max_tokens=16) as llm:
        events = [event async for event in create_agent_harness(llm).invoke(messages=HI, tools=[look_up])]
    assert events[-1].type == "harness_end"
    assert not [event for event in events if isinstance(event, ErrorEvent)]


async def test_the_models_that_it_serves_are_listed(address: str) -> None:
    async with make("openai-compatible", address) as llm:
        assert await llm.supported_models() == ["tiny"]
