"""One contract, kept by every provider of a service: each against a loopback server that speaks its protocol."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel
from support import anthropic_server, openai_server
from support.openai_server import LoopbackServer, body

from llm_gateway_nb.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderAPIError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
)
from llm_gateway_nb.providers import LLM, create_llm, list_providers
from llm_gateway_nb.providers.services import ANTHROPIC, OPENAI_FAMILY, Service
from llm_gateway_nb.tools import tool
from llm_gateway_nb.types import ToolCallEvent, UserMessage, dump_event

KEY = "a-key-of-the-contract-0123456789"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@dataclass(frozen=True)
class Provider:
    service: Service
    wire: ModuleType

    def serve(self, *replies: Any) -> AbstractAsyncContextManager[LoopbackServer]:
        return self.wire.serve(*replies)

    def llm(self, base_url: str, **options: Any) -> LLM:
        given = {"base_url": base_url, "api_key": KEY, "max_retries": 0, **options}
        return create_llm(self.service.name, "m", **given)


SERVICES = [*OPENAI_FAMILY.values(), ANTHROPIC]


@pytest.fixture(params=SERVICES, ids=lambda service: service.name)
def provider(request: pytest.FixtureRequest) -> Provider:
    service = request.param
    return Provider(service, anthropic_server if service is ANTHROPIC else openai_server)


def test_every_provider_of_a_service_is_under_the_contract() -> None:
    assert set(list_providers()) >= {service.name for service in SERVICES}
    assert {service.name for service in SERVICES} >= {
        *("openai", "anthropic", "ollama", "lmstudio", "openrouter", "vllm", "zen", "openai-compatible")
    }


# -- good days -----------------------------------------------------------------------------------------------------------


async def test_text_comes_delta_by_delta_then_usage_then_the_end(provider: Provider) -> None:
    async with provider.serve(provider.wire.words("Hel", "lo", "!")) as server, provider.llm(server.base_url) as llm:
        events = [event async for event in llm.invoke(messages=[UserMessage(content="hi")])]
    assert [event.type for event in events] == ["harness_start", "text", "text", "text", "usage", "harness_end"]
    assert [event.content for event in events[1:4]] == ["Hel", "lo", "!"]
    assert len({event.run_id for event in events}) == 1


async def test_usage_counts_the_whole_prompt_and_tells_what_the_cache_gave(provider: Provider) -> None:
    async with provider.serve(provider.wire.text("ok")) as server, provider.llm(server.base_url) as llm:
        response = await llm.agenerate("hi")
    assert (response.input_tokens, response.output_tokens, response.total_tokens) == (7, 3, 10)
    assert response.usage is not None
    assert response.usage["cache_read_tokens"] == 4


async def test_streaming_takes_one_await_and_then_an_iteration(provider: Provider) -> None:
    async with provider.serve(provider.wire.words("a", "b")) as server, provider.llm(server.base_url) as llm:
        chunks = [piece async for piece in await llm.agenerate("hi", stream=True)]
    assert [piece.content for piece in chunks] == ["a", "b", ""]
    assert (chunks[-1].total_tokens, chunks[-1].finish_reason) == (10, "stop")


async def test_reasoning_is_told_apart_from_the_answer(provider: Provider) -> None:
    async with provider.serve(provider.wire.thinking(["h", "m"], "ok")) as server, provider.llm(server.base_url) as llm:
        response = await llm.agenerate("hi")
    assert (response.reasoning, response.content) == ("hm", "ok")


async def test_parallel_calls_are_put_together_from_their_pieces(provider: Provider) -> None:
    async with provider.serve(provider.wire.parallel_calls()) as server, provider.llm(server.base_url) as llm:
        response = await llm.agenerate("hi")
    assert [(call.id, call.name, call.arguments) for call in response.tool_calls] == [
        ("x", "add", {"a": 1}),
        ("y", "sub", {"b": 2}),
    ]
    assert (response.content, response.finish_reason) == (None, "tool_calls")


async def test_an_image_and_its_question_reach_the_wire(provider: Provider, tmp_path: Path) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(PNG)
    async with provider.serve(provider.wire.text("a dot")) as server, provider.llm(server.base_url) as llm:
        await llm.agenerate("What is this?", media=[picture])
        (message,) = server.requests[0]["messages"]
    image, text = message["content"]
    assert text == {"type": "text", "text": "What is this?"}
    assert "iVBORw0KGgo" in str(image)
    assert "image/png" in str(image)


async def test_finish_reasons_are_normalized_and_the_services_own_word_is_kept(provider: Provider) -> None:
    for normal, raw in provider.wire.FINISHES.items():
        reply = provider.wire.words("ok", finish=raw)
        async with provider.serve(reply) as server, provider.llm(server.base_url) as llm:
            response = await llm.agenerate("hi")
        assert response.finish_reason == normal
        assert response.metadata.get("raw_finish_reason", normal) == raw


async def test_tools_and_settings_reach_the_wire(provider: Provider) -> None:
    @tool
    def look(where: str) -> str:
        """Look somewhere."""
        return where

    async with provider.serve(provider.wire.text("ok")) as server:
        async with provider.llm(server.base_url, temperature=0, top_p=0.5) as llm:
            await llm.agenerate("hi", tools=[look], max_output_tokens=5, unheard_of=1, top_p=None, tool_choice="look")
        sent = server.requests[0]
    assert (sent["temperature"], sent["unheard_of"], "top_p" in sent) == (0, 1, False)
    assert sent[provider.service.max_tokens_key] == 5
    assert "look" in str(sent["tools"][0])
    assert sent["tool_choice"] != "look"
    assert "look" in str(sent["tool_choice"])


async def test_a_setting_can_not_replace_the_request(provider: Provider) -> None:
    llm = provider.llm("http://127.0.0.1:9")
    with pytest.raises(InvalidRequestError, match="'stream_options' is no setting"):
        await llm.agenerate("hi", stream_options={})


class Answer(BaseModel):
    city: str
    people: int = 0


async def test_an_answer_is_an_instance_and_the_service_sees_to_its_shape(provider: Provider) -> None:
    reply = provider.wire.text('{"city": "Paris", "people": 2}')
    async with provider.serve(reply) as server, provider.llm(server.base_url) as llm:
        answer = await llm.agenerate("Where?", response_model=Answer)
        (sent,) = server.requests
    assert answer == Answer(city="Paris", people=2)
    assert "'additionalProperties': False" in str(sent)
    assert "'required': ['city', 'people']" in str(sent), "a strict schema knows no defaults"


async def test_a_service_that_refuses_the_schema_gets_it_in_words(provider: Provider) -> None:
    refusal = provider.wire.status(400, "response_format is not supported")
    async with provider.serve(refusal, provider.wire.text('{"city": "Paris"}')) as server:
        async with provider.llm(server.base_url) as llm:
            assert await llm.agenerate("Where?", response_model=Answer) == Answer(city="Paris")
        first, second = server.requests
    assert "json_schema" in str(first)
    assert "json_schema" not in str(second)
    assert "JSON Schema" in str(second)


async def test_models_are_listed_sorted(provider: Provider) -> None:
    async with provider.serve(provider.wire.text("ok")) as server, provider.llm(server.base_url) as llm:
        assert await llm.supported_models() == ["a", "b"]


# -- bad days ------------------------------------------------------------------------------------------------------------


async def test_a_rate_limit_is_waited_out_as_long_as_the_service_asks(provider: Provider) -> None:
    limited = provider.wire.status(429, "slow down", **{"Retry-After": "0.01"})
    async with provider.serve(limited, provider.wire.text("ok")) as server:
        async with provider.llm(server.base_url, max_retries=1) as llm:
            assert (await llm.agenerate("hi")).content == "ok"
        assert len(server.requests) == 2


async def test_a_rate_limit_of_an_hour_is_told_at_once(provider: Provider) -> None:
    async with provider.serve(provider.wire.status(429, "come back", **{"Retry-After": "3600"})) as server:
        async with provider.llm(server.base_url, max_retries=5) as llm:
            with pytest.raises(RateLimitError) as caught:
                await llm.agenerate("hi")
    assert (caught.value.retry_after, caught.value.attempts) == (3600.0, 1)


@pytest.mark.parametrize("code", [500, 503, 529])
async def test_a_failure_that_passes_is_tried_again(provider: Provider, code: int) -> None:
    failure = provider.wire.status(code, "busy", **{"Retry-After": "0"})
    async with provider.serve(failure, provider.wire.text("ok")) as server:
        async with provider.llm(server.base_url, max_retries=1) as llm:
            assert (await llm.agenerate("hi")).content == "ok"
        assert len(server.requests) == 2


async def test_the_last_error_says_how_many_attempts_there_were(provider: Provider) -> None:
    async with provider.serve(provider.wire.status(500, "down", **{"Retry-After": "0"})) as server:
        async with provider.llm(server.base_url, max_retries=2) as llm:
            with pytest.raises(ProviderAPIError, match="answered 500: down") as caught:
                await llm.agenerate("hi")
    assert (caught.value.status, caught.value.attempts, caught.value.provider) == (500, 3, provider.service.name)


@pytest.mark.parametrize("how", ["cut_after", "ends_after"])
async def test_a_stream_without_its_end_raises_with_what_there_was(provider: Provider, how: str) -> None:
    async with provider.serve(getattr(provider.wire, how)("half")) as server:
        async with provider.llm(server.base_url, max_retries=3) as llm:
            with pytest.raises(ProviderConnectionError) as caught:
                await llm.agenerate("hi")
        assert len(server.requests) == 1, "nothing is tried again once a delta was seen"
    assert caught.value.partial_text == "half"


async def test_half_a_call_of_a_cut_stream_is_no_call(provider: Provider) -> None:
    async with provider.serve(provider.wire.half_call(cut=True)) as server, provider.llm(server.base_url) as llm:
        events = [event async for event in llm.invoke(messages=[UserMessage(content="hi")])]
    assert not [event for event in events if isinstance(event, ToolCallEvent)]
    assert events[-2].type == "error"


async def test_half_a_call_of_a_whole_answer_is_passed_on_as_it_came(provider: Provider) -> None:
    async with provider.serve(provider.wire.half_call(cut=False)) as server, provider.llm(server.base_url) as llm:
        events = [event async for event in llm.invoke(messages=[UserMessage(content="hi")])]
    assert [event.input for event in events if isinstance(event, ToolCallEvent)] == ['{"a": ']
    assert events[-1].finish_reason == "length"


async def test_what_is_no_answer_is_a_provider_error(provider: Provider) -> None:
    wire = provider.wire
    for reply in (
        wire.broken_line(),
        wire.nothing(),
        body("<html>Welcome</html>", "text/html"),
        body('{"error": "Unexpected endpoint"}', "application/json"),
    ):
        async with provider.serve(reply) as server, provider.llm(server.base_url) as llm:
            with pytest.raises(ProviderAPIError) as caught:
                await llm.agenerate("hi")
        assert caught.value.provider == provider.service.name


async def test_an_error_inside_a_stream_counts_as_its_status(provider: Provider) -> None:
    async with provider.serve(provider.wire.error_inside("Overloaded")) as server, provider.llm(server.base_url) as llm:
        with pytest.raises(ProviderAPIError, match="Overloaded") as caught:
            await llm.agenerate("hi")
    assert caught.value.status in (503, 529)


async def test_a_slow_first_byte_is_waited_for(provider: Provider) -> None:
    began, go = asyncio.Event(), asyncio.Event()
    async with provider.serve(provider.wire.late(began, go, provider.wire.text("ok"))) as server:
        async with provider.llm(server.base_url) as llm:
            call = asyncio.create_task(llm.agenerate("hi"))
            await began.wait()
            go.set()
            assert (await call).content == "ok"


@pytest.mark.parametrize("content", ["", "a"])
async def test_silence_longer_than_the_timeout_is_a_timeout(provider: Provider, content: str) -> None:
    for timeout in (0.3, 3, 20):  # on a busy machine the silence can begin before the first word has come
        began, gone = asyncio.Event(), asyncio.Event()
        async with provider.serve(provider.wire.held_after(content, began, gone)) as server:
            async with provider.llm(server.base_url, timeout=timeout) as llm:
                with pytest.raises(ProviderTimeoutError, match=re.escape(f"{timeout} s")) as caught:
                    await llm.agenerate("hi")
                if began.is_set() and caught.value.partial_text == content:
                    await asyncio.wait_for(gone.wait(), 20)
                    break
    assert caught.value.partial_text == content


async def test_a_call_ends_with_its_total_time_whatever_is_left_to_try(provider: Provider) -> None:
    began, gone = asyncio.Event(), asyncio.Event()
    async with provider.serve(provider.wire.held_after("", began, gone)) as server:
        async with provider.llm(server.base_url, total_timeout=0.2, max_retries=50) as llm:
            with pytest.raises(ProviderTimeoutError, match="total_timeout") as caught:
                await llm.agenerate("hi")
    assert caught.value.attempts == 1


async def test_a_refused_connection_names_the_address_and_what_to_check(provider: Provider) -> None:
    async with provider.llm("http://127.0.0.1:9/v1") as llm:
        with pytest.raises(ProviderConnectionError, match=r"127\.0\.0\.1:9.*Is the server running"):
            await llm.agenerate("hi")


async def test_a_proxy_is_not_asked_for_a_service_on_this_machine(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with provider.serve(provider.wire.text("ok")) as server:
        async with provider.llm(server.base_url) as llm:
            assert (await llm.agenerate("hi")).content == "ok"


async def test_an_unknown_model_is_answered_with_the_closest_ones(provider: Provider) -> None:
    async with provider.serve(provider.wire.status(404, "no such model")) as server:
        async with provider.llm(server.base_url) as llm:
            with pytest.raises(ModelNotFoundError, match=r"Did you mean 'a'\?"):
                await llm.agenerate("hi", model="aa")
            with pytest.raises(ModelNotFoundError, match=r"It has 'a', 'b'\."):
                await llm.agenerate("hi", model="nowhere-near")


async def test_a_key_is_shown_nowhere(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = provider.wire.status(401, f"bad key {KEY}")
    async with provider.serve(refusal, refusal, provider.wire.text("ok")) as server:
        async with provider.llm(server.base_url) as llm:
            with pytest.raises(AuthenticationError, match=provider.service.key_variable) as caught:
                await llm.agenerate("hi")
            events = [event async for event in llm.invoke(messages=[UserMessage(content="hi")])]
            await llm.agenerate("hi")
            shown = [repr(llm), str(llm), repr(vars(llm)["_clients"]), str(caught.value), repr(caught.value)]
        assert KEY in str(server.headers[0])
    assert caught.value.__cause__ is None, "a traceback shows the text of causes"
    assert KEY not in "".join([*shown, *(str(dump_event(event)) for event in events), *map(repr, events), caplog.text])


def test_a_missing_key_is_told_before_anything_is_sent(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = provider.service.key_variable
    monkeypatch.delenv(variable, raising=False)
    if not provider.service.needs_key:
        create_llm(provider.service.name, "m", base_url="http://127.0.0.1:9/v1")
        return
    with pytest.raises(ConfigurationError, match=variable):
        create_llm(provider.service.name, "m")


# -- many at once, and letting go ----------------------------------------------------------------------------------------


async def test_a_cancel_closes_the_connection(provider: Provider) -> None:
    began, gone = asyncio.Event(), asyncio.Event()
    async with provider.serve(provider.wire.held_after("a", began, gone)) as server:
        async with provider.llm(server.base_url) as llm:
            task = asyncio.create_task(llm.agenerate("hi"))
            await began.wait()
            task.cancel()
            await asyncio.wait([task])
            await asyncio.wait_for(gone.wait(), 30)
    assert task.cancelled()


async def test_leaving_a_stream_closes_the_connection(provider: Provider) -> None:
    began, gone = asyncio.Event(), asyncio.Event()
    async with provider.serve(provider.wire.held_after("a", began, gone)) as server:
        async with provider.llm(server.base_url) as llm:
            async for piece in await llm.agenerate("hi", stream=True):
                assert piece.content == "a"
                break
            await asyncio.wait_for(gone.wait(), 30)


async def test_two_hundred_calls_at_once_share_one_client(provider: Provider) -> None:
    async with provider.serve(provider.wire.text("ok")) as server, provider.llm(server.base_url) as llm:
        answers = await asyncio.gather(*(llm.agenerate(str(number)) for number in range(200)))
        asked = {str(request["messages"][0]["content"]) for request in server.requests}
    assert {answer.content for answer in answers} == {"ok"}
    assert len(asked) == 200
