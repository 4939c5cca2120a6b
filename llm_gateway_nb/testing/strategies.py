"""Hypothesis strategies for everything that crosses a boundary, for the tests of your own folds, harnesses and views.

What they draw is sound: JSON that any reader takes, text without lone surrogates, ids that are unique within a stream.
Import this module by its own name; it needs the extra `test`, which nothing else of `llm_gateway_nb.testing` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import count
from typing import Any, TypeVar

from hypothesis import strategies as st

from llm_gateway_nb.types import (
    AssistantMessage,
    BudgetRelayEvent,
    CompactionEvent,
    ContentPart,
    DeniedCall,
    DocumentContentPart,
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ImageContentPart,
    Message,
    Permissions,
    ReasoningEvent,
    RelayAnswerEvent,
    RelayEvent,
    ReplInputEvent,
    ReplOutputEvent,
    ReplProgressEvent,
    SystemMessage,
    TextContentPart,
    TextEvent,
    ToolCall,
    ToolCallEvent,
    ToolMessage,
    ToolPermission,
    ToolProgressEvent,
    ToolResultEvent,
    TotalUsage,
    UnknownEvent,
    UsageEvent,
    UserEvent,
    UserMessage,
    WireModel,
)

__all__ = [
    "content_parts",
    "event_streams",
    "harness_events",
    "json_values",
    "messages",
    "permissions",
    "tool_calls",
]

_numbers = st.floats(allow_nan=False, allow_infinity=False)
_counts = st.integers(0, 2**53)
_ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_/", min_size=1, max_size=12)
_names = st.sampled_from(["agent", "bash", "patch", "python", "read", "wetter_für_ort"])
_short = st.text(max_size=12)
# For streams, where it is the shape that counts: a whole run is to be drawn in milliseconds.
_delta = st.sampled_from(["", "a", "bc ", "\n", "d\u00e9j\u00e0 ", "\N{GRINNING FACE}", "**e**", "<f>&"])
_deltas = st.lists(_delta, max_size=3)
_payload = st.sampled_from([None, "", "done", 3, {"stdout": "a\n", "exitCode": 0}, ["a", {"b": None}]]).map(deepcopy)
_arguments = st.sampled_from([{}, {"command": "ls -la"}, {"path": "a/b", "limit": 2}]).map(deepcopy)


_ModelT = TypeVar("_ModelT", bound=WireModel)


def _build(cls: type[_ModelT], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[_ModelT]:
    # Not `st.builds`: it takes the camelCase of the signature for arguments that are missing, and draws these as well.
    return st.fixed_dictionaries(fields).map(lambda drawn: cls(**drawn))


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value: null, booleans, numbers (no NaN, no infinity), text, and lists and objects of them."""
    scalars = st.none() | st.booleans() | st.integers() | _numbers | st.text()
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_short, inner, max_size=4), max_leaves=8
    )


def _objects() -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(_short, json_values(), max_size=3)


def content_parts() -> st.SearchStrategy[ContentPart]:
    """Text, image and document parts; the base64 of the latter two is sound, what it holds is not an image."""
    data = st.sampled_from(["", "iVBORw0KGgo=", "JVBERi0xLjcK"])
    return st.one_of(
        _build(TextContentPart, text=st.text()),
        _build(ImageContentPart, media_type=st.sampled_from(["image/png", "image/jpeg"]), data=data),
        _build(DocumentContentPart, media_type=st.just("application/pdf"), data=data),
    )


def _content() -> st.SearchStrategy[str | list[ContentPart]]:
    return st.one_of(st.text(), st.lists(content_parts(), max_size=3))


def tool_calls() -> st.SearchStrategy[ToolCall]:
    """Calls as they stand in an assistant message, with and without arguments."""
    return _build(ToolCall, id=_ids, name=_names, arguments=st.none() | _objects())


def messages() -> st.SearchStrategy[Message]:
    """One message of any role. A list of these is no sound conversation: calls and results do not belong together."""
    return st.one_of(
        _build(SystemMessage, content=st.text()),
        _build(UserMessage, content=_content()),
        _build(
            AssistantMessage,
            content=st.none() | st.text(),
            tool_calls=st.none() | st.lists(tool_calls(), max_size=3),
        ),
        _build(ToolMessage, tool_call_id=_ids, content=_content()),
    )


def permissions() -> st.SearchStrategy[Permissions]:
    """Rules with and without globs, single denied calls, lists that are empty and lists that are absent."""
    globs = st.sampled_from(["*", "**", "git **", "src/**", "ls -la", "[a-c]?", ""])
    rules = _build(
        ToolPermission, tool=_names, params=st.none() | st.dictionaries(st.sampled_from(["command", "path"]), globs)
    )
    denied = _build(DeniedCall, tool_call_id=_ids, reason=st.none() | st.text())
    return _build(
        Permissions,
        allowlist=st.none() | st.lists(rules, max_size=3),
        allow_once=st.none() | st.lists(rules, max_size=3),
        deny=st.none() | st.lists(rules | denied, max_size=3),
    )


def harness_events() -> st.SearchStrategy[HarnessEvent]:
    """One event of any class, `UnknownEvent` among them, with optional fields here and absent there.

    An `ErrorEvent` holds an exception, and two exceptions are never equal: compare `dump_event` of two events. A relay
    has no `respond`, as one that was read from the wire.
    """
    base: dict[str, st.SearchStrategy[Any]] = {
        "run_id": _ids,
        "parent_id": st.none() | _ids,
        "seq": st.none() | _counts,
        "timestamp": st.none() | st.floats(0, 2**33),
    }
    with_id = {**base, "id": _ids}
    named = {**with_id, "name": _names}
    maybe_count, maybe_text = st.none() | _counts, st.none() | st.text()
    return st.one_of(
        _build(HarnessStartEvent, **base, depth=maybe_count, max_iterations=maybe_count, model=maybe_text),
        _build(
            HarnessEndEvent,
            **base,
            reason=st.sampled_from([None, "final", "max_iterations", "error", "cancelled", "budget"]),
            iterations=maybe_count,
            total_usage=st.none() | _build(TotalUsage, input_tokens=_counts, output_tokens=_counts),
            finish_reason=maybe_text,
        ),
        _build(ReasoningEvent, **with_id, content=st.text()),
        _build(TextEvent, **with_id, content=st.text()),
        _build(ToolCallEvent, **named, input=json_values()),
        _build(
            ToolResultEvent,
            **named,
            output=json_values(),
            status=st.sampled_from([None, "ok", "denied", "error", "cancelled"]),
        ),
        _build(ToolProgressEvent, **named, tool_call_id=_ids, content=json_values()),
        _build(ReplInputEvent, **with_id, code=st.text(), iteration=maybe_count),
        _build(
            ReplProgressEvent,
            **with_id,
            chunk=st.text(),
            stream=st.sampled_from(["stdout", "stderr"]),
            repl_id=st.none() | _ids,
        ),
        _build(
            ReplOutputEvent,
            **with_id,
            stdout=st.text(),
            error=maybe_text,
            done=st.booleans(),
            iteration=maybe_count,
            duration_ms=st.none() | st.floats(0, 2**40),
            truncated=st.none() | st.booleans(),
            mime=st.none() | st.lists(st.dictionaries(st.just("text/plain"), st.text()), max_size=2),
        ),
        _build(
            UsageEvent,
            **base,
            input_tokens=_counts,
            output_tokens=_counts,
            cache_read_tokens=maybe_count,
            cache_creation_tokens=maybe_count,
        ),
        _build(ErrorEvent, **base, error=st.builds(ValueError, st.text()), tool_call_id=st.none() | _ids),
        _build(
            RelayEvent,
            **with_id,
            tool_call_id=_ids,
            tool=_names,
            params=_objects(),
            rule=st.none() | _objects(),
            why=maybe_text,
        ),
        _build(
            BudgetRelayEvent,
            **with_id,
            unit=st.sampled_from(["tokens", "usd", "seconds", "calls"]),
            limit=_numbers,
            used=_numbers,
        ),
        _build(
            RelayAnswerEvent,
            **with_id,
            approved=st.booleans(),
            reason=maybe_text,
            always=st.none() | st.booleans(),
            input=st.none() | _objects(),
            by=st.sampled_from([None, "person", "policy"]),
        ),
        _build(UserEvent, **with_id, content=_content()),
        _build(CompactionEvent, **with_id, summary=st.text(), messages=_counts),
        _unknown_events(base),
    )


def _unknown_events(base: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[UnknownEvent]:
    # Letters that no key of an event has, so that none of these is read as a field.
    more = st.dictionaries(st.text("zäÖ_", min_size=1, max_size=4).map("x".__add__), json_values(), max_size=3)
    kinds = st.text(max_size=8).map("future_".__add__)
    return st.builds(
        lambda fields, more: UnknownEvent(**fields, **more), st.fixed_dictionaries({**base, "type": kinds}), more
    )


@st.composite
def event_streams(draw: st.DrawFn, *, max_depth: int = 2) -> list[HarnessEvent]:
    """The whole stream of one agent's run, well-formed, as a consumer gets it.

    The person's turn first, at times; `harness_start`, model calls as runs of their own below the agent's, reasoning and
    text in deltas, tool calls under namespaced ids (asked for, denied, failing; side by side, and then interleaved) with
    progress and results, REPL turns, child runs below the call or the REPL turn that spawned them, down to `max_depth`;
    usage, and `harness_end` with the total, children included once. `seq` counts from 0.
    """
    events = _Run(draw, count(1), max_depth).agent(parent_id=None, depth=0)
    if draw(st.booleans()):
        events.insert(0, UserEvent(run_id=events[0].run_id, id="user-1", content=draw(_delta)))
    return [event.model_copy(update={"seq": n, "timestamp": 1e9 + n}) for n, event in enumerate(events)]


class _Run:
    """Draws runs of one stream: the ids are counted through, and what a run used is added to its parent's total."""

    def __init__(self, draw: st.DrawFn, numbers: Iterator[int], max_depth: int) -> None:
        self._draw = draw
        self._numbers = numbers
        self._max_depth = max_depth

    def _new(self, what: str) -> str:
        return f"{what}-{next(self._numbers)}"

    def agent(self, *, parent_id: str | None, depth: int) -> list[HarnessEvent]:
        draw, run_id = self._draw, self._new("run")
        own = {"run_id": run_id, "parent_id": parent_id}
        iterations = draw(st.integers(1, 2))
        body: list[HarnessEvent] = []
        for iteration in range(iterations):
            body += self._model_call(run_id)
            if iteration < iterations - 1:
                if draw(st.booleans()):
                    body += self._repl_turn(own, iteration, depth)
                else:
                    calls = [self._tool_call(own, depth) for _ in range(draw(st.integers(1, 2)))]
                    body += self._interleaved(calls)
        reason = draw(st.sampled_from(["final", "final", "max_iterations", "error"]))
        if reason == "error":
            body.append(ErrorEvent(**own, error=RuntimeError(draw(_delta))))
        usages = [event for event in body if isinstance(event, UsageEvent)]
        total = TotalUsage(
            input_tokens=sum(usage.input_tokens for usage in usages),
            output_tokens=sum(usage.output_tokens for usage in usages),
        )
        return [
            HarnessStartEvent(**own, depth=depth, max_iterations=10),
            *body,
            HarnessEndEvent(**own, reason=reason, iterations=iterations, total_usage=total),
        ]

    def _model_call(self, agent_id: str) -> list[HarnessEvent]:
        draw = self._draw
        own = {"run_id": self._new("run"), "parent_id": agent_id}
        reasoning_id, text_id = self._new("reasoning"), self._new("text")
        events: list[HarnessEvent] = [
            *(ReasoningEvent(**own, id=reasoning_id, content=delta) for delta in draw(_deltas)),
            *(TextEvent(**own, id=text_id, content=delta) for delta in draw(_deltas)),
            UsageEvent(**own, input_tokens=draw(st.integers(0, 999)), output_tokens=draw(st.integers(0, 999))),
        ]
        if draw(st.booleans()):  # the source system's providers do not say where their run begins and ends
            return [HarnessStartEvent(**own, model="model"), *events, HarnessEndEvent(**own, finish_reason="stop")]
        return events

    def _tool_call(self, own: Mapping[str, Any], depth: int) -> list[HarnessEvent]:
        draw = self._draw
        raw_id, name, arguments = self._new("call"), draw(_names), draw(_arguments)
        call_id = f"{own['run_id']}/{raw_id}"
        status = draw(st.sampled_from(["ok", "ok", "denied", "error"]))
        events: list[HarnessEvent] = []
        if status == "denied" or draw(st.booleans()):
            asked = RelayEvent(**own, id=self._new("relay"), tool_call_id=call_id, tool=name, params=arguments)
            events.append(asked)
        events.append(ToolCallEvent(**own, id=call_id, name=name, input=arguments))
        if status != "denied":
            events += [
                ToolProgressEvent(**own, id=self._new("progress"), tool_call_id=call_id, name=name, content=content)
                for content in draw(st.lists(_payload, max_size=2))
            ]
            events += self._children(call_id, depth)
        if status == "error":
            events.append(ErrorEvent(**own, error=RuntimeError(draw(_delta)), tool_call_id=call_id))
        events.append(ToolResultEvent(**own, id=call_id, name=name, output=draw(_payload), status=status))
        return events

    def _repl_turn(self, own: Mapping[str, Any], iteration: int, depth: int) -> list[HarnessEvent]:
        draw, repl_id = self._draw, self._new("repl")
        chunks = draw(_deltas)
        return [
            ReplInputEvent(**own, id=repl_id, code=draw(_delta), iteration=iteration),
            *(
                ReplProgressEvent(**own, id=self._new("chunk"), chunk=chunk, stream="stdout", repl_id=repl_id)
                for chunk in chunks
            ),
            *self._children(repl_id, depth),
            ReplOutputEvent(**own, id=repl_id, stdout="".join(chunks), done=False, iteration=iteration, duration_ms=1),
        ]

    def _children(self, parent_id: str, depth: int) -> list[HarnessEvent]:
        if depth >= self._max_depth:
            return []
        runs = range(self._draw(st.sampled_from([0, 0, 1, 2])))
        return self._interleaved([self.agent(parent_id=parent_id, depth=depth + 1) for _ in runs])

    def _interleaved(self, streams: list[list[HarnessEvent]]) -> list[HarnessEvent]:
        """One stream out of several that ran side by side: in any order, each in its own."""
        merged: list[HarnessEvent] = []
        left = [stream for stream in streams if stream]
        while left:
            stream = left[self._draw(st.integers(0, len(left) - 1))]
            merged.append(stream[0])
            del stream[0]
            left = [stream for stream in left if stream]
        return merged
