"""`with_otel`: spans of runs, model calls and tools, by OpenTelemetry's conventions for generative AI.

`invoke_agent`, below it `chat …` and `execute_tool …`, and a subagent below the tool that spawned it. What was said, what a
tool was given and what it gave stay out of the spans unless they are asked for; so do the messages of errors.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.harnesses.wrapped import wrap
from llm_gateway_nb.recording.tap import Request, with_tap
from llm_gateway_nb.types import (
    ErrorEvent,
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    RelayEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UsageEvent,
)
from llm_gateway_nb.types.wire import dump_wire

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

__all__ = ["with_otel"]

HarnessT = TypeVar("HarnessT", bound=GeneratorHarnessModule)


def with_otel(harness: HarnessT, *, tracer_provider: TracerProvider | None = None, content: bool = False) -> HarnessT:
    """The same harness, with spans of all that happens in it; they hang from the span that is current at the invoke.

    Args:
        tracer_provider: whose tracer to use; None is the global one.
        content: put prompts, answers, arguments, results and the messages of errors into the spans. They may be private.

    Raises:
        ConfigurationError: OpenTelemetry is not installed, or `harness` is none.
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        raise ConfigurationError("with_otel needs OpenTelemetry: pip install 'llm-gateway-nb[otel]'.") from error
    if not callable(getattr(harness, "invoke", None)):
        raise ConfigurationError(f"with_otel takes a harness, something with `invoke(params)`, not {harness!r}.")
    tracer = trace.get_tracer("llm_gateway_nb", tracer_provider=tracer_provider)
    shared = _Shared()

    async def around(
        inner: GeneratorHarnessModule, params: GeneratorInvokeParams
    ) -> AsyncGenerator[HarnessEvent, None]:
        told = _Trace(tracer, shared, provider=getattr(harness, "provider", None), content=content)
        try:
            async with aclosing(with_tap(lambda: inner.invoke(params), told)) as events:
                async for event in events:
                    told.event(event)
                    yield event
        finally:
            told.close()

    return cast("HarnessT", wrap(harness, around, "with_otel"))


class _Shared:
    """What all invokes of one wrapper have in common: a subagent's run hangs from the span of a tool of another's."""

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.calls: set[str] = set()
        self.lock = threading.Lock()


class _Trace:
    """The spans of one invoke. A tap of its model calls, which are heard from any thread."""

    def __init__(self, tracer: Tracer, shared: _Shared, *, provider: Any, content: bool) -> None:
        from opentelemetry import context

        self._tracer = tracer
        self._provider = provider if isinstance(provider, str) else None
        self._content = content
        self._around = context.get_current()
        self._spans, self._calls, self._lock = shared.spans, shared.calls, shared.lock
        self._mine: list[str] = []
        self._said: dict[str, list[str]] = {}

    # -- model calls, as the tap hears them ----------------------------------------------------------------------------

    def asked(self, run_id: str, parent_id: str | None, request: Request, secrets: Sequence[str]) -> None:
        if run_id in self._calls:
            return  # a subagent's call is heard by the run above, too
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": request.model,
            **{f"gen_ai.request.{key}": value for key, value in request.settings.items() if key in _SETTINGS},
        }
        if self._content:
            messages = [dump_wire(message) for message in request.messages]
            attributes["gen_ai.input.messages"] = json.dumps(messages, ensure_ascii=False)
        self._calls.add(run_id)
        self._start(run_id, f"chat {request.model or ''}".strip(), parent_id, attributes, client=True)

    def answered(self, event: HarnessEvent) -> None:
        match event:
            case TextEvent() if self._content:
                self._said.setdefault(event.run_id, []).append(event.content)
            case UsageEvent():
                self._tokens(event.run_id, event.input_tokens, event.output_tokens)
            case ErrorEvent():
                self._failed(event.run_id, event.error)
            case HarnessEndEvent():
                finish = {"gen_ai.response.finish_reasons": [event.finish_reason] if event.finish_reason else None}
                text = "".join(self._said.pop(event.run_id, ()))
                if text:
                    finish["gen_ai.output.messages"] = json.dumps([{"role": "assistant", "content": text}])  # type: ignore[assignment]  # a text, not a list
                self._set(event.run_id, finish)
                self._end(event.run_id)
            case _:
                pass

    # -- everything else, as the reader sees it --------------------------------------------------------------------------

    def event(self, event: HarnessEvent) -> None:
        if event.run_id in self._calls:
            return
        match event:
            case HarnessStartEvent():
                attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": event.model}
                self._start(event.run_id, "invoke_agent", event.parent_id, attributes)
            case HarnessEndEvent():
                if event.total_usage is not None:
                    self._tokens(event.run_id, event.total_usage.input_tokens, event.total_usage.output_tokens)
                if event.reason == "error":
                    self._failed(event.run_id, None, kind="error")
                self._set(
                    event.run_id, {"llm_gateway_nb.reason": event.reason, "llm_gateway_nb.turns": event.iterations}
                )
                self._end(event.run_id)
            case ToolCallEvent():
                attributes = {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": event.name,
                    "gen_ai.tool.call.id": event.id.rpartition("/")[2],
                    "gen_ai.tool.call.arguments": _as_text(event.input) if self._content else None,
                }
                if event.id not in self._spans:
                    self._start(event.id, f"execute_tool {event.name}", event.run_id, attributes)
            case ToolResultEvent():
                if self._content:
                    self._set(event.id, {"gen_ai.tool.call.result": _as_text(event.output)})
                if event.status in ("error", "denied", "cancelled"):
                    self._failed(event.id, None, kind=event.status)
                self._end(event.id)
            case RelayEvent():
                self._note(event.run_id, "permission asked", {"gen_ai.tool.name": event.tool})
            case ErrorEvent():
                self._failed(event.tool_call_id or event.run_id, event.error)
            case _:
                pass

    def close(self) -> None:
        """End what is still open: the run was stopped."""
        for key in reversed(self._mine):
            self._failed(key, None, kind="cancelled")
            self._end(key)
        self._calls.difference_update(self._mine)

    # -- spans -----------------------------------------------------------------------------------------------------------

    def _start(
        self, key: str, name: str, parent_id: str | None, attributes: dict[str, Any], *, client: bool = False
    ) -> None:
        from opentelemetry import trace

        above = self._spans.get(parent_id or "")
        around = trace.set_span_in_context(above) if above is not None else self._around
        kind = trace.SpanKind.CLIENT if client else trace.SpanKind.INTERNAL
        known = {key: value for key, value in attributes.items() if value is not None}
        with self._lock:
            self._mine.append(key)
            self._spans[key] = self._tracer.start_span(name, context=around, kind=kind, attributes=known)

    def _set(self, key: str, attributes: dict[str, Any]) -> None:
        if key in self._spans:
            self._spans[key].set_attributes({name: value for name, value in attributes.items() if value is not None})

    def _note(self, key: str, name: str, attributes: dict[str, Any]) -> None:
        if key in self._spans:
            self._spans[key].add_event(name, attributes)

    def _tokens(self, key: str, given: int, taken: int) -> None:
        self._set(key, {"gen_ai.usage.input_tokens": given, "gen_ai.usage.output_tokens": taken})

    def _failed(self, key: str, error: BaseException | None, *, kind: str | None = None) -> None:
        from opentelemetry.trace import Status, StatusCode

        if key not in self._spans:
            return
        name = kind or getattr(error, "name", None) or type(error).__name__
        if kind is None or "error.type" not in getattr(self._spans[key], "attributes", {}):  # the first word says most
            self._spans[key].set_attribute("error.type", name)
        self._spans[key].set_status(
            Status(StatusCode.ERROR, str(error) if self._content and error is not None else None)
        )

    def _end(self, key: str) -> None:
        with self._lock:
            span = self._spans.pop(key, None)
        if span is not None:
            span.end()


_SETTINGS = frozenset({"temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty"})


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
