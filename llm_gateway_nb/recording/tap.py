"""Where model calls are heard, however deep inside a harness they are made.

A recorder sets `current_tap` around the harness that it records; a provider tells the tap what it is asked and what it
answers. So a harness of thirty lines is recorded like our own, and neither knows of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic_core import to_jsonable_python

from llm_gateway_nb.types import HarnessEvent, HarnessStartEvent, Message, ToolDefinition
from llm_gateway_nb.types.wire import dump_wire, text_of

__all__ = ["Request", "Tap", "current_tap", "tapped", "with_tap"]


@dataclass(slots=True)
class Request:
    """What a model is asked: as JSON, but for the messages and tools, which requests have in common.

    Attributes:
        model: the model's name, as it was settled.
        schema: the JSON Schema of the answer, where one was asked for.
    """

    model: str | None
    messages: Sequence[Message]
    tools: Sequence[ToolDefinition] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The whole of it."""
        whole: dict[str, Any] = {
            "model": self.model,
            "messages": [dump_wire(message) for message in self.messages],
            "tools": [dump_wire(tool) for tool in self.tools],
            "settings": to_jsonable_python(self.settings, fallback=text_of, inf_nan_mode="null"),
            "schema": self.schema,
        }
        return {key: value for key, value in whole.items() if value not in (None, [], {})}


class Tap(Protocol):
    """Hears the model calls of one invoke, from any thread."""

    def asked(self, run_id: str, parent_id: str | None, request: Request, secrets: Sequence[str]) -> None:
        """A model call begins. `secrets` are the keys that it is made with: they must not be written down."""

    def answered(self, event: HarnessEvent) -> None:
        """An event of a model call, before anybody else sees it."""


current_tap: ContextVar[Tap | None] = ContextVar("llm_gateway_nb.current_tap", default=None)


async def tapped(
    events: AsyncGenerator[HarnessEvent, None], request: Request, tap: Tap, secrets: Sequence[str] = ()
) -> AsyncGenerator[HarnessEvent, None]:
    """The events of one model call, heard by the tap."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, HarnessStartEvent):
                tap.asked(event.run_id, event.parent_id, request, secrets)
            tap.answered(event)
            yield event


class _Both:
    """Two taps, of a recording within a recording."""

    def __init__(self, outer: Tap, inner: Tap) -> None:
        self._taps = (outer, inner)

    def asked(self, run_id: str, parent_id: str | None, request: Request, secrets: Sequence[str]) -> None:
        for tap in self._taps:
            tap.asked(run_id, parent_id, request, secrets)

    def answered(self, event: HarnessEvent) -> None:
        for tap in self._taps:
            tap.answered(event)


async def with_tap(make: Callable[[], AsyncIterator[HarnessEvent]], tap: Tap) -> AsyncGenerator[HarnessEvent, None]:
    """The events of what `make()` gives, with the tap in place while it works: in its tasks and tools too."""
    steps: AsyncIterator[HarnessEvent] | None = None
    try:
        while True:
            # Around each step, not around the loop: between two steps this context is the reader's.
            outer = current_tap.get()
            token = current_tap.set(tap if outer is None else _Both(outer, tap))
            try:
                steps = aiter(make()) if steps is None else steps
                event = await anext(steps, None)
            finally:
                current_tap.reset(token)
            if event is None:
                return
            yield event
    finally:
        close = getattr(steps, "aclose", None)
        if close is not None:
            await close()
