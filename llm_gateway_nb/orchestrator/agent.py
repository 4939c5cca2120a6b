"""What is known of one agent of an orchestrator: where it stands, what it has said, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llm_gateway_nb.errors import SubagentError
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.primitives import Deferred, deferred
from llm_gateway_nb.types import (
    EndReason,
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    TextEvent,
    TotalUsage,
    UsageEvent,
)

__all__ = ["Agent"]


@dataclass(slots=True)
class _Tokens:
    input: int = 0
    output: int = 0

    def add(self, more: _Tokens) -> None:
        self.input += more.input
        self.output += more.output

    def any(self) -> bool:
        return bool(self.input or self.output)

    def plus(self, usage: TotalUsage | None) -> TotalUsage:
        usage = usage or TotalUsage()
        return TotalUsage(input_tokens=usage.input_tokens + self.input, output_tokens=usage.output_tokens + self.output)


class Agent:
    """One invoke of the harness.

    Attributes:
        children: the subagents that are alive.
        open_runs: the runs that said they started and not that they ended, with their parent ids; oldest first.
        run_id: its own run; there may be others in its stream, such as model calls.
        below: the tokens of the subagents that are gone.
        descendants: of a root, how many subagents there have been in its tree.
        answer: its last text, once it is over; or why there is none.
    """

    def __init__(self, agent_id: str, parent: Agent | None, *, depth: int, grants: Grants) -> None:
        self.id = agent_id
        self.parent = parent
        self.root: Agent = self if parent is None else parent.root
        self.depth = depth
        self.grants = grants
        self.params: Any = None
        self.children: dict[str, Agent] = {}
        self.open_runs: dict[str, str | None] = {}
        self.run_id: str | None = None
        self._run_parent: str | None = None
        self.own, self.below = _Tokens(), _Tokens()
        self.descendants = 0
        self.failure: BaseException | None = None
        self.answer: Deferred[str] = deferred()
        self._reason: EndReason | None = None
        self._text_id: str | None = None
        self._text: list[str] = []
        if parent is not None:
            parent.children[agent_id] = self

    def note_text(self, event: TextEvent) -> None:
        """Its words; only the last message counts."""
        if self.run_id is None:
            self.run_id, self._run_parent = event.run_id, event.parent_id
        if not self._is_own(event):
            return
        if event.id != self._text_id:
            self._text_id, self._text = event.id, []
        self._text.append(event.content)

    def note(self, event: HarnessEvent) -> None:
        """Take down what else counts for the answer."""
        if self.run_id is None:
            self.run_id, self._run_parent = event.run_id, event.parent_id
        match event:
            case HarnessStartEvent():
                if self._reason is not None and event.parent_id == self._run_parent:  # once more, from the beginning
                    self.run_id, self._reason, self.failure = event.run_id, None, None
                    self._text_id, self._text = None, []
            case UsageEvent():
                self.own.add(_Tokens(event.input_tokens, event.output_tokens))
            case HarnessEndEvent():
                if event.run_id == self.run_id:
                    self._reason = event.reason
            case ErrorEvent():
                if event.tool_call_id is None:
                    self.failure = event.error
            case _:
                pass

    def _is_own(self, event: TextEvent) -> bool:
        """Whether its own run says it, or a model call of that: a stream from elsewhere has other agents' runs in it."""
        run_id = event.run_id if event.run_id in self.open_runs else event.parent_id
        return run_id == self.run_id or run_id not in self.open_runs

    def total(self, run_id: str) -> TotalUsage | None:
        """All tokens so far, of the agent's own run; None of the others in its stream, which are part of it."""
        return self.below.plus(self.own.plus(None)) if run_id == self.run_id else None

    def verdict(self) -> str | SubagentError:
        """What it came to: its last text, or its failure. An end without a word of why is a failure if there was one."""
        text = "".join(self._text)
        reason = self._reason or ("error" if self.failure is not None else "final")
        if reason in {"final", "max_iterations"}:
            return text
        why = {"budget": "Its budget is used up.", "cancelled": "It was stopped."}.get(reason)
        if why is None:
            why = "It gave no reason." if self.failure is None else f"{type(self.failure).__name__}: {self.failure}"
        why = why if why.endswith((".", "!", "?")) else f"{why}."
        said = f" Its last words: {text}" if text else ""
        return SubagentError(f"The subagent did not finish. {why}{said}", agent_id=self.id, text=text)

    def leave(self) -> None:
        """It is over: its tokens count for its parent from now on."""
        if self.parent is not None:
            self.parent.children.pop(self.id, None)
            self.parent.below.add(self.own)
            self.parent.below.add(self.below)
