"""A run as a page to step through, forwards and back with the arrow keys: no script, no kernel, no network.

The steps are radio buttons, and a style shows what follows the one that is chosen. So a run can be told in a lecture, or
read in a review, from a file alone.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from llm_gateway_nb.graph import RunTree, fold_event
from llm_gateway_nb.notebook.markdown import LINE
from llm_gateway_nb.notebook.paint import DIM
from llm_gateway_nb.notebook.static_html import page, static_html
from llm_gateway_nb.notebook.text import shown
from llm_gateway_nb.types import (
    HarnessEndEvent,
    HarnessEvent,
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
    UserEvent,
)

__all__ = ["steps_html"]

_MOST_BYTES = 4 * 2**20
_CAPTION = 80
_QUIET = frozenset({"harness_start", "usage"})

_STYLE = f"""
.steps{{display:flex;flex-wrap:wrap;align-items:center;gap:2px}}
.steps>input{{order:0;margin:3px;accent-color:#0b57d0}}
.steps>section{{order:1;flex:0 0 100%;min-width:0;display:none}}
.steps>input:checked+section{{display:block}}
.steps>section>p{{display:flex;gap:12px;align-items:baseline;margin:8px 0;padding-top:8px;border-top:1px solid {LINE}}}
.steps>section>p>span{{flex:1;overflow-wrap:anywhere}}
.steps>section>p>small{{{DIM}}}
.steps label{{cursor:pointer;color:#0b57d0;color:light-dark(#0b57d0,#8ab4f8);text-decoration:underline}}
.steps [data-lgnb=run]>div{{max-height:none!important}}
@media print{{.steps>input,.steps label,.steps>section{{display:none!important}}
.steps>section:last-of-type{{display:block!important}}}}
"""


def steps_html(events: Sequence[HarnessEvent], *, title: str | None = None) -> str:
    """A page of its own with a picture of the run after each step: a call, a question, an answer, a result, a text.

    Each picture holds all that was before it, so a very long run is told in fewer steps: the page stays at a few megabytes.
    """
    ends = _steps(events)
    while True:
        pictures = _pictures(events, ends, title)
        if sum(map(len, pictures)) <= _MOST_BYTES or len(ends) <= 2:
            break
        ends = [*ends[:-1:2], ends[-1]]
    last = len(ends)
    body = "".join(
        f'<input type="radio" name="step" id="step-{number}" aria-label="{html.escape(said)}" title="{html.escape(said)}"'
        f"{' checked' if number == 1 else ''}><section>"
        f"<p>{_way(number - 1, 'Back') if number > 1 else ''}<span>{html.escape(said)}</span>"
        f"{_way(number + 1, 'Next') if number < last else ''}<small>{number} of {last}</small></p>{picture}</section>"
        for number, (end, picture) in enumerate(zip(ends, pictures, strict=True), 1)
        for said in [_caption(events[end - 1])]
    )
    return page(f'<style>{_STYLE}</style><div class="steps">{body}</div>', title)


def _steps(events: Sequence[HarnessEvent]) -> list[int]:
    """After how many events a step ends: where something has happened, a text at its last word."""
    last = {_text_id(event): at for at, event in enumerate(events)}
    ends = [at for at, event in enumerate(events, 1) if last[_text_id(event)] == at - 1 and event.type not in _QUIET]
    if not ends or ends[-1] != len(events):
        ends.append(len(events))
    return ends


def _text_id(event: HarnessEvent) -> object:
    """The same for what is one thing that grows; for anything else itself alone."""
    match event:
        case (
            TextEvent(id=of)
            | ReasoningEvent(id=of)
            | ToolProgressEvent(tool_call_id=of)
            | ReplProgressEvent(repl_id=of)
        ):
            return event.type, of
        case _:
            return id(event)


def _pictures(events: Sequence[HarnessEvent], ends: Sequence[int], title: str | None) -> list[str]:
    tree, pictures, told = RunTree(), [], 0
    for end in ends:
        for event in events[told:end]:
            fold_event(tree, event)
        told = end
        pictures.append(static_html(tree, title=title))
    return pictures


def _way(number: int, word: str) -> str:
    return f'<label for="step-{number}">{word}</label>'


def _caption(event: HarnessEvent) -> str:
    """What has happened in this step, in a few words."""
    match event:
        case UserEvent():
            said = "The person asks"
        case TextEvent():
            said = "The model writes"
        case ReasoningEvent():
            said = "The model thinks"
        case ToolCallEvent(name=name):
            said = f"{name} is called"
        case ToolProgressEvent(name=name):
            said = f"{name} is at work"
        case ToolResultEvent(name=name, status=status):
            said = f"{name}: {status or 'ok'}"
        case RelayEvent(tool=name):
            said = f"{name} asks for leave"
        case RelayAnswerEvent():
            said = "The question is answered"
        case ReplInputEvent() | ReplProgressEvent():
            said = "The code runs"
        case ReplOutputEvent():
            said = "The code has run"
        case HarnessEndEvent(reason=reason):
            said = f"The end: {reason}"
        case _:
            said = event.type.replace("_", " ")
    said = shown(said)
    return said if len(said) <= _CAPTION else said[: _CAPTION - 1] + "…"
