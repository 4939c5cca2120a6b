"""Any JSON Schema, made into one that llama.cpp can turn into a grammar.

Grammars know shapes, not references, formats or arithmetic. `plain_schema` inlines the references and keeps the keywords
that shape JSON; what it drops only loosens the grammar, and whoever gets the value validates it against the real schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["plain_schema"]

_ANYTHING = {"type": ["string", "number", "boolean", "null", "object", "array"]}
_DEEPEST_REFERENCE = 3  # of one definition in itself; below it any object will do
_LONGEST = 1000  # characters that a grammar may count
_MOST = 100  # items that a grammar may count


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema`, an object's, without `$ref` and without keywords that are no shape."""
    definitions = {
        f"#/{section}/{name}": value
        for section in ("$defs", "definitions")
        for name, value in _mapping(schema.get(section)).items()
    }
    plain = _plain({"type": "object", **schema}, definitions, ())
    return plain if plain.get("type") == "object" or "anyOf" in plain else {"type": "object"}


def _plain(schema: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        return dict(_ANYTHING)  # `true`, or nonsense
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference not in definitions or inside.count(reference) >= _DEEPEST_REFERENCE:
            return {"type": "object"} if inside.count(reference) else dict(_ANYTHING)
        return _plain(definitions[reference], definitions, (*inside, reference))

    def sub(value: Any) -> dict[str, Any]:
        return _plain(value, definitions, inside)

    if "const" in schema:
        return {"const": schema["const"]}
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return {"enum": list(schema["enum"])}
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list) and schema[keyword]:
            return {"anyOf": [sub(choice) for choice in schema[keyword]]}
    parts = schema.get("allOf")
    if isinstance(parts, list) and parts:
        return _merged([sub(part) for part in [*parts, {k: v for k, v in schema.items() if k != "allOf"}]])
    return _plain_by_type(schema, sub)


def _plain_by_type(schema: Mapping[str, Any], sub: Any) -> dict[str, Any]:
    kind = schema.get("type")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else None
    if isinstance(kind, list):
        choices = [_plain_by_type({**schema, "type": one}, sub) for one in kind]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}
    match kind:
        case "object":
            return _plain_object(schema, sub)
        case "array":
            array: dict[str, Any] = {"type": "array"}
            if isinstance(schema.get("prefixItems"), list) and schema["prefixItems"]:
                array["prefixItems"] = [sub(item) for item in schema["prefixItems"]]
                array["minItems"] = array["maxItems"] = len(array["prefixItems"])
                array["items"] = False
                return array
            array["items"] = sub(schema.get("items", True))
            return array | _counts(schema, "minItems", "maxItems", _MOST)
        case "string":
            return {"type": "string"} | _counts(schema, "minLength", "maxLength", _LONGEST)
        case "integer":
            bounds = _whole(schema, "minimum", "maximum")
            for above in _whole(schema, "exclusiveMinimum").values():
                bounds["minimum"] = above + 1
            for below in _whole(schema, "exclusiveMaximum").values():
                bounds["maximum"] = below - 1
            return {"type": "integer"} | bounds
        case "number" | "boolean" | "null":
            return {"type": kind}
        case _:
            return dict(_ANYTHING)


def _plain_object(schema: Mapping[str, Any], sub: Any) -> dict[str, Any]:
    properties = schema.get("properties")
    extra = schema.get("additionalProperties")
    if not isinstance(properties, Mapping) or not properties:
        if properties == {} and extra is False:
            return {"type": "object", "properties": {}, "additionalProperties": False}
        return {"type": "object"} | ({"additionalProperties": sub(extra)} if isinstance(extra, Mapping) else {})
    required = schema.get("required")
    required = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    return {
        "type": "object",
        "properties": {name: sub(value) for name, value in properties.items()},
        "required": [name for name in required if name in properties],
        "additionalProperties": sub(extra) if isinstance(extra, Mapping) else False,
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One schema for several that all have to hold: objects become one, else the most telling one stands for all."""
    objects = [part for part in parts if part.get("type") == "object" and part.get("properties")]
    if not objects:
        return next((part for part in parts if part != _ANYTHING), dict(_ANYTHING))
    return {
        "type": "object",
        "properties": {name: value for part in objects for name, value in part["properties"].items()},
        "required": list(dict.fromkeys(name for part in objects for name in part.get("required", ()))),
        "additionalProperties": False,
    }


def _counts(schema: Mapping[str, Any], least: str, most: str, limit: int) -> dict[str, int]:
    kept = {key: count for key, count in _whole(schema, least, most).items() if 0 <= count <= limit}
    return {} if kept.get(least, 0) > kept.get(most, limit) else kept


def _whole(schema: Mapping[str, Any], *names: str) -> dict[str, int]:
    """Those of the keywords that are whole numbers."""
    found = {name: schema.get(name) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)}
