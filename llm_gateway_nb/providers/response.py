"""One answer of a model, folded from the events of its call."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from llm_gateway_nb.errors import ProviderAPIError
from llm_gateway_nb.types import (
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReasoningEvent,
    TextEvent,
    ToolCall,
    ToolCallEvent,
    UsageEvent,
)

__all__ = ["GenerateResponse", "ResponseFold", "fold_response"]


@dataclass(slots=True)
class GenerateResponse:
    """What a model answered; a chunk of it when streaming.

    Attributes:
        content: the text; None when the model only called tools.
        tool_calls: the calls it wants, in its order.
        usage: `input_tokens`, `output_tokens`, `total_tokens`; None when the service did not count.
            `input_tokens` is the whole prompt, what came from the service's cache included; where the service tells, that
            part is in `cache_read_tokens`, and what was written to the cache in `cache_creation_tokens`.
        finish_reason: stop, length, tool_calls, content_filter, or the service's own word.
        metadata: `raw_finish_reason`, where the service's word is another one.
        gen_time: milliseconds from the request to the end.
    """

    content: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    usage: dict[str, int] | None = None
    model: str | None = None
    finish_reason: str | None = None
    reasoning: str | None = None
    gen_time: float | None = None
    raw_response: Any = field(default=None, repr=False)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def input_tokens(self) -> int | None:
        return self.usage["input_tokens"] if self.usage else None

    @property
    def output_tokens(self) -> int | None:
        return self.usage["output_tokens"] if self.usage else None

    @property
    def total_tokens(self) -> int | None:
        return self.usage["total_tokens"] if self.usage else None

    def has_tool_calls(self) -> bool:
        return bool(self.tool_calls)


class ResponseFold:
    """Adds events up to a `GenerateResponse`; an `error` event becomes its exception."""

    def __init__(self, model: str) -> None:
        self._began = time.perf_counter()
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._response = GenerateResponse(model=model)

    def add(self, event: HarnessEvent) -> None:
        """Take the next event.

        Raises:
            BaseException: the exception of an `error` event, with `partial_text` where it is a `ProviderAPIError`.
        """
        match event:
            case TextEvent(content=content):
                self._texts.append(content)
            case ReasoningEvent(content=content):
                self._reasoning.append(content)
            case ToolCallEvent():
                arguments = event.input if isinstance(event.input, dict) else {"raw": event.input}
                self._response.tool_calls.append(ToolCall(id=event.id, name=event.name, arguments=arguments))
            case UsageEvent(input_tokens=input_tokens, output_tokens=output_tokens):
                self._response.usage = {
                    "input_tokens": input_tokens,
                    "output_tokens": output_tokens,
                    "total_tokens": input_tokens + output_tokens,
                }
                if event.cache_read_tokens is not None:
                    self._response.usage["cache_read_tokens"] = event.cache_read_tokens
                if event.cache_creation_tokens is not None:
                    self._response.usage["cache_creation_tokens"] = event.cache_creation_tokens
            case HarnessStartEvent(model=str(model)):
                self._response.model = model
            case HarnessEndEvent(finish_reason=finish_reason):
                self._response.finish_reason = finish_reason
                if raw := (event.model_extra or {}).get("rawFinishReason"):
                    self._response.metadata["raw_finish_reason"] = raw
            case ErrorEvent(error=error):
                if isinstance(error, ProviderAPIError):
                    error.partial_text = "".join(self._texts)
                raise error
            case _:
                pass

    def response(self) -> GenerateResponse:
        """The whole answer."""
        whole = self._response
        whole.content = "".join(self._texts) or (None if whole.tool_calls else "")
        whole.reasoning = "".join(self._reasoning) or None
        whole.gen_time = round((time.perf_counter() - self._began) * 1000, 1)
        return whole

    async def chunks(self, events: AsyncGenerator[HarnessEvent, None]) -> AsyncGenerator[GenerateResponse, None]:
        """The deltas as they come, then one last chunk with everything but the text."""
        async with aclosing(events):
            async for event in events:
                self.add(event)
                match event:
                    case TextEvent(content=content):
                        yield GenerateResponse(content=content, model=self._response.model)
                    case ReasoningEvent(content=content):
                        yield GenerateResponse(content="", reasoning=content, model=self._response.model)
                    case _:
                        pass
        last = self.response()
        last.content, last.reasoning = "", None
        yield last


async def fold_response(events: AsyncGenerator[HarnessEvent, None], model: str) -> GenerateResponse:
    """The answer that the events of one call add up to.

    Raises:
        BaseException: as `ResponseFold.add` does.
    """
    fold = ResponseFold(model)
    async with aclosing(events):
        async for event in events:
            fold.add(event)
    return fold.response()
