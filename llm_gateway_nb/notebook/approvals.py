"""Who answers a run's questions: the person at the page, the person at a console, a policy, or nobody.

`approvals` is `"ask"`, `"allow"`, `"deny"`, `"recorded"`, or a function of the relay that gives True, False, a response, or
an awaitable of one. Where `"ask"` finds nobody who could answer, the answer is no, and says which rule would make it yes.

A question of the model's own (`ask_user`) is no permission: only a person, or a function that gives the text, answers it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.notebook.kernel import ask_line
from llm_gateway_nb.notebook.text import shown
from llm_gateway_nb.permissions import derive_permission
from llm_gateway_nb.recording.decisions import Decisions, current_decisions
from llm_gateway_nb.types import BudgetRelayEvent, PermissionResponse, RelayEvent, RelayResponse

__all__ = ["Answer", "Approvals", "Attendance", "Question", "check_approvals", "decide"]

Question = RelayEvent | BudgetRelayEvent
"""May this call run? Or: a limit is reached, go on?"""

Approvals = Literal["ask", "allow", "deny", "recorded"] | Callable[[Question], Any]

Answer = tuple[RelayResponse, str]
"""A response, and who gave it: `policy`, `person`, `recorded`, `nobody`."""

_READY_SECONDS = 5.0
"""How long a page may take to say that it shows the panel. A console never says it."""


class Attendance:
    """Who could answer a run, as far as is known.

    Attributes:
        stdin: the front end of the cell takes input: false under nbclient, nbval and papermill.
        ready: set when a page has said that it shows the panel; None where there is no panel.
    """

    def __init__(self, *, stdin: bool, ready: asyncio.Event | None) -> None:
        self.stdin = stdin
        self.ready = ready


def check_approvals(approvals: Any) -> None:
    """Complain of what is no way to decide, before anything runs.

    Raises:
        ConfigurationError: it is not one of the words, and not callable.
    """
    if not callable(approvals) and approvals not in get_args(get_args(Approvals)[0]):
        raise ConfigurationError(
            f"approvals is 'ask', 'allow', 'deny', 'recorded' or a function of the relay, not {approvals!r}."
        )


async def decide(relay: Question, approvals: Approvals, attendance: Attendance) -> Answer | None:
    """The answer to a relay; None where a person will click it in the panel.

    Never raises but for a cancel: a function that raises has not said yes.
    """
    if _is_ask_user(relay) and approvals == "allow":
        # What a model may have put in as the answer is not the person's.
        return RelayResponse(approved=False, reason=f"Nobody was asked (approvals='allow'); {_ANSWER_BY}."), "policy"
    if isinstance(relay, BudgetRelayEvent) and approvals in ("allow", "deny"):
        # To allow every call is not to allow any cost: a limit that is always raised would be none.
        return RelayResponse(approved=False, reason="Nobody was asked whether to go on."), "policy"
    if approvals == "allow":
        return RelayResponse(approved=True), "policy"
    if approvals == "deny":
        return RelayResponse(approved=False, reason="Nothing may be approved in this run (approvals='deny')."), "policy"
    if approvals == "recorded":
        return (current_decisions.get() or Decisions()).answer(relay), "recorded"
    if callable(approvals):
        try:
            answer = approvals(relay)
            return _as_response(await answer if inspect.isawaitable(answer) else answer, relay), "policy"
        except Exception as error:  # noqa: BLE001  (the person's function; whatever it raises, it did not approve)
            reason = f"The approvals function raised {type(error).__name__}: {error}"
            return RelayResponse(approved=False, reason=reason), "policy"
    if attendance.ready is not None:
        if attendance.ready.is_set():
            return None
        if attendance.stdin:
            try:
                async with asyncio.timeout(_READY_SECONDS):
                    await attendance.ready.wait()
            except TimeoutError:
                return await _ask_on_console(relay), "person"
            return None
    elif attendance.stdin:
        return await _ask_on_console(relay), "person"
    return RelayResponse(approved=False, reason=_nobody(relay)), "nobody"


def _is_ask_user(relay: Question) -> bool:
    return isinstance(relay, RelayEvent) and relay.tool == "ask_user" and isinstance(relay.params.get("question"), str)


_ANSWER_BY = "pass approvals=, a function that gives the answer as a text"


def _answered(relay: Question, answer: str) -> RelayResponse:
    """A person's answer to `ask_user`: its arguments, completed."""
    if not answer.strip():
        return RelayResponse(approved=False, reason="The person gave no answer.")
    return RelayResponse(approved=True, input={**relay.params, "answer": answer.strip()})  # type: ignore[union-attr]  # `_is_ask_user`


def _as_response(answer: Any, relay: Question) -> RelayResponse:
    match answer:
        case str() if _is_ask_user(relay):
            return _answered(relay, answer)
        case True if _is_ask_user(relay):
            return RelayResponse(approved=False, reason=f"Yes is no answer to a question; {_ANSWER_BY}.")
        case bool():
            return RelayResponse(approved=answer)
        case RelayResponse():
            return answer
        case PermissionResponse():
            return RelayResponse.model_validate(answer.model_dump())
        case Mapping():
            return RelayResponse.model_validate(answer)
        case _:
            raise TypeError(f"it gave {answer!r}, which is not True, False or a response")


def _nobody(relay: Question) -> str:
    if isinstance(relay, BudgetRelayEvent):
        return "Nobody can answer here whether to go on; give it a larger budget=, or pass approvals=."
    if _is_ask_user(relay):
        return f"Nobody can answer a question here; {_ANSWER_BY}."
    rule = relay.rule or derive_permission(relay.tool, relay.params).model_dump(mode="json")
    return (
        "Nobody can answer here, so it was not run. To allow it, add this rule: "
        f"permissions={{'allowlist': [{json.dumps(rule, ensure_ascii=False)}]}}, or pass approvals=."
    )


async def _ask_on_console(relay: Question) -> RelayResponse:
    if isinstance(relay, RelayEvent) and _is_ask_user(relay):
        options = "".join(f"\n  - {shown(str(option))}" for option in relay.params.get("options") or ())
        return _answered(relay, await ask_line(f"The agent asks: {shown(relay.params['question'])}{options}\nAnswer: "))
    if isinstance(relay, BudgetRelayEvent):
        question = f"{relay.used:g} of {relay.limit:g} {relay.unit} are used.\nGo on with as much again? [y/N] "
    else:
        question = f"{relay.tool} wants to run: {json.dumps(relay.params, ensure_ascii=False)}\nApprove? [y/N] "
    answer = (await ask_line(question)).strip().lower()
    return RelayResponse(approved=answer in {"y", "yes"}, reason=None if answer else "No answer.")
