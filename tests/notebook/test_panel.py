"""The panel's Python side: what is said to a page, when, and what is taken from one."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway_nb.graph.fold import fold, fold_event
from llm_gateway_nb.graph.tree import RunTree
from llm_gateway_nb.notebook import panel as panel_module
from llm_gateway_nb.notebook.modules import read_module, read_styles
from llm_gateway_nb.notebook.panel import RunPanel, live_bundle
from llm_gateway_nb.testing.strategies import event_streams
from llm_gateway_nb.types import HarnessEvent, HarnessStartEvent, TextEvent, ToolCallEvent, ToolResultEvent

Message = dict[str, Any]


class Clock:
    """Time, and a loop, that stand still until they are told to go on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now

    def call_later(self, delay: float, callback: Any) -> Timer:
        self.timers.append(Timer(self.now + delay, callback))
        return self.timers[-1]

    def go_on(self, seconds: float) -> None:
        self.now += seconds
        due, self.timers = [t for t in self.timers if t.at <= self.now], [t for t in self.timers if t.at > self.now]
        for timer in due:
            if not timer.cancelled:
                timer.callback()


class Timer:
    def __init__(self, at: float, callback: Any) -> None:
        self.at, self.callback, self.cancelled = at, callback, False

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(panel_module, "time", clock)
    monkeypatch.setattr(panel_module.asyncio, "get_running_loop", lambda: clock)
    return clock


def make_panel(tree: RunTree, **kwargs: Any) -> tuple[RunPanel, list[Message]]:
    panel = RunPanel(tree, **kwargs)
    sent: list[Message] = []
    panel.send = sent.append
    return panel, sent


def say(panel: RunPanel, content: Any) -> None:
    """What a page says."""
    panel._on_custom(panel, content, [])


def text(content: str) -> TextEvent:
    return TextEvent(run_id="r", id="t", content=content)


def picture(messages: list[Message]) -> dict[int, Any]:
    """What a page makes of messages: parent, kind, props and streams of every node."""
    nodes: dict[int, Any] = {}
    for message in messages:
        for what, key, *rest in message["ops"]:
            match what:
                case "n":
                    parent, kind, props = rest
                    assert key not in nodes
                    assert parent is None or parent in nodes, "a parent comes before its children"
                    nodes[key] = {"parent": parent, "kind": kind, "props": dict(props), "streams": {}}
                case "+":
                    stream, more = rest
                    nodes[key]["streams"][stream] = nodes[key]["streams"].get(stream, "") + more
                case "s":
                    nodes[key]["props"].update(rest[0])
                    if nodes[key]["kind"] == "turn" and rest[0].get("kind") == "run":
                        nodes[key]["kind"] = "run"
    return nodes


# -- when --------------------------------------------------------------------------------------------------------------


def test_the_first_change_is_told_at_once_and_the_next_ones_together(clock: Clock) -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    for word in ("one ", "two ", "three"):
        fold_event(tree, text(word))
        panel.changed()
    assert len(sent) == 1
    clock.go_on(1 / 30)
    assert [message["seq"] for message in sent] == [1, 2]
    assert sent[1]["ops"] == [["+", 1, "text", "two three"]]


def test_at_most_thirty_messages_a_second_and_none_without_news(clock: Clock) -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    for _ in range(2_000):
        fold_event(tree, text("x"))
        panel.changed()
        clock.go_on(0.001)
    assert 50 <= len(sent) <= 62
    clock.go_on(1)
    told = len(sent)
    panel.flush()
    clock.go_on(1)
    assert len(sent) == told
    assert picture(sent)[1]["streams"]["text"] == "x" * 2_000


def test_a_flush_leaves_no_timer_behind(clock: Clock) -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    for word in "ab":
        fold_event(tree, text(word))
        panel.changed()
    panel.flush()
    assert all(timer.cancelled for timer in clock.timers)
    assert len(sent) == 2


def test_without_a_running_loop_the_next_call_tells_what_was_too_soon() -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    for word in "ab":
        fold_event(tree, text(word))
        panel.changed()
    assert len(sent) == 1
    panel.flush()
    assert picture(sent)[1]["streams"]["text"] == "ab"


async def test_on_a_real_loop_the_rest_comes_by_itself() -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    for word in "ab":
        fold_event(tree, text(word))
        panel.changed()
    told = asyncio.Event()
    panel.send = lambda message: (sent.append(message), told.set())
    async with asyncio.timeout(30):
        await told.wait()
    assert picture(sent)[1]["streams"]["text"] == "ab"


# -- what --------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(event_streams(), st.integers(1, 7))
def test_the_patches_make_the_same_picture_as_a_snapshot(events: list[HarnessEvent], every: int) -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    for number, event in enumerate(events):
        fold_event(tree, event)
        if number % every == 0:
            panel.flush()
    panel.flush()
    patches = list(sent)
    sent.clear()
    say(panel, {"k": "ready"})
    panel.close()
    assert [message["k"] for message in sent] == ["snapshot"]
    assert [message["seq"] for message in patches] == list(range(1, len(patches) + 1))
    assert sent[0]["seq"] == len(patches)
    assert picture(patches) == picture(sent)
    assert len(picture(sent)) == len(tree.nodes)
    json.dumps(patches, allow_nan=False)


def test_a_snapshot_holds_what_has_not_been_told_yet_and_no_patch_repeats_it(clock: Clock) -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    fold_event(tree, text("a"))
    panel.changed()
    fold_event(tree, text("b"))
    say(panel, {"k": "ready"})
    assert [(message["k"], message["seq"]) for message in sent] == [("patch", 1), ("patch", 2), ("snapshot", 2)]
    assert picture(sent[2:])[1]["streams"]["text"] == "ab"


def test_a_tree_that_was_there_before_its_panel_reaches_a_page_by_snapshot() -> None:
    panel, sent = make_panel(fold([HarnessStartEvent(run_id="r"), text("a")]))
    panel.flush()
    assert sent == []
    say(panel, {"k": "ready"})
    assert sent[0]["seq"] == 1  # a page that knows nothing is at 0, and takes it
    assert len(picture(sent)) == 2


def test_a_page_that_has_everything_is_sent_nothing() -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    fold_event(tree, text("a"))
    panel.flush()
    say(panel, {"k": "ready", "seq": 1})
    assert len(sent) == 1
    say(panel, {"k": "ready", "seq": 0})
    assert sent[-1]["k"] == "snapshot"


def test_lone_surrogates_are_replaced_and_pairs_joined() -> None:
    tree = RunTree()
    panel, sent = make_panel(tree, title="t\udc00")
    fold_event(tree, text("a\ud83d"))
    fold_event(tree, text("\ude00b\udfff"))
    fold_event(tree, ToolCallEvent(run_id="r", id="c\ud800", name="n\ud800", input={"k\ud800": ["\udc00"]}))
    panel.flush()
    json.dumps(sent, ensure_ascii=False).encode()
    assert picture(sent)[1]["streams"]["text"] == "a😀b\ufffd"
    assert panel.title == "t\ufffd"


def test_values_that_json_or_a_browser_would_change_are_told_as_text() -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    cycle: list[Any] = []
    cycle.append(cycle)
    given_input = {"big": 2**60, "nan": math.nan, "set": {1}, "object": object(), "cycle": cycle, 3: "three"}
    fold_event(tree, ToolCallEvent(run_id="r", id="c", name="n", input=given_input))
    panel.flush()
    told = picture(sent)[1]["props"]["input"]
    json.dumps(told, allow_nan=False)
    assert told["big"] == str(2**60)
    assert told["cycle"] == ["…"]
    assert told["3"] == "three"


def test_no_message_is_much_over_a_megabyte_and_nothing_is_lost() -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    for number in range(40):
        fold_event(tree, TextEvent(run_id="r", id=f"t{number}", content="é" * 70_000))
    fold_event(tree, ToolResultEvent(run_id="r", id="c", name="n", output="x" * 3_000_000, status="ok"))
    panel.flush()
    patches = list(sent)
    sent.clear()
    say(panel, {"k": "ready"})
    for message in (*patches, *sent):
        assert len(json.dumps(message, ensure_ascii=False).encode()) < 1_100_000
    assert picture(patches) == picture(sent)
    assert [(message["part"], message["parts"]) for message in sent] == [(i, len(sent)) for i in range(len(sent))]
    assert {message["seq"] for message in sent} == {len(patches)}
    assert picture(sent)[1]["streams"]["text"] == "é" * 70_000
    assert picture(sent)[41]["props"]["output"].endswith("… 2600000 more characters")


def test_what_a_person_approves_is_never_cut() -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    fold_event(tree, ToolCallEvent(run_id="r", id="c", name="bash", input={"command": "x" * 2_000_000}))
    panel.flush()
    assert len(picture(sent)[1]["props"]["input"]["command"]) == 2_000_000


def test_bytes_stay_linear_in_the_content() -> None:
    def total(deltas: int) -> int:
        tree = RunTree()
        panel, sent = make_panel(tree)
        for number in range(deltas):
            fold_event(tree, text("word "))
            if number % 80 == 0:
                panel.flush()
        panel.flush()
        return sum(len(json.dumps(message, separators=(",", ":"))) for message in sent)

    assert total(20_000) == pytest.approx(2 * total(10_000), rel=0.1)


# -- from a page -------------------------------------------------------------------------------------------------------


def test_ready_is_known_and_not_passed_on() -> None:
    got: list[Message] = []
    panel, sent = make_panel(RunTree(), on_message=got.append)
    assert not panel.ready.is_set()
    say(panel, {"k": "ready"})
    assert panel.ready.is_set()
    assert panel.ready.is_set()
    assert sent[0]["k"] == "snapshot"
    assert got == []


def test_answers_and_stop_are_passed_on_as_they_were_meant() -> None:
    got: list[Message] = []
    panel, _ = make_panel(RunTree(), on_message=got.append)
    say(panel, {"k": "relay", "id": "a", "approved": True, "always": True, "other": 1})
    say(panel, {"k": "relay", "id": "b", "approved": False, "reason": " no \ud800", "always": True})
    say(panel, {"k": "relay", "id": "c", "approved": False, "reason": "  "})
    say(panel, {"k": "relay", "id": "d", "approved": True, "input": {"command": "ls"}})
    say(panel, {"k": "relay", "id": "e", "approved": True, "input": "ls"})
    say(panel, {"k": "stop", "force": 1})
    assert got == [
        {"k": "relay", "id": "a", "approved": True, "always": True},
        {"k": "relay", "id": "b", "approved": False, "reason": "no \ufffd"},
        {"k": "relay", "id": "c", "approved": False},
        {"k": "relay", "id": "d", "approved": True, "input": {"command": "ls"}},
        {"k": "relay", "id": "e", "approved": True},
        {"k": "stop"},
    ]


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "stop",
        {},
        {"k": "nothing"},
        {"k": "relay"},
        {"k": "relay", "id": "a"},
        {"k": "relay", "id": 1, "approved": True},
        {"k": "relay", "id": "a", "approved": "true"},
        {"k": "relay", "id": "a", "approved": 1},
    ],
)
def test_what_is_no_message_is_dropped(content: Any) -> None:
    got: list[Message] = []
    panel, sent = make_panel(RunTree(), on_message=got.append)
    say(panel, content)
    assert got == sent == []


# -- its life ----------------------------------------------------------------------------------------------------------


def test_over_is_told_once_and_for_all_later_pages() -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    fold_event(tree, text("a"))
    panel.over()
    assert "over" not in sent[0]
    assert sent[1] | {"now": 0} == {"k": "patch", "seq": 2, "ops": [], "now": 0, "over": True}
    say(panel, {"k": "ready"})
    assert sent[2]["over"] is True
    panel.over(False)
    assert "over" not in sent[3]


def test_after_close_nothing_is_said_and_nothing_fails(clock: Clock) -> None:
    tree = RunTree()
    panel, sent = make_panel(tree)
    for word in "ab":
        fold_event(tree, text(word))
        panel.changed()
    panel.close()
    panel.close()
    clock.go_on(1)
    fold_event(tree, text("c"))
    panel.changed()
    panel.flush()
    panel.over()
    panel._on_custom(panel, {"k": "ready"}, [])
    assert len(sent) == 1


def test_repr_says_how_much_there_is_and_no_address() -> None:
    panel, _ = make_panel(fold([HarnessStartEvent(run_id="r"), text("a")]))
    assert repr(panel) == "RunPanel(runs=1, nodes=2)"


def test_the_live_bundle_is_the_view_and_no_words() -> None:
    panel, _ = make_panel(RunTree())
    view = {"version_major": 2, "version_minor": 1, "model_id": panel.model_id}
    assert live_bundle(panel) == {"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}


def test_no_state_is_synced_but_what_it_is_called_and_whether_it_is_a_chat() -> None:
    panel, _ = make_panel(RunTree(), title="Fix")
    own = set(panel.keys) - set(RunPanel.__mro__[1]().keys)
    assert own - {"_esm", "_css", "_anywidget_id"} == {"title", "chat"}


def test_one_module_without_imports_reaches_the_page() -> None:
    source = read_module("panel.js")
    assert not [line for line in source.splitlines() if line.startswith("import")]
    assert source.count("export ") == source.count("export default") == 1
    assert "innerHTML" not in source
    assert "insertAdjacentHTML" not in source


def test_no_style_makes_a_browser_search_a_whole_run_at_every_frame() -> None:
    styles = read_styles("panel.css", "card.css", "slider.css")
    assert styles.count(".jp-OutputArea-child:has(> ") == styles.count(".jp-OutputArea-child:has(") > 0
