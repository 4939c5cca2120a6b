"""Events: one as a card, many as a table in which the deltas of one text stand together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llm_gateway_nb.graph import content_text
from llm_gateway_nb.notebook.text import call, cut, jsonable, printed, whole
from llm_gateway_nb.notebook.views.bits import Bit, Tone, badge, card, code, fold, line, note, table
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    ErrorEvent,
    EventBase,
    HarnessEndEvent,
    HarnessStartEvent,
    ReasoningEvent,
    RelayAnswerEvent,
    RelayEvent,
    ReplInputEvent,
    ReplOutputEvent,
    ReplProgressEvent,
    TextEvent,
    ToolCallEvent,
    ToolProgressEvent,
    ToolResultEvent,
    UsageEvent,
    UserEvent,
    dump_event,
)

__all__ = ["event_card", "events_card"]

MOST = 200
"""Rows of one table of events; of more, the first and the last."""

_VOLATILE = frozenset({"runId", "parentId", "id", "toolCallId", "replId", "seq", "timestamp", "type"})
_TONES: dict[str, Tone] = {"ok": "good", "final": "good", "denied": "bad", "error": "bad", "cancelled": "quiet"}


def event_card(event: EventBase) -> Bit:
    """One event: what it says, and beneath it all its keys but those that differ from run to run."""
    wire = {key: value for key, value in dump_event(event).items() if key not in _VOLATILE}
    kind = _kind(event)
    inside: list[Bit] = [_says(event)]
    if wire:
        inside.append(
            fold("Wire form, without ids and times", code(json.dumps(jsonable(wire), indent=2, ensure_ascii=False)))
        )
    return card(kind, *inside, about=type(event).__name__, badge=_state(event))


def events_card(events: Sequence[EventBase]) -> Bit:
    """A list of events in order; how deep each stands is told by the runs that it lies in."""
    depths = _depths(events)
    rows: list[tuple[str | Bit, ...]] = []
    at = 0
    while at < len(events):
        event = events[at]
        end = at + 1
        while end < len(events) and _stream_of(event) == _stream_of(events[end]) is not None:
            end += 1
        number = str(at + 1) if end == at + 1 else f"{at + 1}-{end}"
        says = _joined(events[at:end]) if end > at + 1 else _says(event)
        rows.append((number, line("· " * depths[at] + _kind(event)), says))
        at = end
    count = len(rows)
    shown = rows if count <= MOST else [*rows[: MOST // 2], ("…", f"{count - MOST} rows", ""), *rows[-MOST // 2 :]]
    return card("Events", table(("#", "type", "says"), shown), about=f"{len(events)} events")


def _kind(event: EventBase) -> str:
    kind = str(getattr(event, "type", type(event).__name__))
    return "relay (budget)" if isinstance(event, BudgetRelayEvent) else kind


def _state(event: EventBase) -> Bit | None:
    match event:
        case ToolResultEvent(status=str(state)) | HarnessEndEvent(reason=str(state)):
            return badge(state, _TONES.get(state, "quiet"))
        case _:
            return None


def _says(event: EventBase) -> Bit:
    """In a line, without ids, times and what differs from run to run."""
    match event:
        case TextEvent(content=content) | ReasoningEvent(content=content):
            return line(json.dumps(cut(content, 300), ensure_ascii=False))
        case HarnessStartEvent(model=model, max_iterations=most):
            facts = [model or "", f"at most {most} iterations" if most else ""]
            return note(", ".join(filter(None, facts)) or "a run begins")
        case HarnessEndEvent(reason=reason, iterations=iterations):
            turns = "" if iterations is None else f" after {iterations} iteration{'' if iterations == 1 else 's'}"
            return note(f"{reason or 'the end'}{turns}")
        case ToolCallEvent(name=name, input=arguments):
            return line(cut(call(name, arguments), 300))
        case ToolResultEvent(name=name, output=output, status=status):
            return line(f"{name} → {cut(whole(output), 300)}", "bad" if status in {"error", "denied"} else None)
        case ToolProgressEvent(name=name, content=content):
            text = content.get("text") if isinstance(content, dict) else content
            return line(f"{name} … {cut(whole(text).strip(), 300)}")
        case RelayEvent(tool=tool, params=params):
            return line(f"may it run {cut(call(tool, params), 300)}?", "ask")
        case BudgetRelayEvent(unit=unit, limit=limit, used=used):
            return line(f"{used:g} of {limit:g} {unit} used; go on?", "ask")
        case RelayAnswerEvent(approved=approved, reason=reason):
            return note(("approved" if approved else "denied") + (f": {reason}" if reason else ""))
        case ReplInputEvent(code=source):
            return line(cut(source, 300))
        case ReplProgressEvent(chunk=chunk):
            return line(cut(printed(chunk).strip("\n"), 300))
        case ReplOutputEvent(stdout=stdout, error=error):
            return line(cut(printed(error or stdout).strip("\n"), 300), "bad" if error else None)
        case UsageEvent(input_tokens=given, output_tokens=made):
            return note(f"{given} tokens in, {made} out")
        case ErrorEvent(error=error):
            return line(f"{type(error).__name__}: {cut(str(error), 300)}", "bad")
        case UserEvent(content=content):
            return line(cut(content_text(content), 300))
        case _:
            rest = {key: value for key, value in dump_event(event).items() if key not in _VOLATILE}
            return line(cut(json.dumps(jsonable(rest), ensure_ascii=False), 300))


def _stream_of(event: EventBase) -> tuple[str, ...] | None:
    """What the parts of one text have in common; None for what stands alone."""
    match event:
        case TextEvent() | ReasoningEvent():
            return (event.type, event.run_id, event.id)
        case ToolProgressEvent():
            return (event.type, event.run_id, event.tool_call_id)
        case ReplProgressEvent():
            return (event.type, event.run_id, event.stream)
        case _:
            return None


def _joined(parts: Sequence[Any]) -> Bit:
    if isinstance(parts[0], ToolProgressEvent):
        texts = [part.content.get("text") if isinstance(part.content, dict) else part.content for part in parts]
        return line(f"{parts[0].name} … {cut(''.join(map(whole, texts)).strip(), 300)}")
    if isinstance(parts[0], ReplProgressEvent):
        return line(cut(printed("".join(part.chunk for part in parts)).strip("\n"), 300))
    text = "".join(part.content for part in parts)
    return line(f"{len(parts)} deltas: {json.dumps(cut(text, 300), ensure_ascii=False)}")


def _depths(events: Sequence[EventBase]) -> list[int]:
    """How many known things each event's run hangs below."""
    run_of = {each: event.run_id for event in events for each in (event.run_id, getattr(event, "id", None)) if each}
    parent = {event.run_id: event.parent_id for event in events}

    def depth(run_id: str) -> int:
        steps, seen = 0, {run_id}
        above = parent.get(run_id)
        while above in run_of and run_of[above] not in seen and steps < 20:
            seen.add(run_of[above])
            above = parent.get(run_of[above])
            steps += 1
        return steps

    known: dict[str, int] = {}
    return [known.setdefault(event.run_id, depth(event.run_id)) for event in events]
