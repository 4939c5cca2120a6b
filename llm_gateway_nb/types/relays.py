"""The events of a question: it is asked, answered once, by whoever is first, and the answer is told.

What answers it lives in this process alone: no copy has one of its own, and no wire form has it at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import Field, FiniteFloat, PrivateAttr

from llm_gateway_nb.types.event_base import EventBase
from llm_gateway_nb.types.permissions import PermissionResponse, RelayResponse
from llm_gateway_nb.types.wire import new_id, optional

__all__ = ["BudgetRelayEvent", "RelayAnswerEvent", "RelayEvent"]

Respond = Callable[[RelayResponse], Any]


class _Once:
    """Passes on one answer. A call that raises, or gives False, was none, and the next one gets its turn."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._lock = threading.Lock()
        self._answered = False

    def __call__(self, response: RelayResponse) -> bool:
        with self._lock:
            if self._answered:
                return False
            self._answered = True
        taken = False
        try:  # outside the lock: whoever is called may well ask this relay again
            taken = self._respond(response) is not False
        finally:
            self._answered = taken
        return taken


class _Relay(EventBase):
    """A question that only a person, or whoever decides for them, may answer.

    Give `respond=` when making one: a function that takes a `RelayResponse`, from any thread; if it gives False, the
    answer did not count. Copies of a relay share it and its one answer; it is never serialized, and no pickle has it.
    """

    type: Literal["relay"] = "relay"
    id: str = Field(default_factory=new_id)

    _respond: _Once | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        self._take_respond()

    def _take_respond(self) -> None:
        """`respond` is no key of the wire: what came under that name is the function, or nothing."""
        extra = self.__pydantic_extra__
        if extra and "respond" in extra:
            respond = extra.pop("respond")
            if callable(respond):
                self._respond = _Once(respond)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        copy = super().model_copy(update=update, deep=deep)
        copy._take_respond()
        return copy

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        # A copy of the function would answer a copy of whoever waits.
        memo = {} if memo is None else memo
        memo[id(self._respond)] = self._respond
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__pydantic_private__": {"_respond": None}}

    @property
    def answerable(self) -> bool:
        """Whether an answer can be given here at all: not where the relay was read from the wire or from a recording."""
        return self._respond is not None

    def respond(self, response: PermissionResponse | Mapping[str, Any]) -> bool:
        """Answer. True if this answer was taken, False if it is late, or the relay was read from the wire.

        Raises:
            ValueError: `response` is not a response.
        """
        if not isinstance(response, RelayResponse):
            data = response.model_dump() if isinstance(response, PermissionResponse) else response
            response = RelayResponse.model_validate(data)
        return bool(self._respond is not None and self._respond(response))


class RelayEvent(_Relay):
    """May this tool call run? `rule` is what "always" would grant, `why` says what made it ask."""

    kind: Literal["permission"] = "permission"
    tool_call_id: str
    tool: str
    params: dict[str, Any]
    rule: dict[str, Any] | None = optional()
    why: str | None = optional()


class BudgetRelayEvent(_Relay):
    """A limit is reached: go on, or stop? `limit` and `used` are in `unit` (tokens, usd, seconds, calls)."""

    kind: Literal["budget"] = "budget"
    unit: str
    limit: FiniteFloat
    used: FiniteFloat


class RelayAnswerEvent(EventBase):
    """A relay was answered. Sent by whoever asked on the run's behalf (`start`, `run`), never by a harness.

    Attributes:
        id: the relay's.
        by: `person`, `policy`, `recorded`, `timeout`, `nobody`; absent where it is not known.
        input: the arguments as the person edited them.
    """

    type: Literal["relay_answer"] = "relay_answer"
    id: str
    approved: bool
    reason: str | None = optional()
    always: bool | None = optional()
    input: dict[str, Any] | None = optional()
    by: str | None = optional()
