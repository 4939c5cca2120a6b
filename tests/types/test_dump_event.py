"""What is written is JSON, whatever a tool gave back."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, field_serializer

from llm_gateway_nb.types import (
    BudgetRelayEvent,
    ErrorEvent,
    ReplOutputEvent,
    TextContentPart,
    TextEvent,
    ToolResultEvent,
    UserEvent,
    dump_event,
    parse_event,
)


def written(output: Any) -> Any:
    """`output` as a reader of the JSON text finds it, after the way there and back."""
    event = ToolResultEvent(run_id="r", id="1", name="n", output=output)
    text = json.dumps(dump_event(event), allow_nan=False)
    assert text == text.encode().decode()
    back = parse_event(text)
    assert isinstance(back, ToolResultEvent)
    assert dump_event(back) == json.loads(text)
    return back.output


class Silent:
    def __repr__(self) -> str:
        return "Silent()"

    def __str__(self) -> str:
        raise RuntimeError("no text of me")


class Report(BaseModel):
    model_config = ConfigDict(extra="allow")

    title: str
    rows: list[Any] = []


class Stubborn(BaseModel):
    value: int

    @field_serializer("value")
    def _refuse(self, value: int) -> int:
        raise RuntimeError("not today")


@dataclasses.dataclass
class Point:
    x: float
    label: str


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (math.nan, None),
        ([math.inf, {"a": -math.inf}, 1.5], [None, {"a": None}, 1.5]),
        (2**70, 2**70),
        ((1, 2), [1, 2]),
        ({1: "a", 1.5: "b"}, {"1": "a", "1.5": "b"}),
        (b"abc", "abc"),
        (b"\xff", "\ufffd"),
        ({b"\xff": 1}, {"\ufffd": 1}),
        ("\ud800", "\ufffd"),
        ({"\ud800": 1}, {"\ufffd": 1}),
        (["\ud83d\ude00", "ü"], ["😀", "ü"]),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (pathlib.PurePosixPath("/tmp"), "/tmp"),
        (1j, "1j"),
        (ValueError("boom"), "boom"),
        (Silent(), "<Silent>"),
        ([Silent(), b"\xff"], ["<Silent>", "\ufffd"]),
        (Point(math.nan, "\ud800"), {"x": None, "label": "\ufffd"}),
        (Report(title="\ud800", rows=[math.nan, b"\xff"]), {"title": "\ufffd", "rows": [None, "\ufffd"]}),
        (TextContentPart(text="\udfff"), {"type": "text", "text": "\ufffd"}),
        ([Colour.RED, Size.BIG, "\ud800"], ["red", 3, "\ufffd"]),
        ([True, None, "\ud800"], [True, None, "\ufffd"]),
        ({1}, [1]),
        (frozenset({"\ud800"}), ["\ufffd"]),
    ],
    ids=repr,
)
def test_a_tools_output_is_written_as_json(output: Any, expected: Any) -> None:
    assert written(output) == expected


def test_what_json_does_not_know_is_written_as_its_text() -> None:
    assert written(object()).startswith("<object object at ")
    assert written({object(): 1}).popitem()[0].startswith("<object object at ")
    assert written(len) == "<built-in function len>"


def test_an_integer_of_thousands_of_digits_is_written_in_hexadecimal() -> None:
    assert int(written([10**5_000])[0], 16) == 10**5_000
    assert written(10**4_000) == 10**4_000


def test_a_list_that_lies_in_itself_is_cut_there() -> None:
    inner: list[Any] = [1]
    inner.append({"again": inner})
    assert written(inner) == [1, {"again": "[1, {'again': [...]}]"}]


def test_a_value_that_stands_in_two_places_is_written_twice() -> None:
    shared = ["\ud800"]
    assert written({"a": shared, "b": shared}) == {"a": ["\ufffd"], "b": ["\ufffd"]}


@pytest.mark.parametrize("depth", [50, 150, 190, 250, 5_000])
def test_nesting_is_cut_where_readers_would_give_up(depth: int) -> None:
    output: Any = "bottom"
    for _ in range(depth):
        output = [output]
    back = written(output)
    levels = 0
    while isinstance(back, list):
        (back,) = back
        levels += 1
    assert levels == depth or levels >= 99


def test_a_serializer_that_raises_costs_its_own_value_only() -> None:
    assert written({"fine": 1, "not": Stubborn(value=1)}) == {"fine": 1, "not": "value=1"}


def test_every_text_of_an_event_is_made_readable() -> None:
    event = TextEvent(run_id="\ud800", id="\ud801", content="a\udfffb", parent_id="\ud802", timestamp=math.inf)
    assert dump_event(event) == {
        "type": "text",
        "runId": "\ufffd",
        "id": "\ufffd",
        "parentId": "\ufffd",
        "content": "a\ufffdb",
    }
    assert event.content == "a\udfffb"


def test_unknown_keys_are_made_readable_too() -> None:
    event = parse_event({"type": "hologram", "runId": "r", "a": "\ud800", "x": math.nan})
    assert dump_event(event) == {"type": "hologram", "runId": "r", "a": "\ufffd", "x": None}
    assert event.model_extra is not None
    assert event.model_extra["a"] == "\ud800"  # what is written is readable, what is held stays as it was
    odd = event.model_copy(update={"\ud800": 1})
    assert dump_event(odd) == {"type": "hologram", "runId": "r", "a": "\ufffd", "x": None, "\ufffd": 1}


def test_content_parts_and_mime_bundles_are_made_readable() -> None:
    user = UserEvent(run_id="r", content=[TextContentPart(text="\ud800")])
    assert dump_event(user)["content"] == [{"type": "text", "text": "\ufffd"}]
    repl = ReplOutputEvent(run_id="r", id="1", stdout="\ud800", done=False, duration_ms=math.nan, mime=[{"a": b"\xff"}])
    wire = dump_event(repl)
    assert (wire["stdout"], wire["mime"], "durationMs" in wire) == ("\ufffd", [{"a": "\ufffd"}], False)
    assert dump_event(parse_event(json.dumps(wire))) == wire


@pytest.mark.parametrize(
    ("error", "message"),
    [(ValueError("\ud800"), "\ufffd"), (ValueError(b"\xff"), "b'\\xff'"), (ExceptionGroup("g", [OSError()]), None)],
)
def test_any_exception_can_be_written(error: Exception, message: str | None) -> None:
    wire = dump_event(ErrorEvent(run_id="r", error=error))
    assert wire["error"] == {"name": type(error).__name__, "message": str(error) if message is None else message}
    assert dump_event(parse_event(json.dumps(wire, allow_nan=False))) == wire


def test_an_exception_without_a_text_is_written_by_its_name() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text of me")

    assert dump_event(ErrorEvent(run_id="r", error=Mute()))["error"] == {"name": "Mute", "message": "<Mute>"}


def test_an_error_event_keeps_its_exception_when_another_field_has_to_be_made_readable() -> None:
    event = ErrorEvent(run_id="\ud800", error=KeyError("x"))
    assert dump_event(event)["error"] == {"name": "KeyError", "message": "'x'"}
    assert isinstance(event.error, KeyError)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_budget_without_a_finite_limit_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        BudgetRelayEvent(run_id="r", unit="tokens", limit=number, used=1)


def test_writing_never_warns_of_what_a_copy_holds() -> None:
    event = TextEvent(run_id="r", id="1", content="hi").model_copy(update={"content": 3})
    assert dump_event(event)["content"] == 3


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]))
    | st.binary()
    | st.builds(Silent)
    | st.decimals()
    | st.datetimes()
    | st.complex_numbers()
    | st.builds(Point, st.floats(), st.text(st.characters(exclude_categories=[]))),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=[])) | st.binary() | st.integers(), inner)
        | st.builds(Report, title=st.text(st.characters(exclude_categories=[])), rows=st.lists(inner))
    ),
    max_leaves=10,
)


@given(anything)
def test_anything_can_be_written_and_read_back(output: Any) -> None:
    written(output)
