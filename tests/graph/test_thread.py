"""The tree read as a conversation: flat where it is one, with branches where something hangs on a message."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway_nb.graph import ThreadNode, fold, project_thread
from llm_gateway_nb.testing.strategies import event_streams, harness_events
from llm_gateway_nb.types import (
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReasoningEvent,
    RelayEvent,
    ReplInputEvent,
    ReplOutputEvent,
    TextContentPart,
    TextEvent,
    ToolCallEvent,
    ToolProgressEvent,
    ToolResultEvent,
    UserEvent,
)


def start(run: str = "r", **more: Any) -> HarnessStartEvent:
    return HarnessStartEvent(run_id=run, **more)


def text(content: str, run: str = "p", parent: str | None = "r", event_id: str = "t") -> TextEvent:
    return TextEvent(run_id=run, parent_id=parent, id=event_id, content=content)


def end(run: str = "r", **more: Any) -> HarnessEndEvent:
    return HarnessEndEvent(run_id=run, **{"reason": "final", **more})


def called(call_id: str = "r/1", run: str = "r", name: str = "agent") -> ToolCallEvent:
    return ToolCallEvent(run_id=run, id=call_id, name=name, input={"task": "x"})


def result(call_id: str = "r/1", run: str = "r", name: str = "agent", **more: Any) -> ToolResultEvent:
    return ToolResultEvent(run_id=run, id=call_id, name=name, **{"output": "done", "status": "ok", **more})


def shape(nodes: list[ThreadNode]) -> list[Any]:
    return [(node.kind, *map(shape, node.branches)) if node.branches else node.kind for node in nodes]


def test_nothing_is_an_empty_conversation() -> None:
    assert project_thread(fold([])) == []


def test_a_finished_answer_is_one_complete_text_without_branches() -> None:
    (node,) = project_thread(fold([start(), text("Hel"), text("lo"), end()]))
    assert (node.kind, node.role, node.content, node.status, node.branches) == (
        "text",
        "assistant",
        "Hello",
        "complete",
        [],
    )
    assert node.run_id == "r", "the agent's, not that of its model call"


def test_reasoning_comes_before_the_text_it_led_to() -> None:
    thread = project_thread(
        fold([start(), ReasoningEvent(run_id="p", parent_id="r", id="x", content="hm"), text("so")])
    )
    assert [(node.kind, node.status) for node in thread] == [("reasoning", "complete"), ("text", "streaming")]


def test_live_text_of_a_model_call_in_a_live_agent_streams_and_a_failure_breaks_it_off() -> None:
    assert project_thread(fold([start(), text("Hel")]))[0].status == "streaming"
    failed = project_thread(
        fold([start(), text("Hel"), ErrorEvent(run_id="r", error=OSError("no")), end(reason="error")])
    )
    assert [(node.kind, node.status) for node in failed] == [("text", "complete"), ("error", "error")]
    assert project_thread(fold([start(), text("Hel"), end(reason="error")]))[0].status == "error"


def test_text_of_a_stream_that_says_neither_start_nor_end_is_complete() -> None:
    assert project_thread(fold([text("Hi", parent=None)]))[0].status == "complete"


def test_a_subagent_is_a_branch_of_its_call_and_the_output_stands_in_the_call() -> None:
    events = [start(), called(), start("s", parent_id="r/1"), text("sub", "sp", "s", "st"), end("s"), result(), end()]
    (node,) = project_thread(fold(events))
    assert shape([node]) == [("tool_call", ["text"])]
    assert node.content["output"] == "done"
    assert node.branches[0][0].run_id == "s"


def test_two_subagents_of_one_call_are_two_branches() -> None:
    events = [start(), called()]
    for run in ("a", "b"):
        events += [start(run, parent_id="r/1"), text(run, f"{run}p", run, f"{run}t")]
    assert shape(project_thread(fold(events))) == [("tool_call", ["text"], ["text"])]


def test_a_subagent_that_has_said_nothing_is_pending_until_it_does() -> None:
    events: list[HarnessEvent] = [start(), called(), start("s", parent_id="r/1")]
    (pending,) = project_thread(fold(events))[0].branches[0]
    assert (pending.kind, pending.run_id, pending.status) == ("pending", "s", "streaming")
    assert shape(project_thread(fold([*events, text("x", "sp", "s")]))) == [("tool_call", ["text"])]


def test_the_persons_turn_keeps_its_text_and_an_answer_goes_on_flat() -> None:
    user = UserEvent(run_id="u", id="u1", content=[TextContentPart(text="Hi")])
    thread = project_thread(fold([user, start(parent_id="u1"), text("Hello"), end()]))
    assert [(node.role, node.content) for node in thread] == [("user", "Hi"), ("assistant", "Hello")]
    unlinked = project_thread(fold([user, start(), text("Hello"), end()]))
    assert shape(unlinked) == ["user", "text"]


def test_a_second_answer_to_the_same_turn_is_a_branch() -> None:
    user = UserEvent(run_id="u", id="u1", content="Hi")
    events = [
        user,
        *(
            e
            for run in ("a", "b")
            for e in (start(run, parent_id="u1"), text(run, f"{run}p", run, f"{run}t"), end(run))
        ),
    ]
    assert shape(project_thread(fold(events))) == [("user", ["text"]), "text"]


def test_a_run_that_hangs_on_a_text_is_a_branch_of_it() -> None:
    events = [start(), text("one"), start("s", parent_id="t"), text("sub", "sp", "s", "st")]
    assert shape(project_thread(fold(events))) == [("text", ["text"])]


def test_progress_and_questions_stand_with_their_call() -> None:
    progress = ToolProgressEvent(
        run_id="r", tool_call_id="r/1", name="bash", content={"stream": "stdout", "text": "a\n"}
    )
    relay = RelayEvent(run_id="r", tool_call_id="r/2", tool="bash", params={"command": "ls"})
    first, second = project_thread(fold([start(), called(name="bash"), progress, relay]))
    assert first.content["progress"] == "a\n"
    assert (second.status, second.branches[0][0].content["tool"]) == ("streaming", "bash")


def test_repl_turns_show_code_and_output_and_their_children() -> None:
    events = [
        start(),
        ReplInputEvent(run_id="r", id="i", code="print(1)"),
        start("c", parent_id="i"),
        text("child", "c", "i", "ct"),
        end("c"),
        ReplOutputEvent(run_id="r", id="i", stdout="1\n", done=True),
    ]
    (node,) = project_thread(fold(events))
    assert (node.kind, node.content["code"], node.content["stdout"]) == ("repl", "print(1)", "1\n")
    assert shape([node]) == [("repl", ["text"])]


def test_three_thousand_levels_are_no_trouble() -> None:
    events: list[HarnessEvent] = [start("0")]
    for level in range(3000):
        events += [called(f"{level}/1", str(level)), start(str(level + 1), parent_id=f"{level}/1")]
    tree = fold(events)
    assert len(list(tree.walk())) == len(tree.nodes)
    deep = project_thread(tree)
    for _ in range(3000):
        deep = deep[0].branches[0]
    assert deep[0].kind == "pending"


@given(st.lists(harness_events(), max_size=30) | event_streams())
@settings(deadline=None)
def test_every_thing_that_is_said_is_somewhere_in_the_conversation_once(events: list[HarnessEvent]) -> None:
    tree = fold(events)
    seen: list[str] = []
    waiting = [project_thread(tree)]
    while waiting:
        for node in waiting.pop():
            seen.append(node.id)
            waiting.extend(node.branches)
    said = [node.id for node in tree.nodes if node.kind not in {"run", "turn"}]
    assert sorted(each for each in seen if not each.endswith("#pending")) == sorted(said)
