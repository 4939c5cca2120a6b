"""A model's arguments against a tool's schema, and a sentence for the model where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from llm_gateway_nb.errors import ConfigurationError, ToolInputError
from llm_gateway_nb.types import ToolDefinition

__all__ = ["check_tools", "plain_input", "validate_input"]


def check_tools(tools: Sequence[ToolDefinition] | None) -> list[ToolDefinition]:
    """The tools that a person gave, as a list.

    Raises:
        ConfigurationError: one tool without its list, a function that is none yet, a name.
    """
    if isinstance(tools, ToolDefinition):
        raise ConfigurationError(f"tools is a list of tools, not one tool: tools=[…] around {tools.name!r}.")
    for tool in tools or ():
        if not isinstance(tool, ToolDefinition):
            raise ConfigurationError(
                f"tools holds tools, not {tool!r}; decorate a function with @tool to make one of it."
            )
    return list(tools or ())


def validate_input(tool: ToolDefinition, arguments: Any) -> Any:
    """What `execute` gets: an instance of the schema class, or for a JSON Schema the dict with its defaults filled in.

    Raises:
        ToolInputError: names each argument that is wrong; broken JSON is shown as it came.
    """
    if isinstance(arguments, str):
        raise ToolInputError(f"The arguments of {tool.name!r} are not a JSON object: {arguments[:500]}")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise ToolInputError(f"The arguments of {tool.name!r} are a JSON object, not {type(arguments).__name__}.")
    if isinstance(tool.schema_, dict):
        return _by_json_schema(tool, tool.schema_, arguments)
    try:
        return tool.schema_.model_validate(arguments)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise ToolInputError(f"The arguments of {tool.name!r} do not fit: {'; '.join(wrong)}.") from None


def _by_json_schema(tool: ToolDefinition, schema: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    # Beside JupyterLab this import takes more than a second, for formats that nobody asked for; a tool made of a function
    # never needs it.
    import jsonschema
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    defaults = {
        name: spec["default"]
        for name, spec in schema.get("properties", {}).items()
        if isinstance(spec, dict) and "default" in spec
    }
    filled = {**defaults, **arguments}
    validator = validator_for(schema)
    try:
        validator.check_schema(schema)
    except jsonschema.exceptions.SchemaError as error:
        raise ToolInputError(f"The schema of {tool.name!r} is not a JSON Schema: {error.message}.") from None
    try:
        # With a registry of our own: the library's would fetch whatever address a schema, which may be a stranger's, names.
        errors = sorted(validator(schema, registry=Registry()).iter_errors(filled), key=lambda error: error.json_path)
    except Unresolvable as error:
        raise ToolInputError(f"The schema of {tool.name!r} refers to what is not in it: {error}.") from None
    if errors:
        wrong = "; ".join(f"{error.json_path.removeprefix('$.')}: {error.message}" for error in errors[:5])
        raise ToolInputError(f"The arguments of {tool.name!r} do not fit: {wrong}.")
    return filled


def plain_input(validated: Any) -> Any:
    """The arguments that really run, as JSON, under the names that the schema has for them: defaults filled in, but for
    those that say nothing: a None, and a field with `repr=False` that the model left out."""
    if not isinstance(validated, BaseModel):
        return validated
    given = validated.model_fields_set
    dumped = validated.model_dump(mode="json", by_alias=True, exclude_computed_fields=True)
    plain: dict[str, Any] = {}
    for name, field in type(validated).model_fields.items():
        key = field.serialization_alias or name
        if key in dumped:
            value = dumped.pop(key)
            if not _says_nothing(value, field, name in given):
                plain[_name_in_schema(name, field)] = value
    return plain | dumped


def _name_in_schema(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    return alias if isinstance(alias, str) else name


def _says_nothing(value: Any, field: FieldInfo, given: bool) -> bool:
    if field.is_required():
        return False
    return not field.repr and not given if field.default is not None else value is None
