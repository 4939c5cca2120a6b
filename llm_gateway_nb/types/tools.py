"""Tools: what a model may call, the call, its result, and what the tool is handed while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from inspect import getdoc, signature
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_serializer,
    field_validator,
)

from llm_gateway_nb.types.content import ContentPart
from llm_gateway_nb.types.permissions import ToolPermission
from llm_gateway_nb.types.wire import WireModel, optional

__all__ = ["FileTime", "ToolCall", "ToolContext", "ToolDefinition", "ToolExecutionResult"]

ResultT = TypeVar("ResultT")


class ToolCall(WireModel):
    """One call in an assistant message. `arguments` are as the model gave them, parsed from JSON."""

    id: str
    name: str
    arguments: dict[str, Any] | None = optional()


class ToolExecutionResult(WireModel, Generic[ResultT]):
    """What a tool gives back.

    `context` goes into the model's context window: text, or content parts where a model is to see an image or document.
    `result` is for the application; without a `context` the model sees `result` as JSON.
    """

    context: str | list[ContentPart] | None = optional()
    result: ResultT | None = optional()


@runtime_checkable
class FileTime(Protocol):
    """Remembers when files were read, so that a write to a file that changed meanwhile is refused."""

    def read(self, path: str | Path) -> None:
        """Note that `path` was read now."""

    def check(self, path: str | Path) -> None:
        """Raise unless `path` was read and has not changed since."""


class ToolContext(WireModel):
    """What `execute(input, ctx)` is handed beside its input."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    parent_id: str | None = optional()
    """The namespaced id of the tool call that is being executed."""
    spawn: Callable[[str], Awaitable[str]] | None = Field(default=None, exclude=True, repr=False)
    """Runs a subagent on a task and gives its answer; None where nobody can spawn."""
    file_time: FileTime | None = Field(default=None, exclude=True, repr=False)
    beyond_workspace: bool = Field(default=False, exclude=True, repr=False)
    """Whoever executes has held what `ToolDefinition.goes_beyond` said against the rules, or has asked."""
    emit_progress: Callable[[Any], None] | None = Field(default=None, exclude=True, repr=False)
    emit_event: Callable[[Any], None] | None = Field(default=None, exclude=True, repr=False)
    """Sends an event that hangs from this call (`parentId` is `parent_id`), such as a REPL's; as `progress` does."""
    held: Any = Field(default=None, exclude=True, repr=False)
    """What stays open between calls until the run is over: an `llm_gateway_nb.tools.held.Held`, where anybody keeps one."""
    stop_clock: Callable[[], AbstractContextManager[None]] | None = Field(default=None, exclude=True, repr=False)

    def waiting(self) -> AbstractContextManager[None]:
        """`with ctx.waiting():` time in here does not count against the tool's limit: a person is asked, or somebody
        else works. In the loop that runs the tool."""
        return self.stop_clock() if self.stop_clock is not None else nullcontext()

    def progress(self, content: Any) -> None:
        """Send a `tool_progress` event now: text, or any JSON value. Callable from any thread; never raises."""
        if self.emit_progress is not None:
            self.emit_progress(content)


Execute = Callable[[Any, ToolContext], Awaitable[Any]]


class ToolDefinition(WireModel):
    """A tool that a model may call.

    `schema_` (wire name `schema`) is a pydantic model class, or a JSON Schema of type object. `execute(input, ctx)` is
    a coroutine function: it gets the validated instance of the class (a dict for a JSON Schema) and a `ToolContext`, and
    gives a `ToolExecutionResult`, a text, or any JSON value. Functions never travel on the wire.

    A tool is a value: calling it with options gives a copy, `bash_tool(timeout=60)`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str = Field(min_length=1)
    description: str
    schema_: type[BaseModel] | dict[str, Any] = Field(
        validation_alias=AliasChoices("schema", "schema_"), serialization_alias="schema"
    )
    execute: Execute | None = Field(default=None, exclude=True, repr=False)
    derive_permission: Callable[[dict[str, Any]], ToolPermission | None] | None = Field(
        default=None, exclude=True, repr=False
    )
    goes_beyond: Callable[[Any], str | None] | None = Field(default=None, exclude=True, repr=False)
    """Of the validated input: why a rule for the bare tool does not cover this call, as in "'/etc/hosts' lies outside the
    workspace /work"; None if it does. Then only a rule that names the path, or a person, allows it."""
    timeout_seconds: float | None = optional()
    """How long one call may take; None leaves it to the harness. Time in which a person is asked does not count."""

    _configure: Callable[..., ToolDefinition] | None = PrivateAttr(default=None)

    @field_validator("schema_", mode="before")
    @classmethod
    def _is_object_schema(cls, schema: Any) -> Any:
        if not isinstance(schema, dict) and not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise ValueError(f"a tool's schema is a pydantic model class or a JSON Schema as a dict, not {schema!r}")
        if isinstance(schema, dict) and schema.get("type", "object") != "object":
            raise ValueError(f"a tool's schema is of type 'object', not {schema['type']!r}")
        return schema

    @field_serializer("schema_")
    def _schema_to_wire(self, schema: type[BaseModel] | dict[str, Any]) -> dict[str, Any]:
        return schema if isinstance(schema, dict) else schema.model_json_schema()

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the input, as services want it."""
        return self._schema_to_wire(self.schema_)

    def getdoc(self) -> str:
        """What IPython shows for `bash_tool?`: what the model is told of it, and which options it has."""
        parameters = [
            f"    {name}: {spec.get('description') or spec.get('type') or 'anything'}"
            for name, spec in self.json_schema().get("properties", {}).items()
        ]
        maker = getattr(self._configure, "func", self._configure)
        options = getdoc(maker) if maker is not None else None
        parts = [self.description]
        if parameters:
            parts.append("\n".join(["The model gives:", *parameters]))
        if options:
            parts.append(f"Called with options it gives a copy. {options}")
        return "\n\n".join(parts)

    def __call__(self, *called: Any, **options: Any) -> ToolDefinition:
        """A copy with other options: those of the tool's maker, or `name`, `description`, `timeout_seconds`, ….

        Raises:
            TypeError: an option that this tool does not have.
            ValueError: a value that the option does not take.
        """
        if called:
            raise TypeError(
                f"tool {self.name!r} is not called like a function, which a model's call does: options by their names give "
                "a copy, and show(tool) has a form to call it by hand."
            )
        if self._configure is not None:
            known = signature(self._configure).parameters
            other = sorted(set(options) - set(known))
            if other and not any(each.kind is each.VAR_KEYWORD for each in known.values()):
                raise TypeError(f"tool {self.name!r} has no option {other[0]!r}; it has {', '.join(known)}.")
            return self._configure(**options)
        names = ["schema" if field == "schema_" else field for field in type(self).model_fields]
        unknown = sorted(set(options) - {*names, "schema_"})
        if unknown:
            raise TypeError(f"tool {self.name!r} has no option {unknown[0]!r}; it has {', '.join(names)}.")
        if "schema" in options:
            options["schema_"] = options.pop("schema")
        try:
            return type(self).model_validate({**dict(self), **options})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            option = str(first["loc"][0]).removesuffix("_")
            raise ValueError(f"tool {self.name!r}, option {option}: {first['msg']}") from None
