"""A typed function becomes a tool."""

from __future__ import annotations

import enum
import functools
import socket
import threading
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, Field

from llm_gateway_nb.errors import ConfigurationError, ToolInputError
from llm_gateway_nb.permissions import matches_permissions
from llm_gateway_nb.tools import plain_input, tool, validate_input
from llm_gateway_nb.types import Permissions, ToolContext, ToolDefinition, ToolPermission


class Colour(enum.Enum):
    RED = "red"


class Place(BaseModel):
    city: str


@tool
def paint(where: Place, colour: Colour = Colour.RED, coats: int | None = None) -> str:
    """Paint a place.

    It dries by itself.

    Args:
        where: which place
        colour: one of the colours,
            of which there is one
    """
    return f"{where.city} {colour.value} {coats}"


def test_the_docstring_is_the_description_and_the_parameters_are_the_schema() -> None:
    assert paint.name == "paint"
    assert paint.description == "Paint a place.\n\nIt dries by itself."
    schema = paint.json_schema()
    assert schema["required"] == ["where"]
    assert schema["properties"]["where"]["description"] == "which place"
    assert schema["properties"]["colour"]["description"] == "one of the colours, of which there is one"
    assert schema["additionalProperties"] is False


async def test_arguments_arrive_as_the_types_that_were_asked_for() -> None:
    validated = validate_input(paint, {"where": {"city": "Rome"}})
    assert plain_input(validated) == {"where": {"city": "Rome"}, "colour": "red"}
    assert paint.execute is not None
    assert await paint.execute(validated, ToolContext()) == "Rome red None"


async def test_a_plain_function_runs_in_a_thread_and_a_coroutine_in_the_loop() -> None:
    @tool
    def plain() -> bool:
        return threading.current_thread() is threading.main_thread()

    @tool
    async def coroutine() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert plain.execute is not None
    assert coroutine.execute is not None
    assert await plain.execute(validate_input(plain, {}), ToolContext()) is False
    assert await coroutine.execute(validate_input(coroutine, {}), ToolContext()) is True


async def test_a_parameter_of_type_context_is_handed_the_context_and_hidden_from_the_model() -> None:
    @tool(name="count_to", timeout_seconds=3)
    async def count(n: int, ctx: ToolContext) -> str:
        ctx.progress(f"{n}")
        return ctx.parent_id or ""

    seen: list[Any] = []
    assert count.name == "count_to"
    assert count.timeout_seconds == 3
    assert list(count.json_schema()["properties"]) == ["n"]
    assert count.execute is not None
    context = ToolContext(parent_id="me", emit_progress=seen.append)
    assert await count.execute(validate_input(count, {"n": 1}), context) == "me"
    assert seen == ["1"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "where: Field required"),
        ({"where": {"city": 3}}, "where.city"),
        ({"where": {"city": "x"}, "more": 1}, "more: Extra inputs"),
        ("{nonsense", r"not a JSON object: \{nonsense"),
        ([1], "JSON object, not list"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: Any, says: str) -> None:
    with pytest.raises(ToolInputError, match=says):
        validate_input(paint, arguments)


def test_a_json_schema_fills_in_defaults_and_names_what_is_wrong() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}},
        "required": ["a"],
    }
    definition = ToolDefinition(name="add", description="", schema_=schema)
    assert validate_input(definition, {"a": 1}) == {"a": 1, "b": 2}
    with pytest.raises(ToolInputError, match="a: 'x' is not of type 'integer'"):
        validate_input(definition, {"a": "x"})
    broken = ToolDefinition(
        name="add", description="", schema_={"type": "object", "properties": {"a": {"type": "nope"}}}
    )
    with pytest.raises(ToolInputError, match="not a JSON Schema"):
        validate_input(broken, {"a": 1})


def test_arguments_keep_the_names_that_the_schema_has_for_them() -> None:
    class Given(BaseModel):
        where: str = Field(alias="path")
        lines: int | None = Field(default=None, alias="lineCount")
        text: str = Field(default="x", validation_alias=AliasChoices("content", "text"))

    write = ToolDefinition(name="write", description="", schema_=Given)
    arguments = {"path": "/etc/passwd", "content": "x"}
    assert plain_input(validate_input(write, arguments)) == arguments
    assert validate_input(write, plain_input(validate_input(write, arguments))) == validate_input(write, arguments)
    call = {"name": "write", "arguments": plain_input(validate_input(write, arguments))}
    assert matches_permissions(call, Permissions(allowlist=["write"]))  # type: ignore[list-item]
    deny = [ToolPermission(tool="write", params={"path": "/etc/**"})]
    assert not matches_permissions(call, Permissions(allowlist=["write"], deny=deny)), (
        "a rule names what the model names"
    )  # type: ignore[list-item]


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/other.json", "#/$defs/missing", "file:///etc/passwd"])
def test_a_schema_that_refers_to_what_is_not_in_it_is_told_and_nothing_is_fetched(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("somebody is asked over the network"))
    odd = ToolDefinition(
        name="odd", description="", schema_={"type": "object", "properties": {"a": {"$ref": reference}}}
    )
    with pytest.raises(ToolInputError, match="refers to what is not in it"):
        validate_input(odd, {"a": 1})


async def test_a_coroutine_behind_a_plain_function_is_awaited() -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def call(**given: Any) -> Any:
            return function(**given)

        return call

    @tool
    @logged
    async def double(number: int) -> int:
        return 2 * number

    assert double.execute is not None
    assert await double.execute(validate_input(double, {"number": 2}), ToolContext()) == 4


async def test_a_parameter_may_have_a_name_that_pydantic_uses_itself() -> None:
    @tool
    def query(schema: str, copy: bool = False, json: str = "") -> str:
        return f"{schema} {copy} {json}"

    assert query.execute is not None
    assert (
        await query.execute(validate_input(query, {"schema": "public", "copy": True}), ToolContext()) == "public True "
    )


def test_what_no_model_could_call_is_refused_when_it_is_made() -> None:
    with pytest.raises(ConfigurationError, match="needs a type"):

        @tool
        def untyped(a) -> None:  # type: ignore[no-untyped-def]
            pass

    with pytest.raises(ConfigurationError, match="names its arguments"):

        @tool
        def star(*args: int) -> None:
            pass

    with pytest.raises(ConfigurationError, match="no JSON Schema"):

        @tool
        def odd(lock: threading.Event) -> None:
            pass
