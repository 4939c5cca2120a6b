"""Whatever is malformed is a `ValueError`, and nothing else."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.testing.strategies import harness_events, json_values
from llm_gateway_nb.types import HarnessEvent, TextEvent, ToolCallEvent, UnknownEvent, dump_event, parse_event

KEYS = ["type", "kind", "runId", "id", "content", "error", "input", "name", "seq", "timestamp", "params", "respond"]
TYPES = ["text", "tool_call", "usage", "error", "relay", "harness_end", "repl_output", "user", "hologram"]


def _reads_or_refuses(data: Any) -> None:
    try:
        event = parse_event(data)
    except ValueError:
        return
    json.dumps(dump_event(event), allow_nan=False)


@given(st.binary())
def test_random_bytes_are_a_value_error(data: bytes) -> None:
    _reads_or_refuses(data)


@given(st.text(st.characters(exclude_categories=[])))
def test_random_text_is_a_value_error(data: str) -> None:
    _reads_or_refuses(data)


@given(json_values())
def test_json_that_is_not_an_event_is_a_value_error(data: Any) -> None:
    _reads_or_refuses(data)
    _reads_or_refuses(json.dumps(data))


@given(st.dictionaries(st.sampled_from(KEYS), json_values() | st.sampled_from(TYPES)), st.sampled_from(TYPES))
def test_an_event_with_anything_in_its_fields_is_read_or_a_value_error(fields: dict[str, Any], kind: str) -> None:
    _reads_or_refuses({**fields, "type": kind})
    _reads_or_refuses(json.dumps({**fields, "type": kind}))


@given(harness_events(), st.data())
def test_an_event_cut_anywhere_is_a_value_error(event: HarnessEvent, data: st.DataObject) -> None:
    text = json.dumps(dump_event(event))
    with pytest.raises(ValueError):
        parse_event(text[: data.draw(st.integers(0, len(text) - 1))])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", "EOF"),
        ("{", "EOF"),
        (b"\xff", "expected value"),
        ("[]", "an event is a JSON object, not list"),
        ("null", "an event is a JSON object, not NoneType"),
        ('"text"', "an event is a JSON object, not str"),
        (None, "an event is a JSON object, not NoneType"),
        (3, "an event is a JSON object, not int"),
        ("{}", "has a `type`"),
        ('{"type": 1}', "has a `type`"),
        ('{"type": "text"}', "not a 'text' event: runId: Field required"),
        ('{"type": "hologram"}', "not a 'hologram' event: runId: Field required"),
        ({"type": "text", "runId": "r", "id": "1", "content": 3}, "content: Input should be a valid string"),
        ({"type": "text", "runId": None, "id": "1", "content": "c"}, "runId: Input should be a valid string"),
        ({"type": "error", "runId": "r", "error": 3}, "error: "),
        ({"type": "error", "runId": "r", "error": {"message": None}}, "both text"),
        ({"type": "repl_progress", "runId": "r", "id": "1", "chunk": "", "stream": "stdin"}, "stream: "),
        ({"type": "relay", "kind": "permission", "runId": "r"}, "toolCallId: Field required"),
        ({"type": "harness_end", "runId": "r", "totalUsage": 3}, "totalUsage: "),
        ({"type": "hologram", "runId": "r", 1: 2}, "Keys should be strings"),
        (
            {"type": "hologram", "runId": "r", "\ud800": 1},
            "not a 'hologram' event: a key: Input should be a valid string",
        ),
        ("\ud800", "no UTF-8 form"),
        ("[" * 100_000, "recursion limit"),
        ('{"type": "tool_call", "runId": "r", "id": "1", "name": "n", "input": ' + "9" * 5_000 + "}", "out of range"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_malformed_input_is_told_in_a_sentence(data: Any, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_event(data)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_the_number_words_that_json_does_not_have_are_malformed(word: str) -> None:
    with pytest.raises(ValueError):
        parse_event('{"type": "tool_call", "runId": "r", "id": "1", "name": "n", "input": ' + word + "}")


def test_what_was_half_read_is_no_other_event() -> None:
    """Its tag says `text`: a text event without its text is malformed, not of an unknown kind."""
    with pytest.raises(ValueError):
        parse_event({"type": "text", "runId": "r"})


def test_keys_named_like_the_insides_of_an_event_do_no_harm() -> None:
    odd = {"model_dump": 1, "__class__": 2, "_respond": 3, "model_fields": 4, "self": 5, "__dict__": 6, "": 7}
    wire = {"type": "text", "runId": "r", "id": "1", "content": "hi", **odd}
    event = parse_event(wire)
    assert type(event) is TextEvent
    assert dump_event(event) == wire


def test_any_mapping_will_do() -> None:
    assert isinstance(parse_event(MappingProxyType({"type": "hologram", "runId": "r"})), UnknownEvent)


def test_the_dict_that_was_read_is_not_changed() -> None:
    wire = {"type": "tool_call", "runId": "r", "id": "1", "name": "n", "input": {"a": [1]}, "respond": 3}
    before = json.dumps(wire)
    assert isinstance(parse_event(wire), ToolCallEvent)
    assert json.dumps(wire) == before


@pytest.mark.parametrize("escape", [r"\ud800", r"\udc00", r"\ud83d and \ude00", r"\ude00\ud83d"])
@pytest.mark.parametrize("encode", [str, str.encode])
def test_half_a_surrogate_pair_as_javascript_escapes_it_is_read(escape: str, encode: Any) -> None:
    wire = '{"type": "text", "runId": "r", "id": "1", "content": "a%s", "x": {"k%s": ["%s"]}}' % ((escape,) * 3)
    event = parse_event(encode(wire))
    assert isinstance(event, TextEvent)
    assert event.content.startswith("a\N{REPLACEMENT CHARACTER}")
    assert parse_event(json.dumps(dump_event(event))) == event
    assert r"\ud83d\ude00" not in wire
    whole = parse_event(r'{"type": "text", "runId": "r", "id": "1", "content": "\ud83d\ude00 \ud800"}')
    assert isinstance(whole, TextEvent)
    assert whole.content == "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("rest", ["NaN}", "1", "[" * 100_000])
def test_half_a_pair_makes_no_json_of_what_is_none(rest: str) -> None:
    with pytest.raises(ValueError):
        parse_event(r'{"type": "text", "runId": "r", "id": "1", "content": "\ud800", "x": ' + rest)


@pytest.mark.parametrize(
    "wire",
    [
        {"type": "harness_end", "runId": "r", "reason": "paused", "totalUsage": {"inputTokens": 1, "outputTokens": 2}},
        {"type": "tool_result", "runId": "r", "id": "1", "name": "n", "output": "o", "status": "deferred"},
    ],
)
def test_a_word_that_a_newer_peer_has_added_is_kept_and_no_error(wire: dict[str, Any]) -> None:
    event = parse_event(wire)
    assert not isinstance(event, UnknownEvent)
    assert dump_event(event) == wire
    with pytest.raises(ValueError):
        type(event).model_validate(wire)  # here nobody misspells one
    with pytest.raises(ValueError):
        parse_event({**wire, "reason": 3, "status": 3})
