"""A run as plain text."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings

from llm_gateway_nb.graph.fold import fold, fold_answer, fold_event
from llm_gateway_nb.notebook.text import jsonable, printed, shown
from llm_gateway_nb.notebook.transcript import transcript
from llm_gateway_nb.testing.strategies import event_streams
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReasoningEvent,
    RelayEvent,
    RelayResponse,
    ReplInputEvent,
    ReplOutputEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UserEvent,
)


def told(text: str) -> str:
    return dedent(text).strip("\n")


def test_a_run_is_told_as_a_person_would() -> None:
    tree = fold(
        [
            UserEvent(run_id="u", content="How many lines has notes.txt?"),
            HarnessStartEvent(run_id="r", model="scripted"),
            ReasoningEvent(run_id="r", id="a", content="Count,\nthen say."),
            TextEvent(run_id="r", id="b", content="I will count them."),
            RelayEvent(run_id="r", id="q", tool_call_id="c", tool="bash", params={"command": "wc -l notes.txt"}),
        ]
    )
    fold_answer(tree, "q", RelayResponse(approved=True), by="policy")
    for event in (
        ToolCallEvent(run_id="r", id="c", name="bash", input={"command": "wc -l notes.txt"}),
        ToolResultEvent(run_id="r", id="c", name="bash", output="3 notes.txt\n", status="ok"),
        TextEvent(run_id="r", id="d", content="It has 3 lines."),
        HarnessEndEvent(run_id="r", reason="final"),
    ):
        fold_event(tree, event)
    assert transcript(tree) == told(
        """
        You: How many lines has notes.txt?
        Thought: Count,
          then say.
        Assistant: I will count them.
        bash(command="wc -l notes.txt")
          asked: approved by policy
          → 3 notes.txt
        Assistant: It has 3 lines.
        [done]
        """
    )


def test_a_run_inside_a_call_is_indented_and_its_failure_said() -> None:
    tree = fold(
        [
            HarnessStartEvent(run_id="r"),
            ToolCallEvent(run_id="r", id="c", name="agent", input={"task": "look"}),
            HarnessStartEvent(run_id="s", parent_id="c"),
            ToolCallEvent(run_id="s", id="d", name="read", input={"path": "x"}),
            ErrorEvent(run_id="s", tool_call_id="d", error=FileNotFoundError("no x")),
            ToolResultEvent(run_id="s", id="d", name="read", output="FileNotFoundError: no x", status="error"),
            ErrorEvent(run_id="s", error=RuntimeError("gave up")),
            HarnessEndEvent(run_id="s", reason="error"),
            ToolResultEvent(run_id="r", id="c", name="agent", output="RuntimeError: gave up", status="error"),
            HarnessEndEvent(run_id="r", reason="max_iterations"),
        ]
    )
    assert transcript(tree) == told(
        """
        agent(task="look")
          read(path="x")
            ✗ error: FileNotFoundError: no x
          RuntimeError: gave up
          [failed]
          ✗ error: RuntimeError: gave up
        [stopped at its limit]
        """
    )


def test_long_arguments_stand_on_lines_of_their_own() -> None:
    call = ToolCallEvent(run_id="r", id="c", name="patch", input={"path": "a.py", "patch": "@@\n-a\n+" + "b" * 150})
    assert transcript(fold([call])) == told(
        f"""
        patch(
          path = "a.py"
          patch = @@
            -a
            +{"b" * 150}
        )
          … still running
        """
    )


def test_a_repl_turn_looks_as_in_a_console() -> None:
    tree = fold(
        [
            ReplInputEvent(run_id="r", id="i", code="for i in range(2):\n    print(i)", iteration=1),
            ReplOutputEvent(
                run_id="r",
                id="i",
                stdout="0\n1\n",
                done=True,
                error="ValueError: x",
                duration_ms=12.3,
                mime=[{"data": {"text/plain": "<Figure>"}}],
            ),
        ]
    )
    assert transcript(tree) == told(
        """
        In [2]: for i in range(2):
                    print(i)
          0
          1
          <Figure>
          ✗ ValueError: x
        """
    )


@pytest.mark.parametrize(
    ("response", "by", "words"),
    [
        (RelayResponse(approved=True), "person", "asked: approved by you"),
        (RelayResponse(approved=False, reason="no"), "person", "asked: denied by you: no"),
        (
            RelayResponse(approved=True, always=True),
            "person",
            'asked: approved by you, and always bash(command="ls *")',
        ),
        (RelayResponse(approved=False), "timeout", "asked: denied by nobody in time"),
        (None, "", "asked: waiting for an answer"),
    ],
)
def test_every_answer_has_its_words(response: RelayResponse | None, by: str, words: str) -> None:
    rule = {"tool": "bash", "params": {"command": "ls *"}}
    tree = fold([RelayEvent(run_id="r", id="q", tool_call_id="c", tool="bash", params={"command": "ls"}, rule=rule)])
    if response is not None:
        fold_answer(tree, "q", response, by=by)
    assert words in [line.strip() for line in transcript(tree).splitlines()]


def test_a_budget_asks_for_more() -> None:
    tree = fold([BudgetRelayEvent(run_id="r", id="q", unit="tokens", limit=10_000, used=10_432)])
    assert transcript(tree) == ("asked: the budget of 10,000 tokens is reached (10,432); go on? waiting for an answer")


@settings(max_examples=150, deadline=None)
@given(event_streams())
def test_any_stream_can_be_told_and_always_in_the_same_words(events: list[HarnessEvent]) -> None:
    words = transcript(fold(events))
    words.encode()
    assert transcript(fold(events)) == words
    assert all(line == line.rstrip() for line in words.split("\n"))


def test_what_a_terminal_would_show() -> None:
    assert printed("\x1b[31mred\x1b[0m\r\n10%\r100%\r\n\x1b]8;;http://x\x07link\x1b]8;;\x07") == "red\n100%\nlink"
    assert shown("a\rb\u202e\x7f\U000e0041") == "a␍b⟨U+202E⟩␡⟨U+E0041⟩"


def test_values_become_json_that_means_the_same() -> None:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    assert jsonable({1: (True, None, 2**70, float("inf")), "s": {"b", "a"}, "c": cycle}) == {
        "1": [True, None, str(2**70), "inf"],
        "s": ["a", "b"],
        "c": [1, "…"],
    }
    assert jsonable(object()) == "<object object>"
