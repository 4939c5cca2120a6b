"""Events, out to the wire and back."""

from __future__ import annotations

import copy
import json
import pickle
import time
import typing

import pytest
from hypothesis import given

from llm_gateway_nb.errors import RemoteError
from llm_gateway_nb.testing.strategies import harness_events
from llm_gateway_nb.types import (
    ErrorEvent,
    EventBase,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReplOutputEvent,
    TextContentPart,
    TextEvent,
    ToolCallEvent,
    ToolProgressEvent,
    ToolResultEvent,
    TotalUsage,
    UnknownEvent,
    UsageEvent,
    UserEvent,
    dump_event,
    parse_event,
)

EVENT_CLASSES = typing.get_args(HarnessEvent)

# What the source system documents, key for key: none of our additions in it.
SOURCE_EVENTS = [
    {"type": "harness_start", "runId": "r"},
    {"type": "harness_start", "runId": "r", "parentId": "p", "depth": 1, "maxIterations": 5},
    {"type": "harness_end", "runId": "r"},
    {
        "type": "harness_end",
        "runId": "r",
        "parentId": "p",
        "reason": "max_iterations",
        "iterations": 2,
        "totalUsage": {"inputTokens": 300, "outputTokens": 130},
    },
    {"type": "reasoning", "runId": "r", "id": "1", "content": "hm"},
    {"type": "text", "runId": "r", "id": "1", "parentId": "p", "content": "hi"},
    {"type": "tool_call", "runId": "r", "id": "r/c", "name": "bash", "input": {"command": "ls", "some_key": None}},
    {"type": "tool_result", "runId": "r", "id": "r/c", "name": "bash", "output": {"stdout": "a\n"}},
    {"type": "tool_progress", "runId": "r", "id": "1", "toolCallId": "r/c", "name": "bash", "content": {"pid": 1}},
    {"type": "repl_input", "runId": "r", "id": "1", "code": "1+1", "iteration": 0},
    {"type": "repl_progress", "runId": "r", "id": "1", "chunk": "2\n", "stream": "stderr"},
    {
        "type": "repl_output",
        "runId": "r",
        "id": "1",
        "stdout": "",
        "error": "boom",
        "done": False,
        "iteration": 0,
        "durationMs": 1.5,
        "truncated": True,
    },
    {
        "type": "usage",
        "runId": "r",
        "inputTokens": 1,
        "outputTokens": 2,
        "cacheReadTokens": 3,
        "cacheCreationTokens": 4,
    },
    {"type": "error", "runId": "r", "error": {"name": "Error", "message": "boom"}},
    {
        "type": "relay",
        "kind": "permission",
        "runId": "r",
        "id": "1",
        "toolCallId": "r/c",
        "tool": "bash",
        "params": {"command": "ls"},
    },
]


@given(harness_events())
def test_every_event_survives_the_wire_as_a_dict(event: HarnessEvent) -> None:
    back = parse_event(dump_event(event))
    assert type(back) is type(event)
    assert dump_event(back) == dump_event(event)


@given(harness_events())
def test_every_event_survives_the_wire_as_json_text_and_bytes(event: HarnessEvent) -> None:
    text = json.dumps(dump_event(event), allow_nan=False)
    assert dump_event(parse_event(text)) == dump_event(event)
    assert dump_event(parse_event(text.encode())) == dump_event(event)
    raw = json.dumps(dump_event(event), ensure_ascii=False)
    assert dump_event(parse_event(raw)) == dump_event(event)


@given(harness_events())
def test_an_event_read_back_equals_the_one_that_was_written(event: HarnessEvent) -> None:
    if not isinstance(event, ErrorEvent):  # two exceptions are never equal
        assert parse_event(dump_event(event)) == event


@given(harness_events())
def test_events_can_be_pickled_and_deep_copied(event: HarnessEvent) -> None:
    for twin in (pickle.loads(pickle.dumps(event)), copy.deepcopy(event), copy.copy(event)):
        assert type(twin) is type(event)
        assert dump_event(twin) == dump_event(event)


@given(harness_events())
def test_the_wire_has_neither_snake_case_keys_nor_nulls_of_its_own(event: HarnessEvent) -> None:
    own = {key: value for key, value in dump_event(event).items() if key in _wire_names(type(event))}
    assert not any("_" in key for key in own)
    assert all(value is not None for key, value in own.items() if key not in {"input", "output", "content"})


def _wire_names(cls: type[EventBase]) -> set[str]:
    return {field.serialization_alias or name for name, field in cls.model_fields.items()}


@given(harness_events())
def test_python_spelling_is_read_as_well(event: HarnessEvent) -> None:
    wire = dump_event(event)
    python = {field.serialization_alias or name: name for name, field in type(event).model_fields.items()}
    assert dump_event(parse_event({python.get(key, key): value for key, value in wire.items()})) == wire


@pytest.mark.parametrize("wire", SOURCE_EVENTS, ids=lambda wire: wire["type"])
def test_events_of_the_source_system_come_out_as_they_went_in(wire: dict[str, object]) -> None:
    event = parse_event(wire)
    assert not isinstance(event, UnknownEvent)
    assert dump_event(event) == wire


def test_an_event_class_is_its_wire_tag() -> None:
    for cls in set(EVENT_CLASSES) - {UnknownEvent}:
        tag = cls.model_fields["type"].default
        expected = "".join(word.title() for word in tag.split("_")) + "Event"
        assert cls.__name__.endswith(expected), (cls, tag)


def test_an_absent_optional_is_an_absent_key() -> None:
    usage = UsageEvent(run_id="r", input_tokens=1, output_tokens=2, timestamp=None)
    assert dump_event(usage) == {"type": "usage", "runId": "r", "inputTokens": 1, "outputTokens": 2}
    assert "parentId" not in dump_event(HarnessStartEvent(run_id="r"))
    assert dump_event(HarnessEndEvent(run_id="r", parent_id="P"))["parentId"] == "P"


def test_a_null_of_a_peer_is_read_as_absent() -> None:
    assert dump_event(parse_event({"type": "harness_start", "runId": "r", "parentId": None})) == {
        "type": "harness_start",
        "runId": "r",
    }


def test_a_null_input_or_output_stays() -> None:
    call = ToolCallEvent(run_id="r", id="r/c", name="now", input=None, timestamp=None)
    assert dump_event(call)["input"] is None
    assert dump_event(ToolResultEvent(run_id="r", id="r/c", name="now"))["output"] is None


def test_keys_inside_input_output_and_content_are_left_alone() -> None:
    value = {"snake_case": 1, "camelCase": 2, "": None, "runId": {"run_id": 3}}
    for event in (
        ToolCallEvent(run_id="r", id="1", name="n", input=value),
        ToolResultEvent(run_id="r", id="1", name="n", output=value),
        ToolProgressEvent(run_id="r", tool_call_id="1", name="n", content=value),
    ):
        assert value in dump_event(event).values()
        assert value in dump_event(parse_event(dump_event(event))).values()


def test_unknown_keys_survive() -> None:
    wire = {"type": "text", "runId": "r", "id": "1", "content": "hi", "newKey": {"a": [1]}, "snake_key": None}
    assert dump_event(parse_event(wire)) == wire


def test_an_unknown_kind_of_event_survives() -> None:
    wire = {"type": "hologram", "runId": "r", "parentId": "p", "newKey": 1, "snake_key": {"x": None}}
    event = parse_event(json.dumps(wire))
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.run_id, event.parent_id) == ("hologram", "r", "p")
    assert dump_event(event) == wire


@pytest.mark.parametrize("kind", ["quiz", None, 3, [], {}])
def test_a_relay_of_an_unknown_kind_survives(kind: object) -> None:
    wire = {"type": "relay", "kind": kind, "runId": "r", "id": "1"}
    event = parse_event(wire)
    assert isinstance(event, UnknownEvent)
    assert dump_event(event) == wire


def test_a_new_event_knows_when_it_was_born_and_an_old_one_read_from_the_wire_does_not() -> None:
    before = time.time()
    event = TextEvent(run_id="r", id="1", content="hi")
    assert event.timestamp is not None
    assert before <= event.timestamp <= time.time()
    assert parse_event({"type": "text", "runId": "r", "id": "1", "content": "hi"}).timestamp is None


def test_an_error_is_an_exception_in_process_and_two_texts_on_the_wire() -> None:
    event = ErrorEvent(run_id="r", error=KeyError("x"), tool_call_id="r/c", timestamp=None)
    assert isinstance(event.error, KeyError)
    assert dump_event(event) == {
        "type": "error",
        "runId": "r",
        "error": {"name": "KeyError", "message": "'x'"},
        "toolCallId": "r/c",
    }


def test_an_error_from_the_wire_is_a_remote_error_that_keeps_its_name() -> None:
    event = parse_event({"type": "error", "runId": "r", "error": {"name": "RangeError", "message": "too far"}})
    assert isinstance(event, ErrorEvent)
    assert isinstance(event.error, RemoteError)
    assert (event.error.name, str(event.error)) == ("RangeError", "too far")
    assert dump_event(event)["error"] == {"name": "RangeError", "message": "too far"}


@pytest.mark.parametrize(
    ("error", "name", "message"),
    [("boom", "Error", "boom"), ({"message": "boom"}, "Error", "boom"), ({}, "Error", ""), ({"name": "N"}, "N", "")],
)
def test_an_error_from_the_wire_may_be_text_or_lack_a_part(error: object, name: str, message: str) -> None:
    event = parse_event({"type": "error", "runId": "r", "error": error})
    assert dump_event(event)["error"] == {"name": name, "message": message}


def test_an_events_fields_cannot_be_set() -> None:
    event = TextEvent(run_id="r", id="1", content="hi")
    with pytest.raises(ValueError, match="frozen"):
        event.content = "bye"
    assert event.model_copy(update={"seq": 3}).seq == 3


def test_nested_values_are_models() -> None:
    end = parse_event({"type": "harness_end", "runId": "r", "totalUsage": {"inputTokens": 1, "outputTokens": 2}})
    assert isinstance(end, HarnessEndEvent)
    assert end.total_usage == TotalUsage(input_tokens=1, output_tokens=2)
    user = parse_event({"type": "user", "runId": "r", "id": "1", "content": [{"type": "text", "text": "hi"}]})
    assert isinstance(user, UserEvent)
    assert user.content == [TextContentPart(text="hi")]


def test_rich_results_are_mime_bundles_as_they_stand() -> None:
    bundle = {"text/plain": "<Figure>", "image/png": "iVBORw0KGgo="}
    event = ReplOutputEvent(run_id="r", id="1", stdout="", done=False, mime=[bundle])
    assert dump_event(event)["mime"] == [bundle]


def test_events_are_told_apart_by_their_class() -> None:
    event: object = parse_event({"type": "text", "runId": "r", "id": "1", "content": "hi"})
    assert isinstance(event, HarnessEvent)
    match event:
        case TextEvent(content=content):
            assert content == "hi"
        case _:
            pytest.fail("a text event is a TextEvent")
