"""The scripted model says its script, no more and no less."""

from __future__ import annotations

import pytest

from llm_gateway_nb.errors import ConfigurationError, ProviderAPIError, ScriptError
from llm_gateway_nb.providers import create_llm
from llm_gateway_nb.providers.scripted import ScriptedLLM, Turn, call, script
from llm_gateway_nb.types import UserMessage


async def test_each_call_reads_the_next_turn() -> None:
    with ScriptedLLM(["One.", "Two."]) as llm:
        assert [(await llm.agenerate("go")).content for _ in range(2)] == ["One.", "Two."]


async def test_one_call_too_many_names_the_turn() -> None:
    llm = ScriptedLLM(["One."])
    await llm.agenerate("go")
    with pytest.raises(ScriptError, match="1 turn"):
        await llm.agenerate("go")


async def test_a_script_left_unread_is_complained_of() -> None:
    with pytest.raises(ScriptError, match=r"1 unread turn.*'Two\.'"):
        async with ScriptedLLM(["One.", "Two."]) as llm:
            await llm.agenerate("go")


async def test_an_error_inside_the_block_is_not_hidden_by_the_complaint() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedLLM(["One."]):
        raise ZeroDivisionError


async def test_text_is_streamed_word_by_word_and_loses_nothing() -> None:
    text = "  Two  words,\nand a line. "
    llm = ScriptedLLM([text])
    chunks = [chunk.content async for chunk in await llm.agenerate("go", stream=True)]
    assert "".join(chunks) == text
    assert len(chunks) > 4


async def test_a_turn_in_short_holds_text_and_calls_in_order() -> None:
    llm = ScriptedLLM(script(["Let me look.", call("bash", command="ls"), call("add", "mine", a=1)]))
    response = await llm.agenerate("go")
    assert response.content == "Let me look."
    assert [(c.id, c.name) for c in response.tool_calls] == [("call_1_1", "bash"), ("mine", "add")]
    assert response.finish_reason == "tool_calls"


async def test_an_exception_is_what_the_service_fails_with() -> None:
    llm = ScriptedLLM([["Half", ProviderAPIError("overloaded", status=529)]])
    with pytest.raises(ProviderAPIError, match="overloaded") as caught:
        await llm.agenerate("go")
    assert caught.value.partial_text == "Half"


async def test_usage_is_the_same_on_every_machine() -> None:
    responses = [await ScriptedLLM(["a b c"]).agenerate("one two") for _ in range(2)]
    assert responses[0].usage == responses[1].usage == {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}
    assert (await ScriptedLLM([Turn("x", usage=(9, 1))]).agenerate("go")).total_tokens == 10


async def test_requests_are_kept_as_they_came() -> None:
    llm = ScriptedLLM(["ok"])
    await llm.agenerate("hello", temperature=0.5)
    assert llm.requests[0].messages[0].content == "hello"
    assert llm.requests[0].settings == {"temperature": 0.5}


def test_create_llm_takes_the_turns() -> None:
    assert create_llm("scripted", turns=["Hi."]).model == "scripted"
    with pytest.raises(ConfigurationError, match="needs its script"):
        create_llm("scripted")
    with pytest.raises(ConfigurationError, match="scripted turn"):
        create_llm("scripted", turns=[3])


async def test_conversations_at_once_read_scripts_of_their_own() -> None:
    with ScriptedLLM({"one": ["First.", "Second."], "two": ["Other."]}) as llm:
        one, two = UserMessage(content="one"), UserMessage(content="two")
        texts = [(await llm.agenerate(messages=messages)).content for messages in ([one], [two], [one])]
        assert texts == ["First.", "Other.", "Second."]
        assert len(llm.requests) == 3
    with pytest.raises(ScriptError, match="no script for 'three'"):
        await llm.agenerate("three")
    with pytest.raises(ScriptError, match="unread"), ScriptedLLM({"one": ["First."]}):
        pass
