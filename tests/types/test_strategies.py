"""The public strategies draw what they promise."""

from __future__ import annotations

import json
from typing import Any, get_args

from hypothesis import Phase, find, given, settings

from llm_gateway_nb.testing import strategies
from llm_gateway_nb.testing.strategies import event_streams, harness_events, json_values
from llm_gateway_nb.types import (
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReasoningEvent,
    RelayEvent,
    ReplInputEvent,
    ReplOutputEvent,
    TextEvent,
    ToolCallEvent,
    ToolProgressEvent,
    ToolResultEvent,
    UsageEvent,
    UserEvent,
    dump_event,
    parse_event,
)

PATIENT = settings(max_examples=5_000, phases=[Phase.generate], database=None)  # the first one found will do


@given(json_values())
def test_json_values_are_json(value: Any) -> None:
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_events_of_every_class_are_drawn() -> None:
    for cls in get_args(HarnessEvent):
        assert find(harness_events(), lambda event, cls=cls: type(event) is cls, settings=PATIENT)


def test_streams_hold_children_and_parallel_calls() -> None:
    def below(stream: list[HarnessEvent]) -> bool:
        calls = {event.id for event in stream if isinstance(event, ToolCallEvent | ReplInputEvent)}
        return any(isinstance(event, HarnessStartEvent) and event.parent_id in calls for event in stream)

    def side_by_side(stream: list[HarnessEvent]) -> bool:
        open_calls = 0
        for event in stream:
            open_calls += isinstance(event, ToolCallEvent) - isinstance(event, ToolResultEvent)
            if open_calls == 2:
                return True
        return False

    assert find(event_streams(), below, settings=PATIENT)
    assert find(event_streams(), side_by_side, settings=PATIENT)


@given(event_streams())
def test_the_agents_run_is_opened_first_and_closed_last(stream: list[HarnessEvent]) -> None:
    run = [event for event in stream if not isinstance(event, UserEvent)]
    first, last = run[0], run[-1]
    assert isinstance(first, HarnessStartEvent)
    assert isinstance(last, HarnessEndEvent)
    assert first.run_id == last.run_id == stream[0].run_id
    assert {event.run_id for event in stream if event.parent_id is None} == {first.run_id}


@given(event_streams())
def test_whatever_begins_ends_and_whatever_hangs_hangs_from_something_seen(stream: list[HarnessEvent]) -> None:
    seen: set[str | None] = {None}
    ended: set[str] = set()
    for event in stream:
        assert event.parent_id in seen
        assert event.run_id not in ended
        seen |= {event.run_id, getattr(event, "id", None)}
        if isinstance(event, HarnessEndEvent):
            ended.add(event.run_id)
    assert {event.run_id for event in stream if isinstance(event, HarnessStartEvent)} == ended
    calls = [event.id for event in stream if isinstance(event, ToolCallEvent)]
    results = [event.id for event in stream if isinstance(event, ToolResultEvent)]
    assert len(set(calls)) == len(calls)
    assert sorted(calls) == sorted(results)
    turns = [event.id for event in stream if isinstance(event, ReplInputEvent)]
    assert sorted(turns) == sorted(event.id for event in stream if isinstance(event, ReplOutputEvent))


@given(event_streams())
def test_a_calls_events_come_in_order_under_its_namespaced_id(stream: list[HarnessEvent]) -> None:
    running: set[str] = set()
    for event in stream:
        match event:
            case RelayEvent(tool_call_id=call_id):
                assert call_id not in running
            case ToolCallEvent(id=call_id, run_id=run_id):
                assert call_id.startswith(f"{run_id}/")
                running.add(call_id)
            case ToolProgressEvent(tool_call_id=call_id):
                assert call_id in running
            case ToolResultEvent(id=call_id):
                running.remove(call_id)
    assert not running


@given(event_streams())
def test_the_deltas_of_one_model_call_share_an_id(stream: list[HarnessEvent]) -> None:
    for kind in (TextEvent, ReasoningEvent):
        ids: dict[str, set[str]] = {}
        for event in stream:
            if isinstance(event, kind):
                ids.setdefault(event.run_id, set()).add(event.id)
        assert all(len(each) == 1 for each in ids.values())


@given(event_streams())
def test_the_total_counts_every_model_call_once(stream: list[HarnessEvent]) -> None:
    last = stream[-1]
    assert isinstance(last, HarnessEndEvent)
    assert last.total_usage is not None
    usages = [event for event in stream if isinstance(event, UsageEvent)]
    assert last.total_usage.input_tokens == sum(usage.input_tokens for usage in usages)
    assert last.total_usage.output_tokens == sum(usage.output_tokens for usage in usages)


@given(event_streams())
def test_a_stream_is_numbered_and_survives_the_wire(stream: list[HarnessEvent]) -> None:
    assert [event.seq for event in stream] == list(range(len(stream)))
    for event in stream:
        assert dump_event(parse_event(json.dumps(dump_event(event)))) == dump_event(event)


@given(event_streams(max_depth=0))
def test_without_depth_there_are_no_children(stream: list[HarnessEvent]) -> None:
    assert {event.depth for event in stream if isinstance(event, HarnessStartEvent)} <= {0, None}


def test_the_list_of_names_is_sorted() -> None:
    assert strategies.__all__ == sorted(strategies.__all__)
