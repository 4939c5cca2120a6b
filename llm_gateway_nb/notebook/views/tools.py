"""Tool definitions as cards: what the model is told of a tool, and its parameters as a table or a form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llm_gateway_nb.notebook.text import jsonable
from llm_gateway_nb.notebook.views.bits import Bit, card, code, fold, line, note, prose, table
from llm_gateway_nb.types import ToolDefinition

__all__ = ["form_fields", "tool_card"]

_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}


def tool_card(tool: ToolDefinition, *, with_parameters: bool = True) -> Bit:
    """The card. Beside a form the parameters are left out: the form says the same."""
    schema = tool.json_schema()
    inside = [prose(tool.description)]
    if with_parameters:
        rows = [(line(field["name"]), field["type"], _need(field), field["about"]) for field in form_fields(schema)]
        inside.append(table(("parameter", "type", "", ""), rows, empty="It takes no arguments."))
    inside.append(fold("JSON Schema", code(json.dumps(jsonable(schema), indent=2, ensure_ascii=False))))
    if tool.execute is None:
        inside.append(note("It has no function here: it can be offered to a model, but not run."))
    limit = "" if tool.timeout_seconds is None else f", at most {tool.timeout_seconds:g} s"
    return card(tool.name, *inside, about=f"tool{limit}")


def form_fields(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The top level of an object schema, a field a property, as a form draws it.

    `kind` is text, integer, number, boolean, choice, or json for whatever has a structure of its own.
    """
    required = set(schema.get("required", ()))
    fields = []
    properties = schema.get("properties")
    for name, given in (properties if isinstance(properties, Mapping) else {}).items():
        spec = _resolved(given, schema)
        choices = spec.get("enum", [spec["const"]] if "const" in spec else None)
        kind = "choice" if choices else _KINDS.get(str(spec.get("type")), "json")
        field: dict[str, Any] = {
            "name": str(name),
            "kind": kind,
            "type": _type_words(spec, choices),
            "required": name in required,
            "about": str(spec.get("description") or ""),
        }
        if choices:
            field["choices"] = jsonable(choices)
        if spec.get("default") is not None:
            field["default"] = jsonable(spec["default"])
        fields.append(field)
    return fields


def _resolved(spec: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A property without its `$ref`, and without the null of an optional; what stands beside them wins."""
    found: dict[str, Any] = dict(spec) if isinstance(spec, Mapping) else {}
    for _ in range(20):  # a `$ref` may lead to a `$ref`, and in a broken schema to itself
        if isinstance(found.get("$ref"), str):
            target: Any = schema
            for step in found.pop("$ref").removeprefix("#/").split("/"):
                target = target.get(step) if isinstance(target, Mapping) else None
            found = {**(target if isinstance(target, Mapping) else {}), **found}
            continue
        options = found.get("anyOf")
        real = [o for o in options if o != {"type": "null"}] if isinstance(options, list) else []
        if len(real) != 1 or not isinstance(real[0], Mapping):
            break
        del found["anyOf"]
        found = {**real[0], **found}
    return found


def _type_words(spec: Mapping[str, Any], choices: Any) -> str:
    if choices:
        return " | ".join(json.dumps(jsonable(choice), ensure_ascii=False) for choice in choices)
    if spec.get("type") == "array":
        items = spec.get("items")
        inner = items.get("type") if isinstance(items, Mapping) else None
        return f"array of {inner}" if isinstance(inner, str) else "array"
    return str(spec.get("type") or "any")


def _need(field: Mapping[str, Any]) -> str:
    if field["required"]:
        return "required"
    return f"default {json.dumps(field['default'], ensure_ascii=False)}" if "default" in field else "optional"
