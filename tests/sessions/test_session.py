"""Conversations: history as transactions, turns one after the other, files that come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel
from support import openai_server as wire

from llm_gateway_nb import BasicSession, create_agent_harness, create_llm, tool
from llm_gateway_nb.errors import ConfigurationError, InvalidMessagesError, ProviderAPIError, ProviderConnectionError
from llm_gateway_nb.harnesses import with_retry
from llm_gateway_nb.providers import LLM
from llm_gateway_nb.testing import ScriptedLLM, Turn, call


def said(session: BasicSession) -> list[tuple[str, Any]]:
    return [(message.role, message.content) for message in session.conversation_history]


async def echo(request: web.Request) -> web.StreamResponse:
    """Answers with what it was asked last and how much was said before."""
    messages = (await request.json())["messages"]
    return await wire.words(f"re: {messages[-1]['content']} ", f"({len(messages) - 1})")(request)


@asynccontextmanager
async def echoing(**options: Any) -> AsyncIterator[LLM]:
    async with wire.serve(echo) as server:
        async with create_llm("openai-compatible", "m", base_url=server.base_url, max_retries=0, **options) as llm:
            yield llm


async def test_each_turn_is_asked_with_all_that_was_said_before() -> None:
    async with echoing() as llm:
        session = BasicSession(provider=llm, system_prompt="Be short.")
        assert (await session.agenerate("one")).content == "re: one (1)"
        assert (await session.agenerate("one")).content == "re: one (3)", "the same words twice are sent twice"
    assert said(session) == [
        ("system", "Be short."),
        ("user", "one"),
        ("assistant", "re: one (1)"),
        ("user", "one"),
        ("assistant", "re: one (3)"),
    ]
    assert session.messages is session.conversation_history
    assert session.system_prompt == "Be short."


async def test_sessions_on_one_model_are_independent() -> None:
    async with echoing() as llm:
        sessions = [BasicSession(llm) for _ in range(5)]
        await asyncio.gather(*(session.agenerate(f"q{n}") for n, session in enumerate(sessions)))
    assert [said(session)[0] for session in sessions] == [("user", f"q{n}") for n in range(5)]


async def test_calls_that_overlap_are_served_one_after_the_other_in_order() -> None:
    async with echoing() as llm:
        session = BasicSession(llm)
        answers = await asyncio.gather(*(session.agenerate(f"q{n}") for n in range(4)))
    assert [answer.content for answer in answers] == [f"re: q{n} ({2 * n})" for n in range(4)]
    assert [role for role, _ in said(session)] == ["user", "assistant"] * 4


async def test_a_failed_call_leaves_the_history_as_it_was() -> None:
    session = BasicSession(with_retry(ScriptedLLM(["fine", ProviderConnectionError("gone"), "again"]), attempts=1))
    await session.agenerate("one")
    before = said(session)
    with pytest.raises(ProviderConnectionError):
        await session.agenerate("two")
    assert said(session) == before
    assert (await session.agenerate("three")).content == "again"


async def test_a_cancelled_call_leaves_the_history_as_it_was_and_the_next_one_is_served() -> None:
    began, gone = asyncio.Event(), asyncio.Event()
    async with wire.serve(wire.held_after("half", began, gone), wire.text("ok")) as server:
        async with create_llm("openai-compatible", "m", base_url=server.base_url) as llm:
            session = BasicSession(llm)
            task = asyncio.create_task(session.agenerate("one"))
            await began.wait()
            waiting, patient = (asyncio.create_task(session.agenerate(word)) for word in ("two", "three"))
            await asyncio.sleep(0)
            waiting.cancel()
            task.cancel()
            await asyncio.wait_for(gone.wait(), 30)
            assert (await patient).content == "ok"
    assert said(session) == [("user", "three"), ("assistant", "ok")]
    assert (task.cancelled(), waiting.cancelled()) == (True, True)


# -- streams -------------------------------------------------------------------------------------------------------------


async def test_a_stream_goes_into_the_history_when_it_is_read_to_its_end() -> None:
    async with echoing() as llm:
        session = BasicSession(llm)
        chunks = [chunk.content async for chunk in await session.agenerate("one", stream=True)]
    assert "".join(chunks) == "re: one (0)"
    assert said(session) == [("user", "one"), ("assistant", "re: one (0)")]


async def test_a_stream_that_was_left_does_not_hold_up_the_next_call() -> None:
    async with echoing() as llm:
        session = BasicSession(llm)
        stream = await session.agenerate("one", stream=True)
        async for _ in stream:
            break
        answer = await asyncio.wait_for(session.agenerate("two"), 30)  # while `stream` is still there, as in a notebook
        assert [chunk async for chunk in stream] == []
        assert answer.content == "re: two (0)"
        assert (await asyncio.wait_for(session.agenerate("three"), 30)).content == "re: three (2)"
    assert [text for _, text in said(session)][::2] == ["two", "three"]


async def test_a_stream_that_somebody_reads_is_waited_for() -> None:
    more = asyncio.Event()
    session = BasicSession(ScriptedLLM([Turn("one two", wait=more.wait), "three"]))
    seen = asyncio.Event()

    async def read() -> str:
        texts = []
        async for chunk in await session.agenerate("a", stream=True):
            texts.append(chunk.content or "")
            seen.set()
        return "".join(texts)

    reading = asyncio.create_task(read())
    await seen.wait()
    after = asyncio.create_task(session.agenerate("b"))
    await asyncio.sleep(0)
    more.set()
    assert (await reading, (await after).content) == ("one two", "three")
    assert [text for _, text in said(session)] == ["a", "one two", "b", "three"]


async def test_a_stream_that_breaks_leaves_the_history_as_it_was() -> None:
    session = BasicSession(ScriptedLLM([Turn("half of", error=ProviderConnectionError("cut"))]))
    with pytest.raises(ProviderConnectionError):
        async for _ in await session.agenerate("one", stream=True):
            pass
    assert said(session) == []


# -- synchronous, structured, tools --------------------------------------------------------------------------------------


async def test_the_synchronous_twin_shares_the_history_and_the_turns() -> None:
    session = BasicSession(ScriptedLLM(["one", "two three", "four"]))
    assert session.generate("a").content == "one"
    chunks = session.generate("b", stream=True)
    assert next(chunks).content == "two "
    assert (await asyncio.wait_for(session.agenerate("c"), 30)).content == "four", "a half-read stream is let go"
    assert [text for _, text in said(session)] == ["a", "one", "c", "four"]


class City(BaseModel):
    name: str


async def test_a_structured_answer_is_kept_as_its_json() -> None:
    session = BasicSession(ScriptedLLM(['{"name": "Paris"}']))
    assert await session.agenerate("Which?", response_model=City) == City(name="Paris")
    assert said(session) == [("user", "Which?"), ("assistant", '{"name":"Paris"}')]


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word.upper()


async def test_calls_are_answered_before_the_next_question() -> None:
    session = BasicSession(ScriptedLLM([call("look_up", "c1", word="tea"), "It is TEA."]), tools=[look_up])
    answer = await session.agenerate("What is tea?")
    assert [(one.name, one.arguments) for one in answer.tool_calls] == [("look_up", {"word": "tea"})]
    with pytest.raises(ConfigurationError, match=r"look_up.*add_tool_result\('c1'"):
        await session.agenerate("And now?")
    with pytest.raises(ConfigurationError, match="'c2'"):
        session.add_tool_result("c2", "TEA")
    session.add_tool_result("c1", "TEA")
    assert (await session.agenerate()).content == "It is TEA."
    assert [role for role, _ in said(session)] == ["user", "assistant", "tool", "assistant"]


async def test_settings_of_the_session_hold_until_a_call_says_otherwise_and_unset_ones_are_the_models() -> None:
    async with wire.serve(wire.text("ok")) as server:
        async with create_llm("openai-compatible", "m", base_url=server.base_url, temperature=0, top_p=0.5) as llm:
            session = BasicSession(llm, temperature=0.2)
            await session.agenerate("one")
            await session.agenerate("two", temperature=0.9)
        sent = [(request["temperature"], request["top_p"]) for request in server.requests]
    assert sent == [(0.2, 0.5), (0.9, 0.5)]


def test_only_a_model_can_be_talked_to() -> None:
    with pytest.raises(ConfigurationError, match="create_llm"):
        BasicSession()
    with pytest.raises(ConfigurationError, match=r"run\(agent"):
        BasicSession(create_agent_harness(ScriptedLLM(["x"])))  # type: ignore[arg-type]  # what is refused


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"messages": []}, None),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages="),
        ({"prompt": ""}, "empty"),
    ],
)
async def test_a_question_that_is_none_leaves_the_history_as_it_was(options: dict[str, Any], told: str | None) -> None:
    session = BasicSession(ScriptedLLM(["x"]))
    with pytest.raises(ConfigurationError, match=told):
        await session.agenerate(**options)
    assert said(session) == []


async def test_a_file_that_is_not_there_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    session = BasicSession(ScriptedLLM(["x"]))
    with pytest.raises(ConfigurationError, match="there is no file"):
        await session.agenerate("What is this?", media=tmp_path / "gone.png")
    assert said(session) == []
    (tmp_path / "note.txt").write_text("tea")
    await session.agenerate("What is this?", media=tmp_path / "note.txt")
    assert "tea" in str(said(session)[0])


# -- the history itself --------------------------------------------------------------------------------------------------


def test_messages_can_be_added_and_forgotten() -> None:
    session = BasicSession(ScriptedLLM(["x"]), system_prompt="Be kind.")
    session.add_message("user", "hello")
    with pytest.raises(InvalidMessagesError):
        session.add_message("wizard", "hello")
    kept = session.conversation_history
    session.clear_history()
    assert said(session) == [("system", "Be kind.")]
    session.clear_history(keep_system=False)
    assert said(session) == []
    assert session.conversation_history is kept


async def test_a_session_goes_on_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "a-key-that-stays-here-123")
    path = tmp_path / "talk.json"
    async with wire.serve(echo) as server:
        monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", server.base_url)
        async with create_llm("openai-compatible", "m") as llm:
            session = BasicSession(llm, system_prompt="Be short.", temperature=0)
            await session.agenerate("one")
            session.save(path)
        for again in (BasicSession.load(path, provider=llm), BasicSession.load(path)):
            assert said(again) == said(session)
            assert again.settings == {"temperature": 0}
            assert (await again.agenerate("two")).content == "re: two (3)"
            await again.provider.aclose()
    text = path.read_text()
    assert "a-key-that-stays-here" not in text
    assert [message["role"] for message in json.loads(text)["messages"]] == ["system", "user", "assistant"]
    assert [file.name for file in tmp_path.glob("*")] == ["talk.json"]  # noqa: ASYNC240  (a test may)


def test_a_save_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    session = BasicSession(ScriptedLLM([]))
    with pytest.raises(ConfigurationError, match="can't be saved"):
        session.save(tmp_path / "folder")
    with pytest.raises(ConfigurationError, match="can't be saved"):
        BasicSession(ScriptedLLM([]), odd=object()).save(tmp_path / "odd.json")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_half_a_character_is_saved_as_what_stands_for_it_and_a_key_in_the_settings_is_not(tmp_path: Path) -> None:
    key = "sk-proj-1234567890abcdefghij"
    session = BasicSession(ScriptedLLM([]), extra_headers={"Authorization": f"Bearer {key}"})
    session.add_message("user", "half \ud83d")
    session.save(tmp_path / "session.json")
    text = (tmp_path / "session.json").read_text()
    assert "half \ufffd" in text
    assert key not in text


def test_a_file_that_holds_no_session_is_told_in_a_sentence(tmp_path: Path) -> None:
    llm = ScriptedLLM(["x"])
    with pytest.raises(ConfigurationError, match="can't be read"):
        BasicSession.load(tmp_path / "gone.json", provider=llm)
    for text in ("not json", "[]", '{"format": "another"}'):
        (tmp_path / "odd.json").write_text(text)
        with pytest.raises(ConfigurationError, match="holds no saved session"):
            BasicSession.load(tmp_path / "odd.json", provider=llm)
    with pytest.raises(ConfigurationError, match="can't be saved"):
        BasicSession(llm).save(tmp_path / "no" / "such" / "folder.json")


async def test_a_failure_of_the_service_is_the_models_own(tmp_path: Path) -> None:
    async with wire.serve(wire.status(500, "down")) as server:
        async with create_llm("openai-compatible", "m", base_url=server.base_url, max_retries=0) as llm:
            with pytest.raises(ProviderAPIError, match="down"):
                await BasicSession(llm).agenerate("hi")
