"""The card of anything that has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from llm_gateway_nb.harnesses.agent import AgentHarness
from llm_gateway_nb.notebook.text import whole
from llm_gateway_nb.notebook.views.answers import response_card, summary_card
from llm_gateway_nb.notebook.views.bits import Bit, brief, card, line, table
from llm_gateway_nb.notebook.views.events import event_card, events_card
from llm_gateway_nb.notebook.views.harnesses import harness_card
from llm_gateway_nb.notebook.views.messages import (
    call_line,
    conversation,
    message_bubble,
    part_bit,
    tool_result_card,
)
from llm_gateway_nb.notebook.views.permissions import permissions_card, rule_words
from llm_gateway_nb.notebook.views.primitives import deferred_card, passthrough_card, queue_card
from llm_gateway_nb.notebook.views.tools import tool_card
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.primitives import AsyncQueue, Deferred, Passthrough
from llm_gateway_nb.processing.summarizer import Summary
from llm_gateway_nb.providers.base import LLM
from llm_gateway_nb.providers.response import GenerateResponse
from llm_gateway_nb.types import (
    AssistantMessage,
    DeniedCall,
    DocumentContentPart,
    EventBase,
    ImageContentPart,
    Permissions,
    SystemMessage,
    TextContentPart,
    ToolCall,
    ToolDefinition,
    ToolExecutionResult,
    ToolMessage,
    ToolPermission,
    UserMessage,
    WireModel,
)

__all__ = ["card_of"]

_MESSAGES = (SystemMessage, UserMessage, AssistantMessage, ToolMessage)


def card_of(thing: Any) -> Bit | None:
    """What a view of `thing` consists of; None where it has none of ours."""
    match thing:
        case Deferred():
            return deferred_card(thing)
        case AsyncQueue():
            return queue_card(thing)
        case Passthrough():
            return passthrough_card(thing)
        case SystemMessage() | UserMessage() | AssistantMessage() | ToolMessage():
            return message_bubble(thing)
        case TextContentPart() | ImageContentPart() | DocumentContentPart():
            return part_bit(thing)
        case ToolDefinition():
            return tool_card(thing)
        case ToolCall():
            return call_line(thing)
        case ToolExecutionResult():
            return tool_result_card(thing)
        case Permissions():
            return permissions_card(thing)
        case Grants():
            return permissions_card(thing.permissions, "Grants")
        case ToolPermission() | DeniedCall():
            return line(rule_words(thing))
        case EventBase():
            return event_card(thing)
        case LLM() | AgentHarness() | AgentOrchestrator():
            return harness_card(thing)
        case GenerateResponse():
            return response_card(thing)
        case Summary():
            return summary_card(thing)
        case list() | tuple():
            return _sequence(thing)
        case WireModel():
            return _fields(thing)
    if isinstance(getattr(thing, "conversation_history", None), list):
        return conversation(thing.conversation_history, type(thing).__name__)
    return harness_card(thing) if callable(getattr(thing, "invoke", None)) else None


def _sequence(things: Sequence[Any]) -> Bit | None:
    """A list of one kind: messages, events, tools."""
    if not things or not isinstance(things[0], BaseModel):
        return None
    if all(isinstance(each, _MESSAGES) for each in things):
        return conversation(things)
    if all(isinstance(each, EventBase) for each in things):
        return events_card(things)
    if all(isinstance(each, ToolDefinition) for each in things):
        rows = [(line(each.name), each.description.partition("\n")[0]) for each in things]
        return card("Tools", table(("name", "description"), rows), about=f"{len(things)}")
    return None


def _fields(model: WireModel) -> Bit:
    """Any other of our types: its fields that say something."""
    rows: list[tuple[str | Bit, ...]] = []
    for name, value in model:
        if value is None or name not in type(model).model_fields:
            continue
        text = whole(value) if isinstance(value, str | int | float | Mapping) else brief(value)
        rows.append((line(name), text))
    return card(type(model).__name__, table(("", ""), rows))
