"""One tool call on its way from what the model wrote to whether it may run: validated, decided, asked about."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from llm_gateway_nb._words import counted
from llm_gateway_nb.errors import ToolError, ToolInputError, ToolNotExecutableError, UnknownToolError
from llm_gateway_nb.permissions import Decision, Grants
from llm_gateway_nb.primitives import Deferred, deferred
from llm_gateway_nb.tools.validate import plain_input, validate_input
from llm_gateway_nb.types import RelayResponse, ToolCall, ToolCallEvent, ToolDefinition

__all__ = ["PendingCall"]


class PendingCall:
    """A call of the model.

    Attributes:
        call_id: its namespaced id.
        arguments: what it wrote; once validated, what will run: defaults filled in, as a person may have edited it.
        failure: why it can't run at all; nobody is asked about such a call.
        decision: what the rules say; None of a call that failed.
        answer: of a call that asks: the answer.
        content: what the model reads of it, once it is over.
        said, told: its `tool_call` is out; and has been read.
        subagents: how many it waits for.
    """

    def __init__(self, event: ToolCallEvent, call_id: str, grants: Grants) -> None:
        self.raw_id = event.id
        self.name = event.name
        self.call_id = call_id
        self.arguments = event.input
        self.validated: Any = None
        self.tool: ToolDefinition | None = None
        self.failure: ToolError | None = None
        self.decision: Decision | None = None
        self.answer: Deferred[RelayResponse] | None = None
        self.content: Any = None
        self.said = False
        self.told = asyncio.Event()
        self.subagents = 0
        self._grants = grants
        self._beyond: str | None = None

    def as_message(self) -> ToolCall:
        """The call as the history has it."""
        arguments = self.arguments
        given = arguments if isinstance(arguments, dict) else {} if arguments is None else {"raw": arguments}
        return ToolCall(id=self.raw_id, name=self.name, arguments=given)

    def prepare(self, tools: Mapping[str, ToolDefinition]) -> None:
        """Validate and decide; an `answer` stands ready if it has to be asked for."""
        self.tool = tools.get(self.name)
        try:
            if self.tool is None:
                raise UnknownToolError(self.name, offered=list(tools))
            if self.tool.execute is None:
                raise ToolNotExecutableError(self.name)
            self._validate(self.tool, self.arguments)
        except ToolError as error:
            self.failure = error
            return
        self.decision = self._decide()
        if self.decision.outcome == "ask":
            self.answer = deferred()

    def look_again(self) -> None:
        """A rule was added: what it covers need not be asked any more. From any thread."""
        if self.answer is not None and self.answer.state == "pending":
            decision = self._decide()
            if decision.outcome == "allow":
                self.answer.resolve(RelayResponse(approved=True, reason=decision.why))

    def withdraw(self) -> None:
        """It is over: an answer that comes now is told that it does not count."""
        if self.answer is not None:
            self.answer.resolve(RelayResponse(approved=False))

    async def refusal(self, relay_timeout: float | None) -> str | None:
        """Why it may not run; None when it may, or when it failed meanwhile, by what a person made of its arguments."""
        decision = self.decision
        if self.failure is not None or decision is None or self.tool is None:
            return None
        if self.answer is None:
            return None if decision.outcome == "allow" else decision.why
        response = await self._response(self.answer, relay_timeout)
        if not response.approved:
            return f"Denied: {response.reason}" if response.reason else "Denied."
        if response.input is not None:
            try:
                self._validate(self.tool, response.input)
            except ToolInputError as error:
                self.failure = error
                return None
            denial = self._grants.denial(self.as_message(), call_id=self.call_id, beyond=self._beyond)
            if denial is not None:
                return denial.why
        if response.always and decision.rule is not None:
            self._grants.grant(decision.rule)
        return None

    async def _response(self, answer: Deferred[RelayResponse], relay_timeout: float | None) -> RelayResponse:
        try:
            async with asyncio.timeout(relay_timeout):
                return await answer.promise
        except TimeoutError:
            assert relay_timeout is not None
            late = RelayResponse(approved=False, reason=f"Nobody answered within {counted(relay_timeout, 'second')}.")
            return late if answer.resolve(late) else await answer.promise

    def _validate(self, tool: ToolDefinition, arguments: Any) -> None:
        try:
            self.validated = validate_input(tool, arguments)
            self.arguments = plain_input(self.validated)
            self._beyond = tool.goes_beyond(self.validated) if tool.goes_beyond is not None else None
        except ToolError:
            raise
        except Exception as error:
            raise ToolInputError(
                f"The arguments of {tool.name!r} could not be checked: {type(error).__name__}: {error}"
            ) from error

    def _decide(self) -> Decision:
        derive = self.tool.derive_permission if self.tool is not None else None
        return self._grants.decide(self.as_message(), call_id=self.call_id, derive=derive, beyond=self._beyond)
