"""A long run in a saved notebook: nothing is left out, and no page pays for more than it can take at once."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.graph import RunTree, fold_event
from llm_gateway_nb.notebook.outputs import static_bundle
from llm_gateway_nb.notebook.static_html import static_html
from llm_gateway_nb.notebook.static_long import GOING_ON, WHOLE, shortened
from llm_gateway_nb.notebook.transcript import transcript
from llm_gateway_nb.types import (
    HarnessEvent,
    HarnessStartEvent,
    ReplInputEvent,
    ReplOutputEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # a PNG


def steps(*numbers: int, failed: frozenset[int] = frozenset()) -> list[HarnessEvent]:
    events: list[HarnessEvent] = [HarnessStartEvent(run_id="r")]
    for number in range(*numbers):
        events += [
            TextEvent(run_id="r", id=f"t{number}", content=f"say{number}."),
            ToolCallEvent(run_id="r", id=f"c{number}", name="bash", input={"command": f"run{number}."}),
            ToolResultEvent(
                run_id="r",
                id=f"c{number}",
                name="bash",
                output=f"out{number}.",
                status="error" if number in failed else "ok",
            ),
        ]
    return events


def tree_of(events: list[HarnessEvent]) -> RunTree:
    tree = RunTree()
    for event in events:
        fold_event(tree, event)
    return tree


def test_a_run_of_a_usual_length_is_drawn_whole() -> None:
    tree = tree_of(steps(100))
    assert shortened(tree) is tree


def test_a_long_run_keeps_every_word_and_costs_a_page_no_more_than_a_usual_one() -> None:
    tree = tree_of(steps(2_000, failed=frozenset({500, 501})))
    html = static_bundle(tree, None)["text/html"]
    assert html.count("style=") < 1.5 * WHOLE < 0.2 * static_html(tree).count("style=")
    for number in range(2_000):
        assert all(f"{word}{number}." in html for word in ("say", "run", "out"))
    drawn = [int(n) for n in re.findall(r"<p[^>]*>say(\d+)\.</p>", html)]
    assert (drawn[0], drawn[-1]) == (0, 1_999), "its beginning and its end stand as they always do"
    (told,) = re.findall(r"(\d+) steps in between, as text \(2 of them failed or were denied\)", html)
    assert int(told) + len(drawn) + html.count("<details open") == 2 * 2_000


def test_while_it_goes_on_less_is_drawn_since_it_will_be_drawn_again() -> None:
    tree = tree_of(steps(100))
    assert static_bundle(tree, None, whole=GOING_ON)["text/html"].count("style=") < 1.5 * GOING_ON
    assert transcript(tree) == static_bundle(tree, None, whole=GOING_ON)["text/plain"]


def test_a_picture_in_between_stays_a_picture() -> None:
    plot = [
        ReplInputEvent(run_id="r", id="i", code="plot()"),
        ReplOutputEvent(run_id="r", id="i", stdout="", done=False, mime=[{"image/png": PIXEL}]),
    ]
    html = static_html(shortened(tree_of([*steps(1_000), *plot, *steps(1_000, 2_000)])))
    assert html.count(f"data:image/png;base64,{PIXEL}") == 1
    assert html.count("in between, as text") == 2


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["text", "tool", "run"])), max_size=60), st.integers(0, 100)
)
def test_however_it_is_nested_nothing_is_lost_or_told_twice(shape: list[tuple[int, str]], whole: int) -> None:
    events: list[HarnessEvent] = [HarnessStartEvent(run_id="r0")]
    calls: list[str | None] = [None]
    for number, (depth, kind) in enumerate(shape):
        level = min(depth, len(calls) - 1)
        run = f"r{level}" if level == 0 else f"run of {calls[level]}"
        if kind == "text":
            events.append(TextEvent(run_id=run, id=f"t{number}", content=f"word{number}."))
            continue
        call = f"c{number}"
        events.append(ToolCallEvent(run_id=run, id=call, name="agent", input={"task": f"word{number}."}))
        if kind == "run":
            events.append(HarnessStartEvent(run_id=f"run of {call}", parent_id=call))
            calls[level + 1 :] = [call]
    tree = tree_of(events)
    html = static_html(shortened(tree, whole))
    assert [html.count(f"word{number}.") for number in range(len(shape))] == [1] * len(shape)
