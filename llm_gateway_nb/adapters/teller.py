"""`Teller`: what happens in another framework's run, told as events; and whose run it is that this code runs in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel

from llm_gateway_nb.errors import HarnessError, StreamClosedError
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.primitives import Deferred, Passthrough, deferred
from llm_gateway_nb.tools.current import current_tool
from llm_gateway_nb.types import (
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReasoningEvent,
    RelayEvent,
    RelayResponse,
    ReplInputEvent,
    ReplOutputEvent,
    TextEvent,
    ToolCall,
    ToolCallEvent,
    ToolContext,
    ToolPermission,
    ToolProgressEvent,
    ToolResultEvent,
    TotalUsage,
    UsageEvent,
    new_id,
)

__all__ = ["Teller", "current_teller", "inside", "plain", "telling"]


class Teller:
    """Tells of one run of another framework as events; ids of calls are the framework's own, without our run's id.

    All methods but `ask` may be called from any thread.
    """

    def __init__(
        self,
        stream: Passthrough[HarnessEvent],
        grants: Grants,
        parent_id: str | None,
        depth: int = 0,
        *,
        parent: Teller | None = None,
    ) -> None:
        self.run_id = new_id()
        self.grants = grants
        self.usage = TotalUsage(input_tokens=0, output_tokens=0)
        self.depth = depth
        self.nested: dict[str, Any] = {}
        """For an adapter: what it keeps of agents that run inside calls, by the id of the call."""
        self._stream = stream
        self._parent = parent
        self._ids: dict[str, Any] = {"run_id": self.run_id, "parent_id": parent_id}

    def _say(self, event: HarnessEvent) -> None:
        with suppress(StreamClosedError):  # a thread of the framework's that outlived its run
            self._stream.push(event)

    def start(self, model: str | None = None) -> None:
        self._say(HarnessStartEvent(**self._ids, depth=self.depth or None, model=model))

    def end(self, reason: Literal["final", "error", "max_iterations", "cancelled"] = "final") -> None:
        self._say(HarnessEndEvent(**self._ids, reason=reason, total_usage=self.usage))

    def child(self, call_id: str | None = None) -> Teller:
        """A run below this one; with the call that it hangs from, if it is known. It has to be started and ended."""
        parent_id = self.named(call_id) if call_id else self.run_id
        return Teller(self._stream, self.grants, parent_id, self.depth + 1, parent=self)

    def named(self, call_id: str) -> str:
        return f"{self.run_id}/{call_id}"

    def text(self, content: str, of: str) -> None:
        """A delta; the deltas of one answer have the same `of`."""
        if content:
            self._say(TextEvent(**self._ids, id=of, content=content))

    def reasoning(self, content: str, of: str) -> None:
        if content:
            self._say(ReasoningEvent(**self._ids, id=of, content=content))

    def tool_call(self, call_id: str, name: str, given: Any) -> None:
        self._say(ToolCallEvent(**self._ids, id=self.named(call_id), name=name, input=given))

    def tool_progress(self, call_id: str, name: str, content: Any) -> None:
        self._say(ToolProgressEvent(**self._ids, tool_call_id=self.named(call_id), name=name, content=plain(content)))

    def tool_result(
        self, call_id: str, name: str, output: Any, status: Literal["ok", "denied", "error", "cancelled"] = "ok"
    ) -> None:
        output = plain(output)
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, default=str)
        self._say(ToolResultEvent(**self._ids, id=self.named(call_id), name=name, output=text, status=status))

    def code(self, call_id: str, code: str, iteration: int | None = None) -> None:
        """Code that runs in a REPL of the framework's own."""
        self._say(ReplInputEvent(**self._ids, id=self.named(call_id), code=code, iteration=iteration))

    def code_output(self, call_id: str, stdout: str, error: str | None = None, *, done: bool = False) -> None:
        self._say(ReplOutputEvent(**self._ids, id=self.named(call_id), stdout=stdout, error=error, done=done))

    def tokens(self, given: int | None, taken: int | None) -> None:
        """Tokens of one model call: those it read, and those it wrote."""
        if not given and not taken:
            return
        usage = UsageEvent(**self._ids, input_tokens=given or 0, output_tokens=taken or 0)
        self._count(usage)
        self._say(usage)

    def error(self, error: BaseException, call_id: str | None = None) -> None:
        named = self.named(call_id) if call_id else None
        self._say(ErrorEvent(**self._ids, error=error, tool_call_id=named))

    async def ask(self, call_id: str, tool: str, params: dict[str, Any]) -> RelayResponse:
        """May this call run? By the rules, or else by a question in the panel.

        Rules and policies are held against it as against a call of our own; "always" adds its rule for the whole tree.
        """
        call = ToolCall(id=call_id, name=tool, arguments=params)
        decision = self.grants.decide(call, call_id=self.named(call_id))
        if decision.outcome != "ask":
            return RelayResponse(approved=decision.outcome == "allow", reason=decision.why)
        answer: Deferred[RelayResponse] = deferred()

        def wake(_rule: ToolPermission) -> None:
            if answer.state == "pending":
                now = self.grants.decide(call, call_id=self.named(call_id))
                if now.outcome == "allow":
                    answer.resolve(RelayResponse(approved=True, reason=now.why))

        unsubscribe = self.grants.subscribe(wake)
        try:
            self._say(
                RelayEvent(
                    **self._ids,
                    tool_call_id=self.named(call_id),
                    tool=tool,
                    params=params,
                    rule=None if decision.rule is None else decision.rule.model_dump(),
                    why=decision.why,
                    respond=answer.resolve,
                )
            )
            response = await answer.promise
        finally:
            unsubscribe()
        if response.approved and response.input is not None:
            edited = ToolCall(id=call_id, name=tool, arguments=response.input)
            denial = self.grants.denial(edited, call_id=self.named(call_id))
            if denial is not None:
                return RelayResponse(approved=False, reason=denial.why)
        if response.approved and response.always and decision.rule is not None:
            self.grants.grant(decision.rule)
        return response

    async def pass_on(self, events: AsyncIterator[HarnessEvent]) -> str:
        """Put a whole run of ours below into the stream; gives its last text."""
        texts: dict[str, list[str]] = {}
        failure: BaseException | None = None
        async for event in events:
            if isinstance(event, TextEvent):
                texts.setdefault(event.id, []).append(event.content)
            elif isinstance(event, ErrorEvent) and event.tool_call_id is None:
                failure = event.error
            elif isinstance(event, UsageEvent):
                self._count(event)
            self._say(event)
        if failure is not None:
            raise HarnessError(f"A nested agent failed: {failure}") from failure
        return "".join(list(texts.values())[-1]) if texts else ""

    def _count(self, usage: UsageEvent) -> None:
        self.usage = TotalUsage(
            input_tokens=self.usage.input_tokens + usage.input_tokens,
            output_tokens=self.usage.output_tokens + usage.output_tokens,
        )
        if self._parent is not None:
            self._parent._count(usage)


telling: ContextVar[tuple[Teller, str | None] | None] = ContextVar("llm_gateway_nb_teller", default=None)
"""The run of another framework that this code runs in, and the call; set by `AdaptedHarness` and `inside`."""


def current_teller() -> Teller | None:
    """Of the adapted run that this code runs in."""
    current = telling.get()
    return None if current is None else current[0]


class inside:  # noqa: N801 - reads as what it is: `with inside(teller, call_id):`
    """In this block a call is being executed: what is `nested` hangs from it, and what is printed is its progress."""

    def __init__(self, teller: Teller, call_id: str, name: str) -> None:
        self._now = (teller, call_id)
        self._ctx = ToolContext(
            parent_id=teller.named(call_id), emit_progress=partial(teller.tool_progress, call_id, name)
        )

    def __enter__(self) -> None:
        self._tokens = telling.set(self._now), current_tool.set(self._ctx)

    def __exit__(self, *exc: object) -> None:
        telling.reset(self._tokens[0])
        current_tool.reset(self._tokens[1])


def plain(value: Any) -> Any:
    """A value of another framework as JSON, or as its text."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)
