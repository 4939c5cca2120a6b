"""Harnesses as types: what `invoke` takes, and the two forms of a harness."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.types.events import HarnessEvent
from llm_gateway_nb.types.messages import Message, parse_messages
from llm_gateway_nb.types.permissions import Permissions
from llm_gateway_nb.types.tools import FileTime, ToolDefinition
from llm_gateway_nb.types.wire import WireModel, optional

__all__ = [
    "GeneratorHarnessModule",
    "GeneratorInvokeParams",
    "Harness",
    "HarnessModule",
    "InvokeContext",
    "InvokeEnv",
    "InvokeParams",
    "LoadedHarness",
]


class InvokeEnv(WireModel):
    """Where a run stands: what it hangs from, and what it can reach. Only `parent_id` travels on the wire."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    parent_id: str | None = optional()
    spawn: Callable[[str, str], Awaitable[str]] | None = Field(default=None, exclude=True, repr=False)
    """`await spawn(task, parent_id)` runs a subagent and gives its last text."""
    file_time: FileTime | None = Field(default=None, exclude=True, repr=False)
    grants: Any = Field(default=None, exclude=True, repr=False)
    """The tree's shared `llm_gateway_nb.permissions.Grants`; a child never has more than its parent."""
    depth: int | None = optional()
    shared: Any = Field(default=None, exclude=True, repr=False)
    """A dict that a whole tree of runs has in common; each wrapper keeps its own there, under a key of its own."""
    budgets: tuple[Any, ...] = Field(default=(), exclude=True, repr=False)
    """The budgets that this run is under; a harness with `keeps_budgets` asks them between its steps."""


class GeneratorInvokeParams(WireModel):
    """What a harness in generator form is invoked with."""

    model: str | None = optional()
    messages: list[Message]
    context: str | None = optional()
    """More context, put into the conversation by the harness."""
    tools: list[ToolDefinition] | None = optional()
    env: InvokeEnv | None = optional()
    permissions: Permissions | None = optional()
    settings: dict[str, Any] | None = optional()
    """Model settings, such as `temperature`; a provider refuses those that it does not know."""
    response_model: type[BaseModel] | None = Field(default=None, exclude=True)

    @classmethod
    def of(cls, params: Self | None, fields: Mapping[str, Any]) -> Self:
        """What `invoke(params)` and `invoke(messages=…, …)` were given, as one.

        Raises:
            InvalidMessagesError: the messages do not have the shape of messages.
            ConfigurationError: two tools have one name.
            TypeError: both forms at once, or a field that is not known.
        """
        if params is None:
            unknown = sorted(set(fields) - set(cls.model_fields))
            if unknown:
                raise TypeError(f"invoke has no field {unknown[0]!r}; it has {', '.join(cls.model_fields)}.")
            params = cls(**{**fields, "messages": parse_messages(fields.get("messages", ()))})
        elif fields:
            raise TypeError("invoke takes either `params`, or its fields as keywords, not both.")
        elif not isinstance(params, cls):
            raise TypeError(f"invoke takes {cls.__name__}, or messages=[…] and other fields of it, not {params!r}.")
        _check_names(params.tools or ())
        return params


def _check_names(tools: Sequence[ToolDefinition]) -> None:
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(
            f"Two tools are named {twice!r}, so neither a model nor a rule could say which one is meant; give one of them "
            "another name."
        )


class InvokeContext(WireModel):
    """The callback form's context."""

    parent_id: str | None = optional()


class InvokeParams(WireModel):
    """What a harness in callback form is invoked with."""

    model: str | None = optional()
    messages: list[Message]
    tools: list[ToolDefinition] | None = optional()
    emit: Callable[[HarnessEvent], None] = Field(exclude=True, repr=False)
    context: InvokeContext | None = optional()
    permissions: Permissions | None = optional()


@runtime_checkable
class HarnessModule(Protocol):
    """A harness in callback form: events go to `params.emit`; the run is over when `invoke` returns."""

    async def invoke(self, params: InvokeParams, /) -> None: ...

    async def supported_models(self) -> list[str]: ...


@runtime_checkable
class GeneratorHarnessModule(Protocol):
    """A harness in generator form, the one to prefer: `invoke` is an async generator of events."""

    def invoke(self, params: GeneratorInvokeParams, /) -> AsyncIterator[HarnessEvent]: ...

    async def supported_models(self) -> list[str]: ...


class Harness(WireModel):
    """What is known of a harness without loading it."""

    id: str
    name: str
    description: str | None = optional()
    module_path: str | None = optional()
    supported_models: list[str] | None = optional()
    registered_at: float | None = optional()


class LoadedHarness(WireModel):
    """A harness with its module."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    harness: Harness
    module: Any = Field(exclude=True, repr=False)
