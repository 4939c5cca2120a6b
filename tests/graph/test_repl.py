"""Runs in a REPL, turn by turn."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway_nb.graph import fold, project_repl
from llm_gateway_nb.testing.strategies import event_streams, harness_events
from llm_gateway_nb.types import (
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    RelayEvent,
    ReplInputEvent,
    ReplOutputEvent,
    ReplProgressEvent,
    TextEvent,
    TotalUsage,
)


def start(run: str = "r", **more: Any) -> HarnessStartEvent:
    return HarnessStartEvent(run_id=run, **{"max_iterations": 5, **more})


def text(content: str, run: str = "r", event_id: str = "t") -> TextEvent:
    return TextEvent(run_id=run, id=event_id, content=content)


def turn(n: int, run: str = "r", **output: Any) -> list[HarnessEvent]:
    return [
        text(f"I think {n}.", run, f"{run}t{n}"),
        ReplInputEvent(run_id=run, id=f"{run}i{n}", code=f"code {n}", iteration=n),
        ReplOutputEvent(run_id=run, id=f"{run}i{n}", iteration=n, **{"stdout": f"out {n}", "done": False, **output}),
    ]


def end(run: str = "r", **more: Any) -> HarnessEndEvent:
    return HarnessEndEvent(run_id=run, **{"reason": "final", **more})


def test_each_turn_has_its_own_reasoning_code_and_output_and_the_text_after_done_is_the_answer() -> None:
    usage = TotalUsage(input_tokens=300, output_tokens=130)
    events = [start(), *turn(0), *turn(1, done=True), text("42", event_id="a"), end(total_usage=usage)]
    (agent,) = project_repl(fold(events))
    assert [(each.reasoning, each.code, each.stdout, each.phase) for each in agent.turns] == [
        ("I think 0.", "code 0", "out 0", "done"),
        ("I think 1.", "code 1", "out 1", "done"),
    ]
    assert (agent.final_answer, agent.status, agent.max_iterations) == ("42", "done", 5)
    assert (agent.input_tokens, agent.output_tokens) == (300, 130)


def test_code_that_raised_is_a_turn_in_error_and_the_limit_is_a_status() -> None:
    (agent,) = project_repl(fold([start(), *turn(0, error="NameError"), end(reason="max_iterations")]))
    assert (agent.turns[0].phase, agent.turns[0].error, agent.status) == ("error", "NameError", "max_iterations")


def test_mixed_progress_is_kept_apart() -> None:
    progress = [
        ReplProgressEvent(run_id="r", id=str(n), chunk=stream[-3], stream=stream, repl_id="ri0")  # type: ignore[arg-type]
        for n, stream in enumerate(["stdout", "stderr", "stdout"])
    ]
    (agent,) = project_repl(fold([start(), *turn(0)[:2], *progress]))
    assert (agent.turns[0].stdout, agent.turns[0].stderr, agent.turns[0].phase) == ("oo", "e", "running")


def test_an_open_question_is_a_phase() -> None:
    relay = RelayEvent(run_id="r", tool_call_id="ri0", tool="exec", params={"command": "ls"})
    (agent,) = project_repl(fold([start(), *turn(0)[:2], relay]))
    assert agent.turns[0].phase == "permission"


def test_an_error_before_any_code_is_a_turn_and_a_recovery_ends_well() -> None:
    failed = [start(), text("no code"), ErrorEvent(run_id="r", error=ValueError("no code block"))]
    (agent,) = project_repl(fold([*failed, end(reason="error")]))
    assert [(each.phase, each.error) for each in agent.turns] == [("error", "no code block")]
    assert agent.status == "error"
    (agent,) = project_repl(fold([*failed, *turn(1, done=True), text("42", event_id="a"), end()]))
    assert [each.phase for each in agent.turns] == ["error", "done"]
    assert (agent.status, agent.final_answer) == ("done", "42")


def test_children_stand_in_the_turn_that_called_them() -> None:
    events = [
        start(),
        *turn(0),
        *turn(1)[:2],
        start("c", parent_id="ri1", depth=1),
        *turn(0, "c", done=True),
        text("child says", "c", "ca"),
        end("c"),
    ]
    (agent,) = project_repl(fold(events))
    assert [len(each.children) for each in agent.turns] == [0, 1]
    child = agent.turns[1].children[0]
    assert (child.run_id, child.depth, child.final_answer) == ("c", 1, "child says")


def test_a_run_that_never_started_is_left_out() -> None:
    assert project_repl(fold([text("hi", "p")])) == []


@given(st.lists(harness_events(), max_size=30) | event_streams())
@settings(deadline=None)
def test_any_stream_projects(events: list[HarnessEvent]) -> None:
    project_repl(fold(events))
