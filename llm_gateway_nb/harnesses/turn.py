"""The tool calls of one model turn: validate, ask, run, and a result for each, whatever happens.

All questions are asked at once, in the model's order; each call starts as soon as it may; each result is given out when it
is there; the tool messages keep the order of the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from llm_gateway_nb.errors import (
    ToolError,
    ToolInputError,
    ToolNotExecutableError,
    ToolTimeoutError,
    UnknownToolError,
)
from llm_gateway_nb.harnesses.clock import Clock
from llm_gateway_nb.permissions import Decision, Grants
from llm_gateway_nb.primitives import Deferred, Passthrough, create_passthrough, deferred
from llm_gateway_nb.tools.current import current_tool
from llm_gateway_nb.tools.validate import plain_input, validate_input
from llm_gateway_nb.types import (
    HarnessEvent,
    InvokeEnv,
    RelayEvent,
    RelayResponse,
    ToolCall,
    ToolCallEvent,
    ToolContext,
    ToolDefinition,
    ToolExecutionResult,
    ToolMessage,
    ToolPermission,
    ToolProgressEvent,
    ToolResultEvent,
)

__all__ = ["ToolTurn"]

Status = Literal["ok", "denied", "error", "cancelled"]


class _Prepared:
    """One call on its way: what came of validating it and of the rules."""

    def __init__(self, event: ToolCallEvent, call_id: str) -> None:
        self.raw_id = event.id
        self.name = event.name
        self.call_id = call_id
        self.arguments = event.input
        self.validated: Any = None
        self.tool: ToolDefinition | None = None
        self.failure: ToolError | None = None
        self.beyond: str | None = None
        self.decision: Decision | None = None
        self.answer: Deferred[RelayResponse] | None = None
        self.content: Any = None

    def call(self) -> ToolCall:
        arguments = self.arguments
        given = arguments if isinstance(arguments, dict) else {} if arguments is None else {"raw": arguments}
        return ToolCall(id=self.raw_id, name=self.name, arguments=given)


class ToolTurn:
    """The calls of one turn. Read `events()` to its end, then `tool_calls` and `tool_messages` are for the history."""

    def __init__(
        self,
        *,
        run_id: str,
        parent_id: str | None,
        calls: Sequence[ToolCallEvent],
        tools: Sequence[ToolDefinition],
        grants: Grants,
        env: InvokeEnv,
        tool_timeout: float | None,
        relay_timeout: float | None,
    ) -> None:
        self._run_id = run_id
        self._parent_id = parent_id
        self._tools = {tool.name: tool for tool in tools}
        self._grants = grants
        self._env = env
        self._tool_timeout = tool_timeout
        self._relay_timeout = relay_timeout
        self._prepared = [_Prepared(call, f"{run_id}/{call.id}") for call in calls]
        self._stream: Passthrough[HarnessEvent] = create_passthrough()

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls as they ran: defaults filled in, arguments as a person may have edited them."""
        return [prepared.call() for prepared in self._prepared]

    @property
    def tool_messages(self) -> list[ToolMessage]:
        """One a call, in call order."""
        return [ToolMessage(tool_call_id=p.raw_id, content=p.content) for p in self._prepared]

    async def events(self) -> AsyncGenerator[HarnessEvent, None]:
        """What happens, as it happens. Closing it cancels what still runs and waits until it is gone."""
        owner = asyncio.create_task(self._run_all())
        owner.add_done_callback(lambda _: self._stream.end())
        try:
            async for event in self._stream.iterable:
                yield event
            await owner
        finally:
            owner.cancel()
            await asyncio.wait([owner])

    async def _run_all(self) -> None:
        for prepared in self._prepared:
            self._prepare(prepared)
        unsubscribe = self._grants.subscribe(self._wake)
        try:
            async with asyncio.TaskGroup() as group:
                for prepared in self._prepared:
                    group.create_task(self._run_one(prepared))
        finally:
            unsubscribe()
            for prepared in self._prepared:
                if prepared.answer is not None:  # withdrawn: an answer that comes now is told that it does not count
                    prepared.answer.resolve(RelayResponse(approved=False))

    def _prepare(self, prepared: _Prepared) -> None:
        """Validate, decide, and ask where it has to be asked. In model order and without a pause."""
        tool = prepared.tool = self._tools.get(prepared.name)
        try:
            if tool is None:
                raise UnknownToolError(prepared.name, offered=list(self._tools))
            if tool.execute is None:
                raise ToolNotExecutableError(prepared.name)
            self._validate(prepared, tool, prepared.arguments)
        except ToolError as error:
            prepared.failure = error
            self._say_called(prepared)
            return
        prepared.decision = self._decide(prepared)
        if prepared.decision.outcome != "ask":
            self._say_called(prepared)
            return
        answer: Deferred[RelayResponse] = deferred()
        prepared.answer = answer
        rule = prepared.decision.rule
        self._stream.push(
            RelayEvent(
                run_id=self._run_id,
                parent_id=self._parent_id,
                tool_call_id=prepared.call_id,
                tool=prepared.name,
                params=prepared.arguments,
                rule=None if rule is None else rule.model_dump(),
                why=prepared.decision.why,
                respond=answer.resolve,
            )
        )

    def _validate(self, prepared: _Prepared, tool: ToolDefinition, arguments: Any) -> None:
        prepared.validated = validate_input(tool, arguments)
        prepared.arguments = plain_input(prepared.validated)
        prepared.beyond = tool.goes_beyond(prepared.validated) if tool.goes_beyond is not None else None

    def _decide(self, prepared: _Prepared) -> Decision:
        derive = prepared.tool.derive_permission if prepared.tool is not None else None
        return self._grants.decide(prepared.call(), call_id=prepared.call_id, derive=derive, beyond=prepared.beyond)

    def _wake(self, _rule: ToolPermission) -> None:
        """A rule was added: what it covers need not be asked any more."""
        for prepared in self._prepared:
            if prepared.answer is not None and prepared.answer.state == "pending":
                decision = self._decide(prepared)
                if decision.outcome == "allow":
                    prepared.answer.resolve(RelayResponse(approved=True, reason=decision.why))

    async def _run_one(self, prepared: _Prepared) -> None:
        refusal = await self._refusal(prepared) if prepared.failure is None else None
        if prepared.answer is not None:
            self._say_called(prepared)
        if refusal is not None:
            self._finish(prepared, "denied", refusal)
            return
        if prepared.failure is not None or prepared.tool is None:
            self._finish(prepared, "error", str(prepared.failure))
            return
        try:
            value = await self._execute(prepared, prepared.tool)
        except ToolError as error:
            self._finish(prepared, "error", str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._finish(prepared, "cancelled", "The tool cancelled itself.")
        except Exception as error:  # noqa: BLE001  (whatever a tool raises is its result, and the run goes on)
            self._finish(prepared, "error", f"{type(error).__name__}: {error}")
        else:
            content, result = _as_content(value)
            self._finish(prepared, "ok", content, result)

    def _say_called(self, prepared: _Prepared) -> None:
        self._stream.push(
            ToolCallEvent(
                run_id=self._run_id,
                parent_id=self._parent_id,
                id=prepared.call_id,
                name=prepared.name,
                input=prepared.arguments,
            )
        )

    async def _refusal(self, prepared: _Prepared) -> str | None:
        """Why the call may not run; None when it may. Waits for the answer where one was asked for."""
        decision = prepared.decision
        if prepared.answer is None:
            return decision.why if decision is None or decision.outcome != "allow" else None  # type: ignore[union-attr]  # a call without failure has its decision
        try:
            async with asyncio.timeout(self._relay_timeout):
                response = await prepared.answer.promise
        except TimeoutError:
            late = RelayResponse(approved=False, reason=f"Nobody answered within {self._relay_timeout:g} seconds.")
            if prepared.answer.resolve(late):
                response = late
            else:
                response = await prepared.answer.promise
        if not response.approved:
            return f"Denied: {response.reason}" if response.reason else "Denied."
        if response.input is not None and prepared.tool is not None:
            try:
                self._validate(prepared, prepared.tool, response.input)
            except ToolInputError as error:
                prepared.failure = error
                return None
            denial = self._grants.denial(prepared.call(), call_id=prepared.call_id, beyond=prepared.beyond)
            if denial is not None:
                return denial.why
        if response.always and decision is not None and decision.rule is not None:
            self._grants.grant(decision.rule)
        return None

    async def _execute(self, prepared: _Prepared, tool: ToolDefinition) -> Any:
        spawn = self._env.spawn
        loop = asyncio.get_running_loop()
        timeout = tool.timeout_seconds if tool.timeout_seconds is not None else self._tool_timeout
        clock = Clock(timeout)

        async def spawn_here(task: str) -> str:
            assert spawn is not None
            with clock.stopped():
                return await spawn(task, prepared.call_id)

        def progress(content: Any) -> None:
            event = ToolProgressEvent(
                run_id=self._run_id,
                parent_id=self._parent_id,
                tool_call_id=prepared.call_id,
                name=prepared.name,
                content=content,
            )
            with contextlib.suppress(RuntimeError):  # a thread that outlived its call: the loop or the stream is closed
                loop.call_soon_threadsafe(self._push_late, event) if _elsewhere(loop) else self._push_late(event)

        ctx = ToolContext(
            parent_id=prepared.call_id,
            spawn=None if spawn is None else spawn_here,
            file_time=self._env.file_time,
            beyond_workspace=True,  # `goes_beyond` was part of the decision, or of what a person said yes to
            emit_progress=progress,
        )
        token = current_tool.set(ctx)
        try:
            async with clock:
                assert tool.execute is not None
                return await tool.execute(prepared.validated, ctx)
        except TimeoutError:
            if clock.expired:
                raise ToolTimeoutError(f"The tool {prepared.name!r} ran longer than {timeout:g} seconds.") from None
            raise
        finally:
            current_tool.reset(token)

    def _push_late(self, event: HarnessEvent) -> None:
        if not self._ended(event):
            self._stream.push(event)

    def _ended(self, event: HarnessEvent) -> bool:
        """Progress of a call that has its result already is too late for the stream's order."""
        return isinstance(event, ToolProgressEvent) and any(
            p.call_id == event.tool_call_id and p.content is not None for p in self._prepared
        )

    def _finish(self, prepared: _Prepared, status: Status, content: Any, result: Any = None) -> None:
        prepared.content = content
        output = content if isinstance(content, str) else [part.model_dump() for part in content]
        self._stream.push(
            ToolResultEvent(
                run_id=self._run_id,
                parent_id=self._parent_id,
                id=prepared.call_id,
                name=prepared.name,
                output=output,
                status=status,
                result=result,
            )
        )


def _elsewhere(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is not loop
    except RuntimeError:
        return True


def _as_content(value: Any) -> tuple[Any, Any]:
    """What the model reads (text or content parts), and what is for the application."""
    if isinstance(value, dict) and value.keys() <= {"context", "result"} and value:
        value = ToolExecutionResult[Any].model_validate(value)
    if isinstance(value, ToolExecutionResult):
        if value.context is not None:
            return value.context, value.result
        return _as_text(value.result), value.result
    return _as_text(value), None if isinstance(value, str) else value


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str)
