"""`openai-compatible` against a real loopback server, good days and bad."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

import pytest
from support.openai_server import USAGE, body, chunk, held, openai_server, status, stream, text

from llm_gateway_nb.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidMessagesError,
    ModelNotFoundError,
    ProviderAPIError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
)
from llm_gateway_nb.providers import LLM, create_llm
from llm_gateway_nb.providers.sdk_errors import Asked, as_gateway_error, tells_secret
from llm_gateway_nb.tools import tool
from llm_gateway_nb.types import (
    AssistantMessage,
    HarnessEndEvent,
    ImageContentPart,
    ToolCall,
    ToolCallEvent,
    ToolMessage,
    UserMessage,
)


def llm_for(server: Any, **options: Any) -> LLM:
    return create_llm("openai-compatible", "m", base_url=server.base_url, **{"max_retries": 0, **options})


async def test_text_arrives_delta_by_delta_then_usage_then_the_end() -> None:
    parts = [chunk({"content": word}) for word in ("Hel", "lo", "!")]
    async with openai_server(stream(*parts, chunk({}, finish="stop"), USAGE)) as server, llm_for(server) as llm:
        events = [event async for event in llm.invoke(messages=[UserMessage(content="hi")])]
    assert [event.type for event in events] == ["harness_start", "text", "text", "text", "usage", "harness_end"]
    assert len({event.run_id for event in events}) == 1
    assert events[-1].finish_reason == "stop"


async def test_agenerate_is_the_fold_of_the_same_events() -> None:
    async with openai_server(text("Hello!")) as server, llm_for(server) as llm:
        response = await llm.agenerate("hi", system_prompt="Be kind.")
        assert server.requests[0]["messages"] == [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "hi"},
        ]
    assert response.content == "Hello!"
    assert response.usage == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10, "cache_read_tokens": 4}
    assert response.finish_reason == "stop"


async def test_streaming_takes_one_await_and_then_an_iteration() -> None:
    async with (
        openai_server(
            stream(chunk({"content": "a"}), chunk({"content": "b"}), chunk({}, finish="stop"), USAGE)
        ) as server,
        llm_for(server) as llm,
    ):
        chunks = [piece async for piece in await llm.agenerate("hi", stream=True)]
    assert [piece.content for piece in chunks] == ["a", "b", ""]
    assert chunks[-1].total_tokens == 10


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
async def test_reasoning_is_found_where_services_put_it(key: str) -> None:
    async with openai_server(stream(chunk({key: "hm"}), chunk({"content": "ok"}), chunk({}, finish="stop"))) as server:
        async with llm_for(server) as llm:
            assert (await llm.agenerate("hi")).reasoning == "hm"


async def test_interleaved_tool_call_deltas_become_whole_calls() -> None:
    def part(index: int | None, **function: str) -> dict[str, Any]:
        call_id = function.pop("id", None)
        return chunk({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})

    deltas = [
        part(0, id="x", name="add", arguments='{"a": '),
        part(1, id="y", name="sub", arguments='{"b"'),
        part(0, arguments="1}"),
        part(1, arguments=": 2}"),
    ]
    async with openai_server(stream(*deltas, chunk({}, finish="tool_calls"))) as server, llm_for(server) as llm:
        response = await llm.agenerate("hi")
    assert [(call.id, call.name, call.arguments) for call in response.tool_calls] == [
        ("x", "add", {"a": 1}),
        ("y", "sub", {"b": 2}),
    ]
    assert response.content is None


async def test_broken_arguments_are_passed_on_as_they_came() -> None:
    delta = chunk({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "add", "arguments": '{"a": '}}]})
    async with openai_server(stream(delta, chunk({}, finish="tool_calls"))) as server, llm_for(server) as llm:
        events = [event async for event in llm.invoke(messages=[UserMessage(content="hi")])]
    assert [event.input for event in events if isinstance(event, ToolCallEvent)] == ['{"a": ']


async def test_history_tools_and_settings_reach_the_wire() -> None:
    @tool
    def look(where: str) -> str:
        """Look somewhere."""
        return where

    history = [
        UserMessage(content="look"),
        AssistantMessage(content=None, tool_calls=[ToolCall(id="1", name="look", arguments={"where": "up"})]),
        ToolMessage(tool_call_id="1", content=[ImageContentPart(media_type="image/png", data="AAAA")]),
    ]
    async with openai_server(text("ok")) as server, llm_for(server, temperature=0) as llm:
        await llm.agenerate(messages=history, tools=[look], max_output_tokens=5, min_p=0.1)
        sent = server.requests[0]
    assert sent["temperature"] == 0
    assert sent["max_tokens"] == 5
    assert sent["min_p"] == 0.1, "what the SDK does not know reaches the service"
    assert sent["tools"][0]["function"]["name"] == "look"
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool", "user"]
    assert sent["messages"][3]["content"][0]["image_url"]["url"] == "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    ("code", "error"),
    [(401, AuthenticationError), (403, AuthenticationError), (404, ModelNotFoundError), (500, ProviderAPIError)],
)
async def test_a_status_becomes_its_exception_without_the_key(code: int, error: type[ProviderAPIError]) -> None:
    async with openai_server(status(code, "bad key sk-secret-1234567890abcdef")) as server:
        async with llm_for(server, api_key="sk-secret-1234567890abcdef") as llm:
            with pytest.raises(error) as caught:
                await llm.agenerate("hi")
            assert server.keys == ["Bearer sk-secret-1234567890abcdef"]
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(llm)
    assert caught.value.status == code
    assert caught.value.model == "m"


async def test_a_rate_limit_is_waited_out_as_long_as_the_service_asks() -> None:
    async with openai_server(status(429, "slow down", **{"Retry-After": "0.01"}), text("ok")) as server:
        async with llm_for(server, max_retries=1) as llm:
            assert (await llm.agenerate("hi")).content == "ok"
    assert len(server.requests) == 2


async def test_after_the_last_attempt_the_error_says_how_many_there_were() -> None:
    async with openai_server(status(429, "slow down", **{"Retry-After": "0"})) as server:
        async with llm_for(server, max_retries=2) as llm:
            with pytest.raises(RateLimitError) as caught:
                await llm.agenerate("hi")
    assert (caught.value.attempts, caught.value.retry_after) == (3, 0.0)


async def test_nothing_is_retried_once_a_delta_was_seen() -> None:
    async with (
        openai_server(stream(chunk({"content": "half"}), cut=True)) as server,
        llm_for(server, max_retries=3) as llm,
    ):
        with pytest.raises(ProviderConnectionError) as caught:
            await llm.agenerate("hi")
    assert len(server.requests) == 1
    assert caught.value.partial_text == "half"


async def test_a_stream_without_its_end_is_an_error_and_no_short_answer() -> None:
    async with openai_server(stream(chunk({"content": "half"}), done=False)) as server, llm_for(server) as llm:
        with pytest.raises(ProviderConnectionError, match="broke off"):
            await llm.agenerate("hi")


@pytest.mark.parametrize(
    "reply",
    [
        body("<html>Welcome</html>", "text/html"),
        stream("data: {nonsense\n\n"),
        stream(),
        stream('data: {"error": {"message": "overloaded"}}\n\n'),
    ],
    ids=["html", "broken JSON", "nothing", "error in the stream"],
)
async def test_what_is_no_answer_is_a_provider_error(reply: Any) -> None:
    async with openai_server(reply) as server, llm_for(server) as llm:
        with pytest.raises(ProviderAPIError):
            await llm.agenerate("hi")


async def test_a_refused_connection_names_the_address_and_what_to_check() -> None:
    llm = create_llm("openai-compatible", "m", base_url="http://127.0.0.1:9/v1", max_retries=0)
    async with llm:
        with pytest.raises(ProviderConnectionError, match=r"127\.0\.0\.1:9.*Is the server running"):
            await llm.agenerate("hi")


async def test_silence_longer_than_the_timeout_is_a_timeout() -> None:
    began, gone = asyncio.Event(), asyncio.Event()
    async with openai_server(held(began, gone)) as server, llm_for(server, timeout=0.3) as llm:
        with pytest.raises(ProviderTimeoutError, match=r"0\.3 s"):
            await llm.agenerate("hi")
        if began.is_set():  # on a busy machine the request may not even have come
            await asyncio.wait_for(gone.wait(), 30)


async def test_closing_the_events_closes_the_connection() -> None:
    began, gone = asyncio.Event(), asyncio.Event()
    async with openai_server(held(began, gone, chunk({"content": "a"}))) as server, llm_for(server) as llm:
        events = llm.invoke(messages=[UserMessage(content="hi")])
        async for event in events:
            if event.type == "text":
                break
        await events.aclose()
        await asyncio.wait_for(gone.wait(), 30)


async def test_a_cancel_closes_the_connection() -> None:
    began, gone = asyncio.Event(), asyncio.Event()
    async with openai_server(held(began, gone)) as server, llm_for(server) as llm:
        task = asyncio.create_task(llm.agenerate("hi"))
        await began.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.wait_for(gone.wait(), 30)


async def test_a_failure_inside_invoke_is_one_error_event_and_then_the_end() -> None:
    async with openai_server(status(401)) as server, llm_for(server) as llm:
        events = [event async for event in llm.invoke(messages=[UserMessage(content="hi")])]
    assert [event.type for event in events] == ["harness_start", "error", "harness_end"]
    assert isinstance(events[-1], HarnessEndEvent)
    assert events[-1].reason == "error"


async def test_many_calls_at_once_share_one_model() -> None:
    async with openai_server(text("ok")) as server, llm_for(server) as llm:
        answers = await asyncio.gather(*(llm.agenerate(str(n)) for n in range(50)))
    assert {answer.content for answer in answers} == {"ok"}


async def test_models_are_listed_sorted() -> None:
    async with openai_server(text("ok")) as server, llm_for(server) as llm:
        assert await llm.supported_models() == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://[::1]:11434", "http://[::1]:11434/v1"),
        ("[::1]", "http://[::1]:11434/v1"),
        ("0.0.0.0", "http://localhost:11434/v1"),
        ("example.org:80", "http://example.org:80/v1"),
        ("https://example.org", "https://example.org/v1"),
        ("http://localhost:99999", None),
        ("http://[::1", None),
    ],
)
def test_ollama_is_found_at_whatever_its_host_is_called(given: str, address: str | None) -> None:
    if address is None:
        with pytest.raises(ConfigurationError, match="no web address"):
            create_llm("ollama", "m", base_url=given)
    else:
        assert create_llm("ollama", "m", base_url=given).base_url == address  # type: ignore[attr-defined]


@pytest.mark.parametrize("provider", ["openai-compatible", "ollama", "anthropic"])
@pytest.mark.parametrize("address", ["http://ann:hunter2@example.org/v1", "ann:hunter2@example.org"])
def test_an_address_with_a_password_in_it_is_refused_and_not_repeated(provider: str, address: str) -> None:
    with pytest.raises(ConfigurationError, match="no name and password") as refused:
        create_llm(provider, "m", base_url=address, api_key="k")
    assert "hunter2" not in str(refused.value)


def test_a_failure_that_is_its_own_cause_is_told_like_any_other() -> None:
    error = OSError("broken pipe")
    error.__cause__ = error
    told = as_gateway_error(error, Asked("p", "http://x", "secret-key", None))
    assert isinstance(told, ProviderConnectionError)
    assert not tells_secret(error, "secret-key")


def test_a_missing_address_is_said_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_COMPATIBLE_BASE_URL", raising=False)
    with pytest.raises(ConfigurationError, match="OPENAI_COMPATIBLE_BASE_URL"):
        create_llm("openai-compatible", "m")
    with pytest.raises(ConfigurationError, match="no web address"):
        create_llm("openai-compatible", "m", base_url="localhost:8000")


def test_an_unknown_provider_is_corrected() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'openai-compatible'"):
        create_llm("openai-compatibel")


async def test_there_has_to_be_something_to_answer() -> None:
    llm = create_llm("openai-compatible", "m", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigurationError, match="nothing to answer"):
        await llm.agenerate()
    with pytest.raises(InvalidMessagesError, match=r"messages\[0\]"):
        await llm.agenerate(messages=[{"role": "user"}])


async def test_images_of_results_come_after_all_results_of_the_turn() -> None:
    image = ImageContentPart(media_type="image/png", data="AAAA")
    history = [
        UserMessage(content="look"),
        AssistantMessage(content=None, tool_calls=[ToolCall(id="1", name="a"), ToolCall(id="2", name="b")]),
        ToolMessage(tool_call_id="1", content=[image]),
        ToolMessage(tool_call_id="2", content="fine"),
        UserMessage(content="Well?"),
    ]
    async with openai_server(text("ok")) as server, llm_for(server) as llm:
        await llm.agenerate(messages=history)
        sent = server.requests[0]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "user", "user"]


async def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    def part(**call: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [call]})

    deltas = [
        part(id="a", function={"name": "f", "arguments": '{"x"'}),
        part(function={"arguments": ": 1}"}),
        part(id="b", function={"name": "g", "arguments": {"y": 2}}),
    ]
    async with openai_server(stream(*deltas, chunk({}, finish="stop"))) as server, llm_for(server) as llm:
        response = await llm.agenerate("hi")
    assert [(call.id, call.name, call.arguments) for call in response.tool_calls] == [
        ("a", "f", {"x": 1}),
        ("b", "g", {"y": 2}),
    ]
    assert response.finish_reason == "tool_calls"


async def test_a_refusal_is_text_and_a_filtered_finish() -> None:
    async with openai_server(stream(chunk({"refusal": "I won't."}), chunk({}, finish="stop"))) as server:
        async with llm_for(server) as llm:
            response = await llm.agenerate("hi")
    assert (response.content, response.finish_reason) == ("I won't.", "content_filter")


async def test_a_missing_sdk_is_one_sentence_with_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for sdk in ("openai", "anthropic"):
        module = f"llm_gateway_nb.providers.{sdk}"
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setitem(sys.modules, sdk, None)
        with pytest.raises(ConfigurationError, match=rf"pip install 'llm-gateway-nb\[{sdk}\]'"):
            importlib.import_module(module)
