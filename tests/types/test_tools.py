"""Tools as values: a schema, options, and what travels of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel, Field

from llm_gateway_nb.testing.strategies import tool_calls
from llm_gateway_nb.types import (
    FileTime,
    TextContentPart,
    ToolCall,
    ToolContext,
    ToolDefinition,
    ToolExecutionResult,
    ToolPermission,
)


class ReadInput(BaseModel):
    path: str = Field(description="Which file")
    limit: int = 2_000


JSON_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


async def execute(arguments: Any, ctx: ToolContext) -> str:
    return "done"


def read_tool(**fields: Any) -> ToolDefinition:
    return ToolDefinition(**{"name": "read", "description": "Read a file", "schema": ReadInput, **fields})


def test_a_schema_may_be_a_pydantic_class() -> None:
    tool = read_tool()
    assert tool.schema_ is ReadInput
    assert tool.json_schema() == ReadInput.model_json_schema()
    assert tool.json_schema()["properties"]["path"]["description"] == "Which file"


@pytest.mark.parametrize("schema", [JSON_SCHEMA, {}, {"properties": {}}])
def test_a_schema_may_be_a_json_schema(schema: dict[str, Any]) -> None:
    tool = read_tool(schema=schema)
    assert tool.schema_ == schema
    assert tool.json_schema() == schema


@pytest.mark.parametrize("schema", [ReadInput, JSON_SCHEMA])
def test_on_the_wire_it_is_called_schema_and_is_json(schema: Any) -> None:
    tool = read_tool(schema=schema, execute=execute, derive_permission=lambda params: ToolPermission(tool="read"))
    wire = tool.model_dump(mode="json")
    assert wire == {"name": "read", "description": "Read a file", "schema": tool.json_schema()}
    assert ToolDefinition.model_validate(json.loads(json.dumps(wire))).model_dump(mode="json") == wire


def test_both_spellings_of_the_schema_are_read() -> None:
    assert read_tool() == ToolDefinition(name="read", description="Read a file", schema_=ReadInput)


@pytest.mark.parametrize("schema", [3, "object", int, object, None, ReadInput(path="a"), [JSON_SCHEMA]])
def test_a_schema_that_is_neither_is_refused_in_a_sentence(schema: Any) -> None:
    with pytest.raises(ValueError, match="a tool's schema is a pydantic model class or a JSON Schema as a dict, not"):
        read_tool(schema=schema)


@pytest.mark.parametrize("kind", ["string", "array", ["object"], None])
def test_a_schema_that_is_not_of_an_object_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="a tool's schema is of type 'object', not"):
        read_tool(schema={"type": kind})


def test_a_tool_has_a_name() -> None:
    with pytest.raises(ValueError, match="name"):
        read_tool(name="")


def test_called_with_options_a_tool_gives_a_copy() -> None:
    tool = read_tool(execute=execute)
    slow = tool(timeout_seconds=60, description="Read a file, slowly")
    assert (slow.timeout_seconds, slow.description, slow.name) == (60, "Read a file, slowly", "read")
    assert slow.execute is execute
    assert slow.schema_ is ReadInput
    assert tool.timeout_seconds is None
    assert tool() == tool


def test_a_copy_may_have_another_schema() -> None:
    assert read_tool()(schema=JSON_SCHEMA).schema_ == JSON_SCHEMA
    assert read_tool()(schema_=JSON_SCHEMA).schema_ == JSON_SCHEMA


def test_an_option_that_a_tool_does_not_have_is_told_with_those_it_has() -> None:
    with pytest.raises(TypeError, match=r"tool 'read' has no option 'timeout'; it has name, description, schema, "):
        read_tool()(timeout=60)


@pytest.mark.parametrize(
    ("option", "value"),
    [("timeout_seconds", "soon"), ("name", ""), ("schema", 3), ("execute", 3), ("description", None)],
)
def test_a_value_that_an_option_does_not_take_is_told_in_a_sentence(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^tool 'read', option {option}: ") as caught:
        read_tool()(**{option: value})
    assert "\n" not in str(caught.value)


def test_a_tools_maker_may_have_options_of_their_own() -> None:
    tool = read_tool()
    tool._configure = lambda **options: read_tool(description=f"Read with {options}")
    assert tool(root="/tmp").description == "Read with {'root': '/tmp'}"


@given(tool_calls())
def test_every_call_survives_the_wire(call: ToolCall) -> None:
    wire = call.model_dump(mode="json")
    assert ToolCall.model_validate_json(json.dumps(wire, allow_nan=False)) == call
    assert ("arguments" in wire) is (call.arguments is not None)


def test_a_result_has_a_text_or_parts_for_the_model_and_a_value_for_the_application() -> None:
    assert ToolExecutionResult(context="hi").model_dump(mode="json") == {"context": "hi"}
    assert ToolExecutionResult(context="").model_dump(mode="json") == {"context": ""}
    assert ToolExecutionResult(result={"a_b": 1}).model_dump(mode="json") == {"result": {"a_b": 1}}
    assert ToolExecutionResult.model_validate({"context": [{"type": "text", "text": "hi"}]}).context == [
        TextContentPart(text="hi")
    ]
    with pytest.raises(ValueError):
        ToolExecutionResult[int](result="three")


def test_progress_is_passed_on_and_without_a_listener_it_is_nothing() -> None:
    seen: list[Any] = []
    ToolContext(emit_progress=seen.append).progress({"percent": 50})
    ToolContext().progress("lost")
    assert seen == [{"percent": 50}]


def test_of_a_context_only_the_parent_travels() -> None:
    async def spawn(task: str) -> str:
        return task

    ctx = ToolContext(parent_id="r/c", spawn=spawn, emit_progress=print)
    assert ctx.spawn is spawn
    assert ctx.model_dump(mode="json") == {"parentId": "r/c"}
    assert ToolContext().model_dump(mode="json") == {}


def test_a_context_takes_whatever_remembers_files() -> None:
    class Notes:
        def read(self, path: Any) -> None: ...

        def check(self, path: Any) -> None: ...

    notes = Notes()
    assert isinstance(notes, FileTime)
    assert ToolContext(file_time=notes).file_time is notes
    with pytest.raises(ValueError):
        ToolContext(file_time=object())
