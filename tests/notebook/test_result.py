"""What stays of a run: saved, loaded, gone on from, read as an instance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llm_gateway_nb import create_agent_harness, run, start, tool
from llm_gateway_nb.errors import ConfigurationError, ProviderAPIError, RecordingError, RemoteError
from llm_gateway_nb.harnesses import replay
from llm_gateway_nb.notebook import Run, RunResult
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.types import TextEvent


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def adding(**options: Any) -> RunResult:
    agent = create_agent_harness(ScriptedLLM([["Let me see.", call("add", a=1, b=2)], "It is 3."]))
    asked = {"tools": [add], "approvals": lambda relay: {"approved": True, "reason": "Fine."}, "title": "Sum"}
    return await run(agent, "Add.", system_prompt="Be brief.", **asked, **options)


async def test_a_saved_result_is_loaded_as_it_was(tmp_path: Path) -> None:
    before = await adding()
    before.save(tmp_path / "run.jsonl")
    after = RunResult.load(tmp_path / "run.jsonl")
    for name in ("text", "messages", "usage", "reason", "error", "title"):
        assert getattr(after, name) == getattr(before, name)
    assert after.to_html() == before.to_html()
    assert [event.seq for event in after.events] == [event.seq for event in before.events]
    assert (await run(replay(tmp_path / "run.jsonl"))).transcript() == before.transcript()


async def test_a_run_goes_on_after_the_kernel_is_gone(tmp_path: Path) -> None:
    before = await adding()
    before.save(tmp_path / "run.jsonl")
    loaded = Run.load(tmp_path / "run.jsonl")
    assert loaded.messages == before.messages, "at once: in the same cell"
    assert (loaded.text, loaded.title) == ("It is 3.", "Sum")
    assert (await loaded).transcript() == before.transcript()
    with ScriptedLLM(["And 4."]) as llm:
        assert (await run(llm, "And one more?", messages=loaded.messages)).messages[:-2] == before.messages


async def test_a_run_that_was_cut_off_is_a_cancelled_one_with_a_valid_history(tmp_path: Path) -> None:
    await adding(record=tmp_path / "run.jsonl")
    lines = (tmp_path / "run.jsonl").read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if '"type":"tool_call","id"' in line and '"event"' in line)
    (tmp_path / "run.jsonl").write_text("".join(lines[: at + 1]) + '{"t":0.1,"ev')
    results = [
        RunResult.load(tmp_path / "run.jsonl"),
        await Run.load(tmp_path / "run.jsonl"),
        await run(replay(tmp_path / "run.jsonl")),
    ]
    for result in results:
        assert result.reason == "cancelled"
        assert [message.role for message in result.messages] == ["system", "user", "assistant", "tool"]
    with ScriptedLLM(["Where were we?"]) as llm:
        assert (await run(llm, "Go on.", messages=results[0].messages)).reason == "final"


async def test_an_error_is_loaded_with_its_name(tmp_path: Path) -> None:
    (await run(ScriptedLLM([ProviderAPIError("overloaded")]), "Go.")).save(tmp_path / "run.jsonl")
    error = RunResult.load(tmp_path / "run.jsonl").error
    assert isinstance(error, RemoteError)
    assert (error.name, str(error)) == ("ProviderAPIError", "overloaded")


async def test_of_a_stream_of_someone_elses_the_same_is_saved(tmp_path: Path) -> None:
    async def events() -> Any:
        yield TextEvent(run_id="r", id="t", content="From elsewhere.")

    before = await run(events())
    before.save(tmp_path / "run.jsonl")
    after = RunResult.load(tmp_path / "run.jsonl")
    assert (after.text, after.reason, len(after.events)) == ("From elsewhere.", "final", len(before.events))


def test_loading_in_a_script_says_how(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text('{"recording": 1, "started": 0}\n')
    with pytest.raises(ConfigurationError, match=r"RunResult.load"):
        Run.load(tmp_path / "run.jsonl")
    with pytest.raises(RecordingError, match=r"none\.jsonl"):
        RunResult.load(tmp_path / "none.jsonl")


class City(BaseModel):
    name: str
    people: int


async def test_the_answer_is_an_instance_of_the_response_model(tmp_path: Path) -> None:
    llm = ScriptedLLM(['{"name": "Ulm", "people": 126000}'])
    result = await run(llm, "Which?", response_model=City)
    assert result.output == City(name="Ulm", people=126000)
    result.save(tmp_path / "run.jsonl")
    assert RunResult.load(tmp_path / "run.jsonl", response_model=City).output == result.output
    assert RunResult.load(tmp_path / "run.jsonl").output is None
    assert start(ScriptedLLM(["x"]), "y").result().output is None


async def test_an_answer_that_does_not_fit_is_never_an_empty_output() -> None:
    result = await run(ScriptedLLM(["Ulm, I think."]), "Which?", response_model=City)
    with pytest.raises(ProviderAPIError, match="no City"):
        _ = result.output
    failed = await run(ScriptedLLM([ProviderAPIError("overloaded")]), "Which?", response_model=City)
    with pytest.raises(ProviderAPIError, match="overloaded"):
        _ = failed.output
    with pytest.raises(ConfigurationError, match="pydantic class"):
        await run(ScriptedLLM(["x"]), "Which?", response_model=dict)  # type: ignore[arg-type]


async def test_an_agent_uses_tools_on_the_way_and_is_told_once_where_its_answer_does_not_fit() -> None:
    turns = [call("add", a=1, b=2), "Ulm.", '{"name": "Ulm", "people": 3}']
    with ScriptedLLM(turns) as llm:
        agent = create_agent_harness(llm)
        result = await run(agent, "Which?", tools=[add], permissions={"allowlist": ["add"]}, response_model=City)
    assert result.output == City(name="Ulm", people=3)
    assert "That does not fit" in str(llm.requests[-1].messages[-1].content)
