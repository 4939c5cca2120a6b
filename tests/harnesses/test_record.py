"""`record` and `replay`: one file, two uses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llm_gateway_nb import agent_tool, create_agent_harness, create_llm, create_rlm_harness, run, start, tool
from llm_gateway_nb.errors import ConfigurationError, ProviderAPIError, RateLimitError, RecordingError, ReplayError
from llm_gateway_nb.harnesses import RlmConfig, record, replay
from llm_gateway_nb.recording import Recording
from llm_gateway_nb.testing import ScriptedLLM, Turn, call
from llm_gateway_nb.types import (
    ErrorEvent,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    RelayEvent,
    TextEvent,
    ToolResultEvent,
    UserMessage,
    dump_event,
    new_id,
)


@tool
def add(a: int, b: int) -> int:
    """Add."""
    print("adding")
    return a + b


TURNS: list[Any] = [
    [Turn(reasoning="Two numbers. "), "Let me see.", call("add", a=1, b=2), call("add", a=3, b=4)],
    "They are 3 and 7.",
]


def agent(turns: Any = TURNS) -> Any:
    return create_agent_harness(ScriptedLLM(turns))


def wire(events: list[HarnessEvent]) -> list[dict[str, Any]]:
    """Events as they travel, but for their times and numbers."""
    return [{k: v for k, v in dump_event(event).items() if k not in {"timestamp", "seq"}} for event in events]


async def recorded(path: Path, **options: Any) -> Any:
    return await run(agent(), "Add.", tools=[add], approvals=lambda relay: True, record=path, **options)


# -- the first use: the same events again ------------------------------------------------------------------------------


async def test_a_replay_gives_the_same_events_and_runs_nothing(tmp_path: Path) -> None:
    before = await recorded(tmp_path / "run.jsonl", title="Adding")
    after = await run(replay(tmp_path / "run.jsonl"))
    ids = [event.get("id") for event in wire(before.events) if event["type"] == "tool_progress"]
    plain = [
        [e for e in wire(r.events) if e.get("id") not in ids or e["type"] != "tool_progress"] for r in (before, after)
    ]
    assert [e for e in plain[0] if e["type"] != "tool_progress"] == [
        e for e in plain[1] if e["type"] != "tool_progress"
    ]
    assert after.transcript() == before.transcript()
    assert after.messages == before.messages
    assert after.usage == before.usage
    assert [e.timestamp for e in after.events] == pytest.approx([e.timestamp for e in before.events], abs=1e-5)


async def test_a_replay_takes_the_recorded_time_or_a_part_of_it_and_a_cancel_ends_it(tmp_path: Path) -> None:
    header = {"recording": 1, "by": "a test", "started": 1_000_000.0}
    events = [TextEvent(run_id="r", id="t", content=content, timestamp=None) for content in ("soon", "in a year")]
    lines = [header, {"t": 0.0, "invoke": {"messages": []}}]
    lines += [{"t": at, "event": dump_event(event)} for at, event in zip((0.0, 3e7), events, strict=True)]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert (await run(replay(path))).text == "soonin a year"
    assert (await run(replay(path, speed=1e12))).text == "soonin a year"
    live = start(replay(path, speed=1.0))
    async for event in live:
        if isinstance(event, TextEvent):
            live.cancel()
    result = await live
    assert (result.text, result.reason) == ("soon", "cancelled")


async def test_a_recording_that_was_cut_off_replays_up_to_the_cut_wherever_that_is(tmp_path: Path) -> None:
    result = await recorded(tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    path = tmp_path / "cut.jsonl"
    assert not Recording.read(tmp_path / "whole.jsonl").cut
    for size in range(whole.index(b"\n") + 1, len(whole), 97):
        path.write_bytes(whole[:size])
        assert Recording.read(path).cut
        told = (await run(replay(path), panel=False)).transcript()
        assert result.transcript().startswith(told.removesuffix("[cancelled]").rstrip().split("\n")[0])


async def test_a_replay_as_a_harness_answers_to_what_was_asked_and_complains_of_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    harness = record(ScriptedLLM(["One.", "Two."]), path)
    for question in ("first?", "second?"):
        assert (await run(harness, question)).text
    again = replay(path)
    assert (await run(again, "second?")).text == "Two."
    assert (await run(again, "first?")).text == "One."
    with pytest.raises(ReplayError, match=r"-  first\?\n\+  third\?"):
        again.invoke(messages=[{"role": "user", "content": "third?"}])


# -- the second use: the model replayed, all else live -----------------------------------------------------------------


async def test_the_model_is_replayed_and_the_tools_run(tmp_path: Path) -> None:
    before = await recorded(tmp_path / "run.jsonl")
    ran: list[int] = []

    @tool(name="add", description="Add.")
    def counting(a: int, b: int) -> int:
        ran.append(a)
        return a + b

    counting = counting(schema=add.schema_)
    with create_llm("replay", tmp_path / "run.jsonl") as llm:
        after = await run(create_agent_harness(llm), "Add.", tools=[counting], approvals="recorded")
    assert (after.text, after.reason, sorted(ran)) == (before.text, "final", [1, 3])
    assert after.usage == before.usage
    assert [m.model_dump() for m in after.messages] == [m.model_dump() for m in before.messages]


async def test_a_changed_request_fails_loudly_and_shows_what_changed(tmp_path: Path) -> None:
    await recorded(tmp_path / "run.jsonl")

    @tool(name="add", description="Add.")
    def wrong(a: int, b: int) -> int:
        return a * b

    llm = create_llm("replay", tmp_path / "run.jsonl")
    result = await run(create_agent_harness(llm), "Add.", tools=[wrong(schema=add.schema_)], approvals="recorded")
    assert isinstance(result.error, ReplayError)
    assert "Nearest is request 2 of 2" in str(result.error)
    assert "-  3\n+  2\n" in result.error.diff
    assert result.reason == "error"
    with pytest.raises(ReplayError, match="1 of 2 recorded answers"):
        llm.assert_read()


async def test_what_sanitize_names_is_no_change(tmp_path: Path) -> None:
    await run(ScriptedLLM(["Early."]), "It is 10:31. How late?", record=tmp_path / "run.jsonl")
    asking = {"prompt": "It is 11:57. How late?"}
    strict = await run(create_llm("replay", tmp_path / "run.jsonl"), **asking)
    assert isinstance(strict.error, ReplayError)
    lenient = create_llm("replay", tmp_path / "run.jsonl", sanitize={r"\d\d:\d\d": "TIME"})
    assert (await run(lenient, **asking)).text == "Early."
    with pytest.raises(ConfigurationError, match="sanitize is a dict"):
        create_llm("replay", "run.jsonl", sanitize={"(": ""})


async def test_a_cell_that_is_run_again_gets_the_same_answers_again(tmp_path: Path) -> None:
    await recorded(tmp_path / "run.jsonl")
    harness = create_agent_harness(create_llm("replay", tmp_path / "run.jsonl"))
    texts = [(await run(harness, "Add.", tools=[add], approvals="recorded")).text for _ in range(3)]
    assert texts == ["They are 3 and 7."] * 3


async def test_the_same_question_twice_has_its_two_answers_in_order(tmp_path: Path) -> None:
    llm = record(ScriptedLLM(["Heads.", "Tails."]), tmp_path / "run.jsonl")
    assert [(await llm.agenerate("Toss.")).content for _ in range(2)] == ["Heads.", "Tails."]
    again = create_llm("replay", tmp_path / "run.jsonl")
    assert [(await again.agenerate("Toss.")).content for _ in range(2)] == ["Heads.", "Tails."]


async def test_settings_of_the_recorded_model_are_its_own_and_those_of_the_request_count(tmp_path: Path) -> None:
    llm = create_llm("scripted", "big", turns=["Hot."], temperature=1)
    assert (await record(llm, tmp_path / "run.jsonl").agenerate("Hot?", top_p=0.5)).content == "Hot."
    again = create_llm("replay", tmp_path / "run.jsonl")
    assert again.model == "big"
    assert (await again.agenerate("Hot?", top_p=0.5)).content == "Hot."
    with pytest.raises(ReplayError, match=r"-top_p: 0.5\n\+top_p: 0.9"):
        await again.agenerate("Hot?", top_p=0.9)


async def test_a_structured_answer_replays_whatever_way_the_schema_was_told(tmp_path: Path) -> None:
    class City(BaseModel):
        name: str

    llm = record(ScriptedLLM(['{"name": "Ulm"}']), tmp_path / "run.jsonl")
    assert await llm.agenerate("Where?", response_model=City) == City(name="Ulm")
    again = create_llm("replay", tmp_path / "run.jsonl")
    assert await again.agenerate("Where?", response_model=City) == City(name="Ulm")


async def test_a_recorded_failure_fails_again_as_what_it_was_unless_it_was_made_good(tmp_path: Path) -> None:
    llm = record(ScriptedLLM([RateLimitError("slow down"), "Now.", ProviderAPIError("gone")]), tmp_path / "run.jsonl")
    for prompt in ("When?", "When?", "Where?"):
        with suppress(ProviderAPIError):
            await llm.agenerate(prompt)
    again = create_llm("replay", tmp_path / "run.jsonl")
    assert (await again.agenerate("When?")).content == "Now."
    with pytest.raises(ProviderAPIError, match="gone"):
        await again.agenerate("Where?")


async def test_an_answer_that_was_not_recorded_to_its_end_says_so(tmp_path: Path) -> None:
    async def hold() -> None:
        await asyncio.get_running_loop().create_future()

    live = start(ScriptedLLM([Turn("one two three", wait=hold)]), "Count.", record=tmp_path / "run.jsonl")
    async for event in live:
        if isinstance(event, TextEvent) and "two" in event.content:
            live.cancel()
    result = await run(create_llm("replay", tmp_path / "run.jsonl"), "Count.")
    assert isinstance(result.error, RecordingError)
    assert result.text == "one two "


async def test_arguments_that_were_no_json_are_replayed_as_they_were(tmp_path: Path) -> None:
    from llm_gateway_nb.providers.base import ToolCallPiece

    broken = ToolCallPiece(id="c", name="add", arguments='{"a": 1')
    harness = create_agent_harness(ScriptedLLM([broken, "Sorry."]))
    before = await run(harness, "Add.", tools=[add], record=tmp_path / "run.jsonl")
    with create_llm("replay", tmp_path / "run.jsonl") as llm:
        after = await run(create_agent_harness(llm), "Add.", tools=[add])
    assert after.transcript() == before.transcript()


# -- decisions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"approved": True, "always": True},
        {"approved": True, "input": {"a": 10, "b": 20}},
        {"approved": False, "reason": "Not today."},
    ],
)
async def test_what_a_person_said_is_said_again_to_the_very_call(tmp_path: Path, answer: dict[str, Any]) -> None:
    before = await run(agent(), "Add.", tools=[add], approvals=lambda relay: answer, record=tmp_path / "run.jsonl")
    with create_llm("replay", tmp_path / "run.jsonl") as llm:
        after = await run(create_agent_harness(llm), "Add.", tools=[add], approvals="recorded")
    assert after.transcript().replace("by the recording", "by policy") == before.transcript()


async def test_a_recorded_yes_does_not_count_for_another_call(tmp_path: Path) -> None:
    """The recording is doctored: the model's call differs from the one that was approved."""
    path = tmp_path / "run.jsonl"
    await recorded(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line.get("answer", {}).get("type") == "tool_call" and line["answer"]["input"] == {"a": 1, "b": 2}:
            line["answer"]["input"]["b"] = 1000
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    llm = create_llm("replay", path)
    result = await run(create_agent_harness(llm), "Add.", tools=[add], approvals="recorded")
    answers = {event.id[-8:]: event for event in result.events if isinstance(event, ToolResultEvent)}
    assert answers["call_1_1"].status == "denied"
    assert "No decision on this very call was recorded" in answers["call_1_1"].output
    assert answers["call_1_2"].status == "ok"
    assert isinstance(result.error, ReplayError), "and the model is told something that was not recorded"


async def test_a_call_with_a_secret_in_it_is_never_approved_from_a_file(tmp_path: Path) -> None:
    @tool
    def send(key: str) -> str:
        """Send."""
        return "sent"

    turns = [call("send", key="sk-proj-1234567890abcdefghij"), "Done."]
    await run(agent(turns), "Send.", tools=[send], approvals=lambda relay: True, record=tmp_path / "run.jsonl")
    assert "sk-proj" not in (tmp_path / "run.jsonl").read_text()
    llm = create_llm("replay", tmp_path / "run.jsonl")
    result = await run(create_agent_harness(llm), "Send.", tools=[send], approvals="recorded")
    assert next(e for e in result.events if isinstance(e, ToolResultEvent)).status == "denied"


async def test_recorded_approvals_without_a_recording_are_no(tmp_path: Path) -> None:
    result = await run(agent([call("add", a=1, b=2), "No."]), "Add.", tools=[add], approvals="recorded")
    answer = next(event for event in result.events if isinstance(event, ToolResultEvent))
    assert "create_llm('replay', path)" in answer.output


async def test_a_decision_is_recorded_by_whoever_wraps_the_harness_too(tmp_path: Path) -> None:
    harness = record(agent([call("add", a=1, b=2), "It is 3."]), tmp_path / "run.jsonl")
    async with aclosing(harness.invoke(messages=[UserMessage(content="Add.")], tools=[add])) as events:
        async for event in events:
            if isinstance(event, RelayEvent):
                assert event.respond({"approved": True}) is True
                assert event.respond({"approved": False}) is False
    kinds = [event.type for _, event in Recording.read(tmp_path / "run.jsonl").events]
    assert kinds.count("relay_answer") == 1
    assert kinds.index("relay") < kinds.index("relay_answer") < kinds.index("tool_call")


# -- what is written ----------------------------------------------------------------------------------------------------


class ThirtyLines:
    """A harness that somebody wrote: it knows nothing of recordings."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    async def supported_models(self) -> list[str]:
        return []

    async def invoke(self, params: GeneratorInvokeParams) -> AsyncIterator[HarnessEvent]:
        run_id = new_id()
        yield HarnessStartEvent(run_id=run_id)
        plan = await self._llm.agenerate("Make a plan.")
        async for event in self._llm.invoke(messages=[*params.messages, UserMessage(content=plan.content)]):
            if not isinstance(event, HarnessStartEvent | HarnessEndEvent):
                yield event.model_copy(update={"parent_id": run_id})
        yield HarnessEndEvent(run_id=run_id, reason="final")


async def test_the_model_calls_of_any_harness_are_recorded_and_replayed(tmp_path: Path) -> None:
    harness = ThirtyLines(ScriptedLLM(["First this, then that.", "Here it is."]))
    before = await run(harness, "Do it.", record=tmp_path / "run.jsonl")
    with create_llm("replay", tmp_path / "run.jsonl") as llm:
        after = await run(ThirtyLines(llm), "Do it.")
    assert after.transcript() == before.transcript()
    assert "First this" not in before.transcript()


@pytest.mark.kernel
async def test_an_rlm_is_recorded_and_replayed_with_the_calls_that_its_code_makes(tmp_path: Path) -> None:
    code = "```python\na = await llm_query('What is 2+2?')\nprint(a)\n```"
    config = RlmConfig(max_depth=0)
    model = ScriptedLLM([code, "4", "```python\nFINAL(a)\n```"])
    asked = {"prompt": "Add.", "context": "x" * 100}
    before = await run(create_rlm_harness(model, config=config), **asked, record=tmp_path / "run.jsonl")
    with create_llm("replay", tmp_path / "run.jsonl") as llm:
        after = await run(create_rlm_harness(llm, config=config), **asked)
    assert (before.text, after.transcript()) == ("4", before.transcript())
    assert (await run(replay(tmp_path / "run.jsonl"))).transcript() == before.transcript()


async def test_subagents_side_by_side_are_recorded_and_replayed(tmp_path: Path) -> None:
    turns = [[call("agent", task="one"), call("agent", task="two")], "Done.", "Done.", "Both are."]
    asked = {"prompt": "Go.", "tools": [agent_tool], "permissions": {"allowlist": ["agent"]}}
    before = await run(agent(turns), **asked, record=tmp_path / "run.jsonl")
    with create_llm("replay", tmp_path / "run.jsonl") as llm:
        after = await run(create_agent_harness(llm), **asked)
    assert (after.text, after.reason) == (before.text, "final") == ("Both are.", "final")
    assert sorted(after.transcript().split("\n")) == sorted(before.transcript().split("\n"))


async def test_two_recordings_one_inside_the_other_both_have_the_model(tmp_path: Path) -> None:
    llm = record(ScriptedLLM(TURNS), tmp_path / "inner.jsonl")
    await run(
        create_agent_harness(llm),
        "Add.",
        tools=[add],
        permissions={"allowlist": ["add"]},
        record=tmp_path / "outer.jsonl",
    )
    for name in ("inner", "outer"):
        with create_llm("replay", tmp_path / f"{name}.jsonl") as again:
            result = await run(create_agent_harness(again), "Add.", tools=[add], permissions={"allowlist": ["add"]})
        assert result.text == "They are 3 and 7."


async def test_a_tap_is_gone_where_the_recorded_harness_is_not_at_work(tmp_path: Path) -> None:
    llm = ScriptedLLM(["inside", "outside"])
    async with aclosing(record(llm, tmp_path / "run.jsonl").invoke(messages=[UserMessage(content="?")])) as events:
        async for event in events:
            if isinstance(event, HarnessEndEvent):
                await llm.agenerate("??")
    assert len(Recording.read(tmp_path / "run.jsonl").calls) == 1


async def test_the_keys_that_models_are_made_with_and_those_of_the_environment_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "plain as day 1234")
    llm = create_llm(
        "openai-compatible", "m", base_url="http://127.0.0.1:9/v1", api_key="my-strange-key", max_retries=0
    )
    await run(llm, "Is my-strange-key plain as day 1234?", record=tmp_path / "run.jsonl")
    text = (tmp_path / "run.jsonl").read_text()
    assert "my-strange-key" not in text.split('"request"', 1)[1], "as soon as the model is asked"
    assert "plain as day" not in text


async def test_a_recording_grows_with_what_is_said_and_not_with_its_square(tmp_path: Path) -> None:
    sizes = []
    for turns in (25, 50):
        scripted = [[f"Step {n}.", call("add", a=n, b=n)] for n in range(turns)]
        harness = create_agent_harness(ScriptedLLM([*scripted, "Done."]), max_iterations=100)
        path = tmp_path / f"{turns}.jsonl"
        result = await run(harness, "Go.", tools=[add], permissions={"allowlist": ["add"]}, record=path)
        result.save(tmp_path / "saved.jsonl")
        sizes.append((path.stat().st_size, (tmp_path / "saved.jsonl").stat().st_size))
    for small, big in zip(*sizes, strict=True):
        assert big < 2.1 * small


async def test_a_file_is_begun_anew_added_to_by_the_same_harness_and_never_shared(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.jsonl"
    llm = record(ScriptedLLM(["One.", "Two.", "Three."]), path)
    await llm.agenerate("1?")
    await llm.with_options(temperature=0).agenerate("2?")
    assert [invoke.messages[0].content for invoke in Recording.read(path).invokes] == ["1?", "2?"]
    await run(ScriptedLLM(["New."]), "3?", record=path)
    assert [invoke.messages[0].content for invoke in Recording.read(path).invokes] == ["3?"]
    with pytest.raises(ConfigurationError, match="was changed since"):
        await llm.agenerate("4?")
    held = start(ScriptedLLM(["x"]), "5?", record=path)
    with pytest.raises(ConfigurationError, match="a file of its own"):
        start(ScriptedLLM(["y"]), "6?", record=path)
    assert (await held).text == "x"
    with pytest.raises(ConfigurationError, match="can't be written"):
        start(ScriptedLLM(["z"]), "7?", record=tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header"),
        ("hello\n", "line 1: not a JSON object"),
        ('{"a": 1}\n', "no recording"),
        ('{"recording": 2, "started": 0}\n', "version 2, and this one reads up to 1"),
        ('{"recording": 1, "started": 0}\nnonsense\n', "line 2: not a JSON object"),
        ('{"recording": 1, "started": 0}\n{"t": 0, "event": {"type": "text"}}\n', "line 2: ValueError"),
        ('{"recording": 1, "started": 0}\n{"t": 0, "+": "x"}\n', "line 2"),
    ],
)
def test_a_file_that_is_no_recording_is_told_by_name_and_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "run.jsonl").write_text(text)
    with pytest.raises(RecordingError, match=says):
        Recording.read(tmp_path / "run.jsonl")


async def test_a_replay_of_nothing_says_which_file(tmp_path: Path) -> None:
    result = await run(create_llm("replay", tmp_path / "none.jsonl"), "?")
    assert isinstance(result.error, RecordingError)
    assert "none.jsonl" in str(result.error)
    with pytest.raises(ConfigurationError, match=r"create_llm\('replay', 'run.jsonl'\)"):
        create_llm("replay")
    with pytest.raises(RecordingError, match="can't be read"):
        start(replay(tmp_path / "none.jsonl"))
    with pytest.raises(ConfigurationError, match="takes a harness"):
        record("agent", "x")  # type: ignore[arg-type]


async def test_errors_are_recorded_by_their_name(tmp_path: Path) -> None:
    before = await run(agent([ProviderAPIError("overloaded")]), "Go.", record=tmp_path / "run.jsonl")
    after = await run(replay(tmp_path / "run.jsonl"))
    assert after.transcript() == before.transcript()
    assert isinstance(next(e for e in after.events if isinstance(e, ErrorEvent)).error, Exception)
