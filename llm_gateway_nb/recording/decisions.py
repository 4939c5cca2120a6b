"""What a person decided in a recorded run, and for which call: `approvals="recorded"`.

A recorded yes counts for the very call that it was given for: the same tool, the same arguments, the same place in the
model's answer; and once. Whatever else is asked, nobody has said yes to it.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from llm_gateway_nb.recording.reader import Recording
from llm_gateway_nb.recording.secrets import MARK
from llm_gateway_nb.types import BudgetRelayEvent, RelayAnswerEvent, RelayEvent, RelayResponse, dump_event

__all__ = ["Decisions", "answer_to", "current_decisions"]

Relay = RelayEvent | BudgetRelayEvent


@dataclass(slots=True)
class _Decision:
    relay: Relay
    answer: RelayAnswerEvent
    used: bool = False


class Decisions:
    """Those of the recordings that the models of one run read from. A model says which that is when it is first asked,
    which is before any question can come up."""

    def __init__(self) -> None:
        self._recordings: list[Recording] = []
        self._decisions: list[_Decision] = []

    def use(self, recording: Recording) -> None:
        """Take what was decided there. Harmless when it was taken already."""
        if any(known is recording for known in self._recordings):
            return
        self._recordings.append(recording)
        relays: dict[str, Relay] = {}
        for _, event in recording.events:
            if isinstance(event, RelayEvent | BudgetRelayEvent):
                relays[event.id] = event
            elif isinstance(event, RelayAnswerEvent) and event.id in relays:
                self._decisions.append(_Decision(relays.pop(event.id), event))

    def answer(self, relay: Relay) -> RelayResponse:
        """What was said to this very call; a no with its reason where nothing was."""
        if not self._recordings:
            return _no("approvals='recorded' needs a model that reads from a recording: create_llm('replay', path).")
        asked = _told(relay)
        for decision in self._decisions:
            if not decision.used and _told(decision.relay) == asked and MARK not in str(asked):
                decision.used = True
                said = decision.answer
                # The rule that the person saw is part of what they said yes to.
                always = said.always and getattr(decision.relay, "rule", None) == getattr(relay, "rule", None)
                return RelayResponse(
                    approved=said.approved, reason=said.reason, always=always or None, input=said.input
                )
        left = ", ".join(_in_words(each.relay) for each in self._decisions if not each.used)
        return _no(f"No decision on this very call was recorded. Left in the recording: {left or 'none'}.")


def answer_to(relay: Relay, response: RelayResponse, *, by: str | None = None) -> RelayAnswerEvent:
    """The event that says how a relay was answered."""
    return RelayAnswerEvent(
        run_id=relay.run_id,
        parent_id=relay.parent_id,
        id=relay.id,
        approved=response.approved,
        reason=response.reason,
        always=response.always,
        input=response.input,
        by=by,
    )


current_decisions: ContextVar[Decisions | None] = ContextVar("llm_gateway_nb.current_decisions", default=None)
"""Of the run that is going on, for the models in it."""


def _no(reason: str) -> RelayResponse:
    return RelayResponse(approved=False, reason=reason)


def _in_words(relay: Relay) -> str:
    if isinstance(relay, BudgetRelayEvent):
        return f"a budget of {relay.limit:g} {relay.unit}"
    return f"{relay.tool}({json.dumps(relay.params, ensure_ascii=False, default=str)})"


def _told(relay: Relay) -> dict[str, Any]:
    if isinstance(relay, BudgetRelayEvent):
        return {"unit": relay.unit, "limit": relay.limit}
    wire = dump_event(relay)
    return {"tool": wire["tool"], "params": wire["params"], "call": relay.tool_call_id.partition("/")[2]}
