"""`tool`: a typed Python function becomes a `ToolDefinition`."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Callable
from typing import Any, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, create_model

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.types import ToolContext, ToolDefinition

__all__ = ["tool"]


@overload
def tool(function: Callable[..., Any], /) -> ToolDefinition: ...


@overload
def tool(
    *, name: str | None = None, description: str | None = None, timeout_seconds: float | None = None
) -> Callable[[Callable[..., Any]], ToolDefinition]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_seconds: float | None = None,
) -> ToolDefinition | Callable[[Callable[..., Any]], ToolDefinition]:
    """Make a tool out of a function: its parameters are the schema, its docstring is the description.

    Parameters are typed with anything pydantic knows; defaults, optionals, enums and models work. The model reads the text
    above an `Args:` section as the description, and each line of that section as its parameter's. A parameter annotated
    `ToolContext` is handed the context and is not part of the schema. A plain function runs in a thread, which no cancel
    and no limit can end: it works on to its own end, and what it gives is dropped.

    Raises:
        ConfigurationError: a parameter without a type, or one that no schema can describe.
    """
    if function is None:
        return lambda given: _from_function(given, name, description, timeout_seconds)
    return _from_function(function, name, description, timeout_seconds)


def _from_function(
    function: Callable[..., Any], name: str | None, description: str | None, timeout_seconds: float | None
) -> ToolDefinition:
    name = name or function.__name__
    summary, about = _read_docstring(inspect.getdoc(function) or "")
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    context_name: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        if hints.get(parameter.name) is ToolContext:
            context_name = parameter.name
            continue
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
            raise ConfigurationError(
                f"tool {name!r}: a model names its arguments, so {parameter} can't be a parameter."
            )
        if parameter.name not in hints:
            raise ConfigurationError(
                f"tool {name!r}: parameter {parameter.name!r} needs a type, as in `{parameter.name}: str`."
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        field = Field(default, description=about.get(parameter.name))
        fields[parameter.name] = (hints[parameter.name], field)
    try:
        with warnings.catch_warnings():  # a parameter may be called `schema` or `copy`, as many are
            warnings.filterwarnings("ignore", "Field name .* shadows an attribute", UserWarning)
            schema = create_model(name, __config__=ConfigDict(extra="forbid"), __doc__=None, **fields)
        schema.model_json_schema()
    except Exception as error:
        raise ConfigurationError(f"tool {name!r}: its parameters have no JSON Schema: {error}") from error

    async def execute(given: BaseModel, ctx: ToolContext) -> Any:
        arguments: dict[str, Any] = {field: getattr(given, field) for field in fields}
        if context_name is not None:
            arguments[context_name] = ctx
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        result = await asyncio.to_thread(function, **arguments)
        return await result if inspect.isawaitable(result) else result  # a decorator may hide what it wraps

    return ToolDefinition(
        name=name,
        description=description or summary or name.replace("_", " "),
        schema_=schema,
        execute=execute,
        timeout_seconds=timeout_seconds,
    )


def _read_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """The text before the first section, and what its `Args:` section says of each parameter (Google style)."""
    lines = doc.splitlines()
    sections = [
        i for i, line in enumerate(lines) if line.rstrip() in {"Args:", "Arguments:", "Returns:", "Raises:", "Example:"}
    ]
    summary = "\n".join(lines[: sections[0]] if sections else lines).strip()
    about: dict[str, str] = {}
    start = next((i for i in sections if lines[i].startswith("Arg")), None)
    if start is not None:
        end = next((i for i in sections if i > start), len(lines))
        last = ""
        for line in lines[start + 1 : end]:
            head, colon, rest = line.strip().partition(":")
            parameter = head.partition("(")[0].strip()
            if colon and parameter.isidentifier() and not line.startswith(" " * 8):
                about[parameter] = rest.strip()
                last = parameter
            elif last and line.strip():
                about[last] += " " + line.strip()
    return summary, about
