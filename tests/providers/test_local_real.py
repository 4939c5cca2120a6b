"""The real small model: only the structure of what it says is sure, never its words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers import weights
from llm_gateway_nb.providers.local import LocalLLM
from llm_gateway_nb.types import AssistantMessage, Message, ToolDefinition, ToolMessage, UserMessage

pytestmark = [pytest.mark.local_model, pytest.mark.timeout(900)]

pytest.importorskip("xllamacpp", reason="the extra `local` is not installed", exc_type=ImportError)

WEATHER = ToolDefinition(
    name="get_weather",
    description="Get the current weather in a city",
    schema_={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@pytest.fixture
async def llm() -> AsyncIterator[LocalLLM]:
    try:
        weights.fetch(weights.DEFAULT)
    except ConfigurationError as error:
        pytest.skip(str(error))
    async with LocalLLM(defaults={"n_threads": 1, "n_ctx": 2048, "max_tokens": 100}) as llm:
        yield llm


async def test_it_calls_a_tool_then_answers_from_the_result_with_and_without_the_tool(llm: LocalLLM) -> None:
    messages: list[Message] = [UserMessage(content="What's the weather in Paris?")]
    first = await llm.agenerate(messages=messages, tools=[WEATHER])
    [call] = first.tool_calls
    assert call.name == "get_weather"
    assert call.arguments is not None
    assert "paris" in call.arguments["city"].lower()
    assert first.finish_reason == "tool_calls"

    messages += [
        AssistantMessage(content=None, tool_calls=[call]),
        ToolMessage(tool_call_id=call.id, content="17 degrees, light rain"),
    ]
    for tools in ([WEATHER], []):
        second = await llm.agenerate(messages=messages, tools=tools)
        assert second.tool_calls == []
        assert second.content
        assert not second.content.startswith("{")
        assert second.finish_reason == "stop"


async def test_without_tools_it_talks(llm: LocalLLM) -> None:
    response = await llm.agenerate("What is the capital of France?")
    assert response.content
    assert "paris" in response.content.lower()
