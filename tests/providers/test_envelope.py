"""Tool calls in an envelope: what a small model is told, what it is held to, and how its words are read."""

from __future__ import annotations

import enum
import json
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from llm_gateway_nb.errors import InvalidRequestError
from llm_gateway_nb.providers.base import TextDelta, ToolCallPiece
from llm_gateway_nb.providers.envelope import Envelope, plain_turns
from llm_gateway_nb.providers.local_parse import EnvelopeParser
from llm_gateway_nb.providers.local_schema import plain_schema
from llm_gateway_nb.types import ToolDefinition, parse_messages

CALL = {"id": "c1", "name": "add", "arguments": {"a": 1, "b": 2}}
HISTORY = parse_messages(
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Add 1 and 2."},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ]
)
ADD = ToolDefinition(
    name="add", description="Add two numbers", schema_={"type": "object", "properties": {"a": {}}, "required": ["a"]}
)


def read(text: str, borders: list[int], tools: tuple[str, ...] = ("add",)) -> tuple[str, list[ToolCallPiece]]:
    """What the parser makes of `text`, cut at `borders`."""
    parser = EnvelopeParser(tools)
    cuts = [0, *sorted(min(border, len(text)) for border in borders), len(text)]
    pieces = [piece for start, end in pairwise(cuts) for piece in parser.feed(text[start:end])]
    pieces += parser.close()
    said = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    return said, [piece for piece in pieces if isinstance(piece, ToolCallPiece)]


borders = st.lists(st.integers(0, 200), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(answer=st.text(), borders=borders, ascii_only=st.booleans())
def test_an_answer_comes_out_exactly_wherever_its_chunks_are_cut(
    answer: str, borders: list[int], ascii_only: bool
) -> None:
    written = json.dumps({"answer": answer}, ensure_ascii=ascii_only)
    assert read(written, borders) == (answer, [])


@given(arguments=st.dictionaries(st.text(), values, max_size=4), borders=borders)
def test_a_call_comes_out_whole_wherever_its_chunks_are_cut(arguments: dict[str, Any], borders: list[int]) -> None:
    said, calls = read(json.dumps({"tool": "add", "arguments": arguments}), borders)
    assert said == ""
    assert [(call.name, call.arguments) for call in calls] == [("add", arguments)]


@given(text=st.text() | st.text(alphabet='{}":\\uanswertolD8 '), borders=borders)
def test_no_text_makes_the_parser_raise(text: str, borders: list[int]) -> None:
    said, _ = read(text, borders)
    said.encode()  # and what it says can be written down


@given(text=st.text().filter(lambda text: not text.lstrip().startswith("{") and text.strip()), borders=borders)
def test_text_that_is_no_envelope_comes_out_as_it_went_in(text: str, borders: list[int]) -> None:
    assert read(text, borders) == (text, [])


@given(answer=st.text(), cut=st.integers(0, 60))
def test_an_answer_that_was_cut_off_loses_nothing_but_half_an_escape(answer: str, cut: int) -> None:
    written = json.dumps({"answer": answer}, ensure_ascii=False)
    said, _ = read(written[: len('{"answer": "') + cut], [])
    assert answer.startswith(said)


def test_an_answer_streams_while_it_is_written() -> None:
    parser = EnvelopeParser(())
    parser.feed('{"answer": "')
    assert parser.feed("Hel") == [TextDelta("Hel")]
    assert parser.feed('lo"') == [TextDelta("lo")]


def test_a_call_that_was_cut_off_keeps_its_name_and_its_broken_arguments() -> None:
    _, [call] = read('{"tool": "add", "arguments": {"a": 1, "b', [])
    assert (call.name, call.arguments) == ("add", '{"a": 1, "b')


def test_two_calls_have_different_ids() -> None:
    _, [first] = read('{"tool": "add", "arguments": {}}', [])
    _, [second] = read('{"tool": "add", "arguments": {}}', [])
    assert first.id != second.id


def test_the_history_becomes_turns_that_alternate_and_end_with_the_result() -> None:
    turns = Envelope([ADD]).turns(HISTORY)
    assert turns[0]["role"] == "system"
    assert turns[0]["content"].startswith("Be brief.")
    assert "add(a)" in turns[0]["content"]
    assert [turn["role"] for turn in turns[1:]] == ["user", "assistant"] * ((len(turns) - 2) // 2) + ["user"]
    assert json.loads(turns[-2]["content"]) == {"tool": "add", "arguments": {"a": 1, "b": 2}}
    assert turns[-1]["content"] == "Tool result: 3"


def test_several_calls_of_one_turn_follow_one_another_each_with_its_result() -> None:
    messages = parse_messages(
        [
            {"role": "user", "content": "Add."},
            {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
            {"role": "tool", "tool_call_id": "c2", "content": "second"},
            {"role": "tool", "tool_call_id": "c1", "content": ""},
        ]
    )
    turns = Envelope([]).turns(messages)
    assert [turn["content"] for turn in turns if turn["role"] == "user"][1:] == [
        "Tool result: (nothing)",
        "Tool result: second",
    ]


def test_without_tools_only_the_answer_is_left() -> None:
    schema = Envelope([]).schemas()[0]
    assert list(schema["properties"]) == ["answer"]
    assert not any("Tools:" in turn["content"] for turn in Envelope([]).turns(HISTORY))


def test_a_call_that_must_be_made_leaves_no_answer() -> None:
    schema = Envelope([ADD], must_call=True).schemas()[0]
    assert list(schema["properties"]) == ["tool", "arguments"]


def test_an_image_is_refused_with_what_to_do() -> None:
    image = {"type": "image", "mediaType": "image/png", "data": "AA=="}
    with pytest.raises(InvalidRequestError, match=r"reads text only.*image/png"):
        plain_turns(parse_messages([{"role": "user", "content": [image]}]))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int = Field(ge=0, lt=10)
    y: float = Field(gt=0, description="up")


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str | None = None


class Flat(BaseModel):
    text: str = Field(min_length=1, max_length=20, pattern=r"^[a-z]+\d?x$")
    count: int = 3
    ratio: float | None = None


class Nested(BaseModel):
    start: Point
    ends: list[Point] = Field(min_length=1, max_length=3)


class Choices(BaseModel):
    colour: Colour
    mode: Literal["fast", "slow"] = "fast"
    level: Literal[1, 2, 3] | None = None


class Tagged(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Maps(BaseModel):
    scores: dict[str, int]
    points: dict[str, Point] = {}


class Tuples(BaseModel):
    pair: tuple[int, str]
    names: set[str] = set()


class Stamps(BaseModel):
    day: date
    at: datetime | None = None
    id: UUID
    price: Decimal


class Anything(BaseModel):
    value: Any
    data: dict[str, Any] = {}
    items: list[Any] = []


class Nothing(BaseModel):
    pass


class Strict(BaseModel, extra="forbid"):
    name: str


class Mixed(BaseModel):
    either: int | str | list[bool] | None
    alias: str = Field(alias="the-alias")


MODELS: list[type[BaseModel]] = [
    Flat,
    Point,
    Tree,
    Nested,
    Choices,
    Tagged,
    Maps,
    Tuples,
    Stamps,
    Anything,
    Nothing,
    Strict,
    Mixed,
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_plain_schema_holds_no_reference_and_keeps_what_is_required(model: type[BaseModel]) -> None:
    plain = plain_schema(model.model_json_schema())
    assert "$ref" not in json.dumps(plain)
    assert plain["type"] == "object"
    assert plain.get("required", []) == [
        field.alias or name for name, field in model.model_fields.items() if field.is_required()
    ]


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "required", "items", "anyOf", "allOf", "enum", "$ref", "$defs", "maxLength", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["properties", "required", "$defs", "anyOf", "allOf", "x"]), json_like))
def test_no_schema_however_odd_makes_it_raise(schema: dict[str, Any]) -> None:
    json.dumps(plain_schema(schema))
