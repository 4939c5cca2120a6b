"""Events become a tree, whatever comes in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway_nb.errors import ProviderAPIError
from llm_gateway_nb.graph import (
    Added,
    Appended,
    RunTree,
    Updated,
    fold,
    fold_answer,
    fold_event,
    last_text,
    project_messages,
)
from llm_gateway_nb.testing.strategies import event_streams, harness_events
from llm_gateway_nb.types import (
    AssistantMessage,
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReasoningEvent,
    RelayAnswerEvent,
    RelayEvent,
    RelayResponse,
    ReplInputEvent,
    ReplOutputEvent,
    ReplProgressEvent,
    TextEvent,
    ToolCallEvent,
    ToolMessage,
    ToolProgressEvent,
    ToolResultEvent,
    UnknownEvent,
    UsageEvent,
    UserEvent,
)


def shape(tree: RunTree) -> list[tuple[int, str, str]]:
    """Depth, kind and text of every node."""

    def walk(nodes: Any, depth: int) -> Any:
        for node in nodes:
            yield depth, node.kind, node.text()
            yield from walk(node.children, depth + 1)

    return list(walk(tree.roots, 0))


def start(run: str = "r", **more: Any) -> HarnessStartEvent:
    return HarnessStartEvent(run_id=run, **more)


def text(content: str, run: str = "p", parent: str | None = "r", event_id: str = "t") -> TextEvent:
    return TextEvent(run_id=run, parent_id=parent, id=event_id, content=content)


def end(run: str = "r", **more: Any) -> HarnessEndEvent:
    return HarnessEndEvent(run_id=run, **{"reason": "final", **more})


def test_nothing_gives_an_empty_tree() -> None:
    assert shape(fold([])) == []
    assert project_messages(fold([])) == []


def test_a_turn_hangs_under_its_agent_and_its_deltas_are_one_node() -> None:
    tree = fold([UserEvent(run_id="u", content="hi"), start(), text("Hel"), text("lo"), end()])
    assert shape(tree) == [(0, "user", "hi"), (0, "run", ""), (1, "turn", ""), (2, "text", "Hello")]
    assert tree.roots[1].status == "final"


def test_reasoning_and_text_are_two_nodes_in_their_order() -> None:
    tree = fold([start(), ReasoningEvent(run_id="p", parent_id="r", id="x", content="hm"), text("so")])
    assert [kind for _, kind, _ in shape(tree)] == ["run", "turn", "reasoning", "text"]


def test_a_subagent_stands_inside_the_call_that_spawned_it() -> None:
    tree = fold([start(), ToolCallEvent(run_id="r", id="r/1", name="agent", input={"task": "x"}), start("s", parent_id="r/1", depth=1),
                 text("sub", "sp", "s", "st"), end("s"), ToolResultEvent(run_id="r", id="r/1", name="agent", output="sub", status="ok"), end()])  # fmt: skip
    assert [(depth, kind) for depth, kind, _ in shape(tree)] == [
        (0, "run"),
        (1, "tool"),
        (2, "run"),
        (3, "turn"),
        (4, "text"),
    ]


def test_a_question_stands_in_the_tool_it_asks_about_before_that_runs() -> None:
    relay = RelayEvent(run_id="r", tool_call_id="r/1", tool="bash", params={"command": "ls"})
    tree = fold([start(), relay])
    tool = tree.roots[0].children[0]
    assert (tool.kind, tool.status, tool.children[0].status) == ("tool", "asking", "pending")
    fold_answer(tree, relay.id, RelayResponse(approved=True), by="person")
    fold_event(tree, ToolCallEvent(run_id="r", id="r/1", name="bash", input={"command": "ls"}))
    assert (tool.status, tool.children[0].status) == ("running", "approved")
    fold_event(tree, ToolResultEvent(run_id="r", id="r/1", name="bash", output="x", status="ok"))
    assert (tool.status, len(tree.roots[0].children)) == ("ok", 1)


def test_an_answer_is_an_event_so_that_a_stream_read_again_gives_the_same_tree() -> None:
    relay = RelayEvent(run_id="r", tool_call_id="r/1", tool="bash", params={"command": "ls"})
    answer = RelayAnswerEvent(run_id="r", id=relay.id, approved=False, reason="Not now.", by="person")
    node = fold([start(), relay, answer, answer]).find(relay.id)
    assert (node.status, node.props["reason"], node.props["by"]) == ("denied", "Not now.", "person")


def test_an_answer_that_nobody_noted_is_read_off_what_follows() -> None:
    relays = [RelayEvent(run_id="r", tool_call_id=f"r/{n}", tool="t", params={}) for n in (1, 2)]
    calls = [ToolCallEvent(run_id="r", id=f"r/{n}", name="t", input={}) for n in (1, 2)]
    results = [
        ToolResultEvent(run_id="r", id=f"r/{n}", name="t", output="", status=s) for n, s in ((1, "ok"), (2, "denied"))
    ]
    tree = fold([start(), *relays, *calls, *results])
    assert [tree.find(relay.id).status for relay in relays] == ["approved", "denied"]


def test_the_end_of_a_run_withdraws_its_questions_and_closes_its_tools() -> None:
    relay = RelayEvent(run_id="r", tool_call_id="r/1", tool="t", params={})
    tree = fold([start(), relay, ToolCallEvent(run_id="r", id="r/2", name="t", input={}), end(reason="cancelled")])
    assert tree.find(relay.id).status == "withdrawn"
    assert [node.status for node in tree.roots[0].children] == ["cancelled", "cancelled"]


def test_progress_repl_errors_usage_and_the_unknown_all_have_their_place() -> None:
    tree = fold([
        start(),
        ToolCallEvent(run_id="r", id="r/1", name="t", input={}),
        ToolProgressEvent(run_id="r", tool_call_id="r/1", name="t", content={"stream": "stdout", "text": "a\n"}),
        ToolProgressEvent(run_id="r", tool_call_id="r/1", name="t", content="b"),
        ReplInputEvent(run_id="r", id="i", code="print(1)"),
        ReplProgressEvent(run_id="r", id="x", chunk="1\n", stream="stdout", repl_id="i"),
        ReplOutputEvent(run_id="r", id="i", stdout="1\n", done=False),
        UsageEvent(run_id="p", parent_id="r", input_tokens=3, output_tokens=2),
        UsageEvent(run_id="q", parent_id="r", input_tokens=3, output_tokens=2),
        ErrorEvent(run_id="r", error=ProviderAPIError("no")),
        UnknownEvent(run_id="r", type="new", zip=1),
    ])  # fmt: skip
    run = tree.roots[0]
    assert tree.find("r/1").text("progress") == "a\nb"
    assert tree.find("i").text("stdout") == "1\n"
    assert run.props["inputTokens"] == 6
    kinds = [node.kind for node in run.children]
    assert kinds == ["tool", "repl", "turn", "turn", "error", "note"]
    assert run.children[-1].text() == '{"zip": 1}'


def test_a_history_is_projected_with_every_call_answered() -> None:
    tree = fold([
        start(),
        text("Look.", "p1"),
        ToolCallEvent(run_id="r", id="r/a", name="t", input={"x": 1}),
        ToolCallEvent(run_id="r", id="r/b", name="t", input="{broken"),
        ToolResultEvent(run_id="r", id="r/a", name="t", output="1", status="ok"),
        end(reason="cancelled"),
    ])  # fmt: skip
    messages = project_messages(tree)
    assert [type(message) for message in messages] == [AssistantMessage, ToolMessage, ToolMessage]
    assert [call.id for call in messages[0].tool_calls] == ["a", "b"]
    assert messages[0].tool_calls[1].arguments == {"raw": "{broken"}
    assert [message.content for message in messages[1:]] == ["1", "The call was interrupted before it had a result."]


def test_turns_with_calls_between_them_are_messages_of_their_own() -> None:
    tree = fold([start(), text("One.", "p1", event_id="a"), ToolCallEvent(run_id="r", id="r/a", name="t", input={}),
                 ToolResultEvent(run_id="r", id="r/a", name="t", output="1"), text("Two.", "p2", event_id="b"), end()])  # fmt: skip
    assert [message.role for message in project_messages(tree)] == ["assistant", "tool", "assistant"]
    assert last_text(tree) == "Two."


class Page:
    """What a view makes of changes: the plainest one that could be."""

    def __init__(self) -> None:
        self.nodes: dict[int, dict[str, Any]] = {}

    def apply(self, changes: Any) -> None:
        for change in changes:
            match change:
                case Added(node=node):
                    assert node.key not in self.nodes
                    parent = None if node.parent is None else node.parent.key
                    assert parent is None or parent in self.nodes, "parents come first"
                    self.nodes[node.key] = {"parent": parent, "props": dict(node.props), "streams": {}}
                case Appended(node=node, stream=stream, text=text):
                    streams = self.nodes[node.key]["streams"]
                    streams[stream] = streams.get(stream, "") + text
                case Updated(node=node, props=props):
                    self.nodes[node.key]["props"].update(props)


@given(st.lists(harness_events(), max_size=30) | event_streams(), st.data())
@settings(deadline=None)
def test_any_stream_folds_and_patches_add_up_to_the_snapshot(events: list[HarnessEvent], data: st.DataObject) -> None:
    tree, live = RunTree(), Page()
    for event in events:
        fold_event(tree, event)
        if data.draw(st.booleans()):
            live.apply(tree.take_changes())
    live.apply(tree.take_changes())
    late = Page()
    late.apply(tree.snapshot())
    assert live.nodes == late.nodes
    assert len(list(tree.walk())) == len(tree.nodes)
    called = [c.id for m in project_messages(tree) if isinstance(m, AssistantMessage) for c in m.tool_calls or ()]
    answered = [m.tool_call_id for m in project_messages(tree) if isinstance(m, ToolMessage)]
    assert called == answered


def test_what_comes_after_the_end_is_shown_with_a_note() -> None:
    tree = fold([start(), text("one"), end(), text("two", "p2", event_id="t2"), text("three", "p3", event_id="t3")])
    notes = [node.props["title"] for node in tree.nodes if node.kind == "note"]
    assert notes == ["what follows came after the end"], "once a run"
    assert [text for _, kind, text in shape(tree) if kind == "text"] == ["one", "two", "three"]


def test_a_start_that_comes_after_the_end_does_not_bring_a_run_back() -> None:
    tree = fold([text("one"), end(), start()])
    assert tree.find("r").status == "final"


def test_a_second_result_changes_nothing_and_is_noted() -> None:
    results = [
        ToolResultEvent(run_id="r", id="r/1", name="t", output=n, status="ok") for n in ("first", "second", "third")
    ]
    tree = fold([start(), ToolCallEvent(run_id="r", id="r/1", name="t", input={}), *results])
    assert tree.find("r/1").props["output"] == "first"
    assert [node.props["title"] for node in tree.nodes if node.kind == "note"] == [
        "2 events came twice, and the second was left out"
    ]


def numbered(events: list[HarnessEvent]) -> list[HarnessEvent]:
    return [event.model_copy(update={"seq": n}) for n, event in enumerate(events)]


@given(event_streams(), st.data())
@settings(deadline=None)
def test_a_reconnect_that_repeats_numbered_events_doubles_nothing(
    events: list[HarnessEvent], data: st.DataObject
) -> None:
    events = numbered(events)
    cut = data.draw(st.integers(0, len(events)))
    back = data.draw(st.integers(0, cut))
    once, twice = fold(events), fold([*events[:cut], *events[back:cut], *events[cut:]])
    assert [each for each in shape(twice) if each[1] != "note"] == [each for each in shape(once) if each[1] != "note"]
    assert project_messages(twice) == project_messages(once)


@given(event_streams(), st.data())
@settings(deadline=None)
def test_a_stream_with_holes_and_out_of_order_still_folds(events: list[HarnessEvent], data: st.DataObject) -> None:
    kept = [event for event in events if data.draw(st.integers(0, 4))]
    tree = fold(data.draw(st.permutations(kept)))
    assert len(list(tree.walk())) == len(tree.nodes)
    roles = [message.role for message in project_messages(tree)]
    assert "assistant assistant" not in " ".join(roles)


def test_what_a_fold_makes_of_much_text_is_the_text() -> None:
    tree = fold([start(), *(text(f"{n} ") for n in range(5000))])
    assert tree.find("t").text() == "".join(f"{n} " for n in range(5000))
    assert tree.changes == [], "nobody has been watching"


def test_content_that_no_json_holds_is_text() -> None:
    circle: list[Any] = []
    circle.append(circle)
    progress = ToolProgressEvent(run_id="r", tool_call_id="r/1", name="t", content=circle)
    result = ToolResultEvent(run_id="r", id="r/1", name="t", output={(1, 2): circle}, status="ok")
    tree = fold([start(), ToolCallEvent(run_id="r", id="r/1", name="t", input={}), progress, result])
    assert "..." in tree.find("r/1").text("progress")
    assert len(project_messages(tree)) == 2


@given(event_streams())
@settings(deadline=None)
def test_a_stream_that_comes_twice_has_its_text_doubled_but_no_new_runs(events: list[HarnessEvent]) -> None:
    events = [event.model_copy(update={"seq": None}) for event in events]
    tree = fold(events)
    runs = [node.id for node in tree.nodes if node.kind == "run"]
    for event in events:
        fold_event(tree, event)
    assert [node.id for node in tree.nodes if node.kind == "run"] == runs


def test_the_text_above_a_cell_is_what_was_said_and_not_the_code_again() -> None:
    said = "Let me look.\n\n```python\nprint(1)\n```"
    tree = fold(
        [
            HarnessStartEvent(run_id="r"),
            TextEvent(run_id="r", id="t", content=said),
            ReplInputEvent(run_id="r", id="c", code="print(1)", iteration=0),
            ReplOutputEvent(run_id="r", id="c", stdout="1", done=False),
            TextEvent(run_id="r", id="a", content="```python\nnot run\n```"),
        ]
    )
    first, last = tree.find("t"), tree.find("a")
    assert first is not None
    assert last is not None
    assert (first.said, first.text()) == ("Let me look.", said)
    assert last.said == last.text()


def test_a_cell_below_a_tool_call_is_told_of_there() -> None:
    tree = fold(
        [
            ToolCallEvent(run_id="r", id="r/1", name="python", input={"code": "1"}),
            ReplInputEvent(run_id="cell", parent_id="r/1", id="c", code="1"),
        ]
    )
    call = tree.find("r/1")
    assert call is not None
    assert call.props["cell"] is True
