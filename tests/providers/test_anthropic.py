"""What is Anthropic's alone; the rest is in `test_contract.py`."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from support.anthropic_server import (
    block,
    call_block,
    end,
    parallel_calls,
    serve,
    sse,
    start,
    status,
    stream,
    text,
    text_block,
    thinking_block,
)
from support.openai_server import LoopbackServer

from llm_gateway_nb.errors import ConfigurationError, InvalidRequestError, ProviderAPIError
from llm_gateway_nb.providers import LLM, create_llm
from llm_gateway_nb.types import (
    AssistantMessage,
    DocumentContentPart,
    ImageContentPart,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)

THINK = {"type": "enabled", "budget_tokens": 1024}


def llm_for(server: LoopbackServer, **options: Any) -> LLM:
    return create_llm("anthropic", "m", base_url=server.base_url, api_key="k", **{"max_retries": 0, **options})


async def test_system_messages_have_a_field_of_their_own_and_roles_alternate() -> None:
    history: list[Message] = [
        SystemMessage(content="Be kind."),
        UserMessage(content="One."),
        UserMessage(content="Two."),
        AssistantMessage(
            content="", tool_calls=[ToolCall(id="a:1", name="f", arguments={"x": 1}), ToolCall(id="b", name="g")]
        ),
        ToolMessage(tool_call_id="a:1", content="found"),
        ToolMessage(tool_call_id="b", content=[ImageContentPart(media_type="image/png", data="AAAA")]),
        UserMessage(content="And?"),
        SystemMessage(content="Be brief."),
    ]
    async with serve(text("ok")) as server, llm_for(server) as llm:
        await llm.agenerate(messages=history)
        sent = server.requests[0]
    assert sent["system"] == "Be kind.\n\nBe brief."
    assert sent["max_tokens"] == 8192
    said, called, results = sent["messages"]
    assert said["content"] == [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    assert called["content"] == [
        {"type": "tool_use", "id": "a_1", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}},
    ]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    assert results["content"] == [
        {"type": "tool_result", "tool_use_id": "a_1", "content": "found"},
        {"type": "tool_result", "tool_use_id": "b", "content": [image]},
        {"type": "text", "text": "And?"},
    ]


async def test_documents_are_sent_as_what_they_are() -> None:
    pdf = DocumentContentPart(media_type="application/pdf", data="JVBERg==")
    notes = DocumentContentPart(media_type="text/plain", data=b64encode("Müller".encode()).decode())
    async with serve(text("ok")) as server, llm_for(server) as llm:
        await llm.agenerate("Read.", media=[pdf, notes])
        first, second, _ = server.requests[0]["messages"][0]["content"]
    assert first["source"] == {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    assert second["source"] == {"type": "text", "media_type": "text/plain", "data": "Müller"}


async def test_settings_have_the_names_of_the_api() -> None:
    async with serve(text("ok")) as server, llm_for(server) as llm:
        for choice in ("auto", "required", "none"):
            await llm.agenerate("hi", stop="END", top_k=3, tool_choice=choice, extra_body={"odd": 1})
        first = server.requests[0]
    assert (first["stop_sequences"], first["top_k"], first["odd"]) == (["END"], 3, 1)
    assert [sent["tool_choice"]["type"] for sent in server.requests] == ["auto", "any", "none"]


async def test_the_thinking_before_a_call_goes_back_signed_with_its_result() -> None:
    thought = stream(
        start(),
        thinking_block(0, "let me ", "see", signature="sig"),
        block(1, "redacted_thinking", data="xxx"),
        call_block(2, "t1", "f", '{"a": 1}'),
        end("tool_use"),
    )
    async with serve(thought, text("ok")) as server, llm_for(server, thinking=THINK) as llm:
        first = await llm.agenerate("hi")
        history = [
            UserMessage(content="hi"),
            AssistantMessage(content=None, tool_calls=first.tool_calls),
            ToolMessage(tool_call_id="t1", content="done"),
        ]
        await llm.with_options(temperature=1).agenerate(messages=history)
        sent = server.requests[1]
    assert first.reasoning == "let me see"
    assert (sent["thinking"], sent["max_tokens"]) == (THINK, 8192 + 1024)
    assert sent["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "let me see", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xxx"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    ]


async def test_where_the_thinking_is_not_known_the_turn_goes_on_without() -> None:
    calls = [ToolCall(id="t1", name="f", arguments={})]
    turn = [AssistantMessage(content=None, tool_calls=calls), ToolMessage(tool_call_id="t1", content="done")]
    async with serve(text("ok")) as server, llm_for(server, thinking=THINK) as llm:
        await llm.agenerate(messages=[UserMessage(content="hi"), *turn])
        await llm.agenerate(messages=[UserMessage(content="hi"), *turn, UserMessage(content="And now?")])
        within, after = server.requests
    assert "thinking" not in within
    assert after["thinking"] == THINK


async def test_what_thinking_is_is_said() -> None:
    async with serve(text("ok")) as server, llm_for(server) as llm:
        with pytest.raises(InvalidRequestError, match="budget_tokens"):
            await llm.agenerate("hi", thinking="high")


async def test_events_and_blocks_that_are_newer_than_this_are_passed_over() -> None:
    newer = stream(
        start(),
        sse("brand_new_event", x=1),
        block(0, "brand_new_block", {"type": "odd_delta", "y": 2}),
        text_block(1, "ok"),
        sse("content_block_delta", index=9, delta={"type": "text_delta", "text": "nowhere"}),
        end(),
    )
    async with serve(newer) as server, llm_for(server) as llm:
        assert (await llm.agenerate("hi")).content == "ok"


async def test_what_is_written_to_the_cache_counts_as_input() -> None:
    reply = stream(start(cache_creation_input_tokens=10), text_block(0, "ok"), end(output_tokens=5))
    async with serve(reply) as server, llm_for(server) as llm:
        usage = (await llm.agenerate("hi")).usage
    assert usage == {
        "input_tokens": 17,
        "output_tokens": 5,
        "total_tokens": 22,
        "cache_read_tokens": 4,
        "cache_creation_tokens": 10,
    }


async def test_an_overload_inside_a_stream_is_tried_again_before_the_first_delta() -> None:
    overloaded = stream(start(), sse("error", error={"type": "overloaded_error", "message": "Overloaded"}))
    async with serve(overloaded, parallel_calls()) as server, llm_for(server, max_retries=1) as llm:
        llm_response = await llm.agenerate("hi")
        assert len(server.requests) == 2
    assert llm_response.has_tool_calls()


async def test_an_error_is_told_in_the_services_words() -> None:
    async with serve(status(402, "Your credit balance is too low.")) as server, llm_for(server) as llm:
        with pytest.raises(ProviderAPIError, match=r"answered 402: Your credit balance is too low\."):
            await llm.agenerate("hi")


async def test_the_address_may_end_as_that_of_other_services_does() -> None:
    async with serve(text("ok")) as server:
        async with create_llm("anthropic", base_url=f"{server.base_url}/v1/", api_key="k") as llm:
            assert (await llm.agenerate("hi")).content == "ok"
        assert server.requests[0]["model"] == "claude-haiku-4-5"


def test_a_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="set ANTHROPIC_API_KEY, or pass"):
        create_llm("anthropic")


async def test_a_history_with_calls_and_no_tools_names_them_and_offers_none() -> None:
    history: list[Message] = [
        UserMessage(content="One."),
        AssistantMessage(content=None, tool_calls=[ToolCall(id="a", name="f", arguments={"x": 1})]),
        ToolMessage(tool_call_id="a", content="found"),
    ]
    async with serve(text("ok")) as server, llm_for(server) as llm:
        await llm.agenerate(messages=history)
        sent = server.requests[0]
    assert sent["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert sent["tool_choice"] == {"type": "none"}
