"""A conversation in short, as a run like any other: it streams, is resumed and is stopped in the same way."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from llm_gateway_nb.errors import GatewayError
from llm_gateway_nb.processing import Summarizer
from llm_gateway_nb.providers import LLM
from llm_gateway_nb.types import (
    AssistantMessage,
    ErrorEvent,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    Message,
    TextContentPart,
    TextEvent,
    new_id,
)

__all__ = ["SummaryHarness"]


class SummaryHarness:
    """Sums up the messages that it is invoked with. No loop, no tools."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    async def supported_models(self) -> list[str]:
        """Those of the model."""
        return await self._llm.supported_models()

    async def invoke(self, params: GeneratorInvokeParams) -> AsyncGenerator[HarnessEvent, None]:
        """The summary comes as one text."""
        run_id = new_id()
        llm = self._llm.with_options(model=params.model) if params.model else self._llm
        yield HarnessStartEvent(run_id=run_id, model=llm.model)
        try:
            summary = await Summarizer(llm).asummarize(_transcript(params.messages))
        except GatewayError as error:
            yield ErrorEvent(run_id=run_id, error=error)
            yield HarnessEndEvent(run_id=run_id, reason="error")
        else:
            yield TextEvent(run_id=run_id, id=new_id(), content=summary.summary)
            yield HarnessEndEvent(run_id=run_id, reason="final")


def _transcript(messages: list[Message]) -> str:
    """The messages as a text. Of more than one line, so that none of them can be taken for the path of a file."""
    lines = ["A conversation:", ""]
    for message in messages:
        content = message.content if isinstance(message.content, str | None) else _parts(message.content)
        if content:
            lines.append(f"{message.role}: {content}")
        if isinstance(message, AssistantMessage):
            lines += [f"assistant called {call.name}({call.arguments or {}})" for call in message.tool_calls or ()]
    return "\n".join(lines)


def _parts(parts: Sequence[object]) -> str:
    return " ".join(part.text if isinstance(part, TextContentPart) else "(a file)" for part in parts)
