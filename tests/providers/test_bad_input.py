"""Bad input is one clear sentence, and leaves a session's history as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llm_gateway_nb import BasicSession, create_llm
from llm_gateway_nb.errors import (
    AuthenticationError,
    ConfigurationError,
    GatewayError,
    InvalidMessagesError,
    ModelNotFoundError,
    ProviderAPIError,
    UnknownProviderError,
)
from llm_gateway_nb.harnesses import with_rate_limit, with_retry
from llm_gateway_nb.providers import LLM
from llm_gateway_nb.testing import PracticeRequest, PracticeServices, practice_services

KEY = "sk-of-the-bad-input-0123456789"


class City(BaseModel):
    name: str


@pytest.fixture(scope="module")
def services() -> Any:
    def answer(request: PracticeRequest) -> str:
        return "no JSON at all" if "odd" in str(request.messages) else "fine"

    with practice_services(answer) as services:
        yield services


@pytest.fixture(params=["openai", "anthropic", "ollama", "openrouter"])
def llm(request: pytest.FixtureRequest, services: PracticeServices) -> LLM:
    services.reset()
    plain = create_llm(request.param, "gpt-4o-mini", api_key=KEY)
    return with_rate_limit(with_retry(plain, attempts=2), per_second=1000)


def is_a_sentence(error: GatewayError) -> bool:
    text = str(error)
    return "\n" not in text and text[0].isupper() | text[0].islower() and text.endswith((".", "?")) and KEY not in text


@pytest.mark.parametrize(
    ("given", "meant"), [("opnai", "openai"), ("antropic", "anthropic"), ("huggingfce", "huggingface")]
)
def test_an_unknown_provider_is_answered_with_the_one_that_was_meant(given: str, meant: str) -> None:
    with pytest.raises(UnknownProviderError, match=f"Did you mean '{meant}'") as caught:
        create_llm(given)
    assert is_a_sentence(caught.value)


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({}, ConfigurationError, "nothing to answer"),
        ({"prompt": ""}, ConfigurationError, "prompt is empty"),
        ({"prompt": 3}, ConfigurationError, "prompt is a text, not a int"),
        ({"prompt": "hi", "media": "gone.png"}, ConfigurationError, "there is no file 'gone.png'"),
        ({"prompt": "hi", "media": "folder"}, ConfigurationError, "is a folder"),
        ({"prompt": "hi", "media": "noise.bin"}, ConfigurationError, "models take PNG"),
        ({"prompt": "hi", "media": "empty.txt"}, ConfigurationError, "is empty"),
        ({"prompt": "hi", "media": 3}, (ConfigurationError, TypeError), None),
        ({"prompt": "hi", "tools": [print]}, ConfigurationError, "decorate a function with @tool"),
        ({"prompt": "hi", "response_model": dict}, ConfigurationError, "is a pydantic class"),
        ({"prompt": "hi", "response_model": City, "stream": True}, ConfigurationError, "leave stream=True out"),
        ({"prompt": "odd", "response_model": City}, ProviderAPIError, "gave no City, also when asked twice"),
        ({"prompt": "hi", "timeout": 0}, ConfigurationError, "timeout is a number of seconds above 0"),
        ({"prompt": "hi", "max_retries": -1}, ConfigurationError, "max_retries is 0 or more"),
        ({"prompt": "hi", "messages": [{"role": "user", "content": "x"}]}, ConfigurationError, "has its own history"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
async def test_a_question_that_is_none_is_told_in_a_sentence(
    llm: LLM, asked: dict[str, Any], error: Any, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()  # noqa: ASYNC240
    Path("noise.bin").write_bytes(bytes(range(256)))  # noqa: ASYNC240
    Path("empty.txt").touch()  # noqa: ASYNC240
    async with llm:
        session = BasicSession(llm)
        await session.agenerate("before")
        before = list(session.conversation_history)
        with pytest.raises(error, match=told) as caught:
            await session.agenerate(**asked)
        assert session.conversation_history == before
        assert not isinstance(caught.value, GatewayError) or is_a_sentence(caught.value)
        if "messages" not in asked:
            with pytest.raises(error, match=told):
                await llm.agenerate(**asked)
        assert (await session.agenerate("after")).content


async def test_messages_of_the_wrong_shape_name_the_first_that_is_wrong(llm: LLM) -> None:
    async with llm:
        with pytest.raises(InvalidMessagesError, match=r"messages\[1\]") as caught:
            await llm.agenerate(messages=[{"role": "user", "content": "x"}, {"role": "wizard", "content": "y"}])
    assert is_a_sentence(caught.value)


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [(401, AuthenticationError, "_API_KEY, or pass api_key="), (404, ModelNotFoundError, "Did you mean 'gpt-4o-mini'")],
)
async def test_a_wrong_key_and_an_unknown_model_say_what_to_do(
    llm: LLM, services: PracticeServices, status: int, error: Any, told: str
) -> None:
    services.fail(status=status, message=f"refused, with {KEY} in it")
    async with llm:
        session = BasicSession(llm)
        with pytest.raises(error, match=told) as caught:
            await session.agenerate("hi", model="gpt-4o-mini-typo")
    assert session.conversation_history == []
    assert is_a_sentence(caught.value)
    assert len(services.requests) == 1, "tried once: it will not pass"
    assert KEY not in repr(llm) + repr(session)
