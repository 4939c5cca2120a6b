"""What holds of every adapter, shown on one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_nb.adapters import from_openai_agents, from_pydantic_ai, from_smolagents
from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.harnesses import replay
from llm_gateway_nb.notebook import start
from llm_gateway_nb.tools import read_tool
from llm_gateway_nb.types import RelayEvent

pytest.importorskip("pydantic_ai")

from agents import Agent as OpenAIAgent
from agents.testing import ScriptedModel, assistant_message
from pydantic_ai import Agent, BinaryContent, Tool
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def remove(path: str) -> str:
    """Remove."""
    return f"{path} is gone"


def model(*turns: Any) -> FunctionModel:
    script = iter(turns)

    async def stream(_messages: Any, _info: Any) -> AsyncIterator[Any]:
        turn = next(script)
        yield turn if isinstance(turn, str) else {0: DeltaToolCall(*turn, tool_call_id="c1")}

    return FunctionModel(stream_function=stream)


async def test_a_run_is_recorded_and_replayed_with_its_questions(tmp_path: Path) -> None:
    agent = Agent(model(("remove", '{"path": "a"}'), "done"), tools=[Tool(remove, requires_approval=True)])
    file = tmp_path / "run.jsonl"
    live = await start(from_pydantic_ai(agent), "go", record=file, approvals="allow", panel=False)
    again = await start(replay(file), panel=False)
    assert live.text == "done"
    assert again.transcript() == live.transcript()
    assert "approved" in live.transcript()


async def test_where_nobody_can_click_the_answer_is_no_and_names_the_rule() -> None:
    agent = Agent(model(("remove", '{"path": "a/b"}'), "done"), tools=[Tool(remove, requires_approval=True)])
    result = await start(from_pydantic_ai(agent), "go", panel=False)
    assert any(isinstance(event, RelayEvent) for event in result.events)
    assert '"tool": "remove"' in result.transcript()


@pytest.mark.parametrize(
    "asked",
    [{"tools": [read_tool]}, {"model": "m"}, {"temperature": 0}, {"context": "more"}],
    ids=lambda asked: next(iter(asked)),
)
async def test_what_is_the_other_frameworks_to_set_is_refused_and_does_not_vanish(asked: dict[str, Any]) -> None:
    result = await start(from_pydantic_ai(Agent(model("x"))), "go", panel=False, **asked)
    assert isinstance(result.error, ConfigurationError)
    assert "set it where the agent is made" in str(result.error)


async def test_an_image_of_the_person_reaches_the_model_or_is_refused() -> None:
    seen: list[Any] = []

    async def look(messages: Any, _info: Any) -> AsyncIterator[str]:
        seen.extend(messages[-1].parts[-1].content)
        yield "a dot"

    await start(from_pydantic_ai(Agent(FunctionModel(stream_function=look))), "What?", media=PNG, panel=False)
    assert any(isinstance(part, BinaryContent) and part.data == PNG for part in seen)

    llm = ScriptedModel([[assistant_message("a dot")]])
    await start(from_openai_agents(OpenAIAgent("a", model=llm)), "What?", media=PNG, panel=False)
    assert llm.last_call is not None
    assert b64encode(PNG).decode() in str(llm.last_call.input)

    from smolagents import Model, ToolCallingAgent

    refused = await start(
        from_smolagents(ToolCallingAgent([], Model(), verbosity_level=0)), "What?", media=PNG, panel=False
    )
    assert "takes text only" in str(refused.error)
