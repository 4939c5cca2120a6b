"""The tool calls of one model turn: validate, ask, run, and a result for each, whatever happens.

All questions are asked at once, in the model's order; each call starts as soon as it may, and its `tool_call` has been
read: a subagent that it spawns speaks in a stream of its own, and must not be heard before the call it hangs from. Each
result is given out when it is there; the tool messages keep the order of the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

from llm_gateway_nb._words import counted
from llm_gateway_nb.errors import StreamClosedError, ToolError, ToolTimeoutError
from llm_gateway_nb.harnesses.clock import Clock
from llm_gateway_nb.harnesses.pending_call import PendingCall
from llm_gateway_nb.harnesses.tool_value import read_value
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.primitives import Passthrough, create_passthrough
from llm_gateway_nb.tools.current import current_tool
from llm_gateway_nb.tools.held import Held
from llm_gateway_nb.types import (
    HarnessEvent,
    InvokeEnv,
    RelayEvent,
    ToolCall,
    ToolCallEvent,
    ToolContext,
    ToolDefinition,
    ToolMessage,
    ToolPermission,
    ToolProgressEvent,
    ToolResultEvent,
)

__all__ = ["ToolTurn"]

Status = Literal["ok", "denied", "error", "cancelled"]


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
        held: Held | None = None,
    ) -> None:
        self._run_id = run_id
        self._parent_id = parent_id
        self._tools = {tool.name: tool for tool in tools}
        self._grants = grants
        self._env = env
        self._tool_timeout = tool_timeout
        self._relay_timeout = relay_timeout
        self._held = held
        self._calls = [PendingCall(call, f"{run_id}/{call.id}", grants) for call in calls]
        self._by_id = {call.call_id: call for call in self._calls}
        # Without a bound: a tool tells its progress from any thread, and must not have to wait for a reader.
        self._stream: Passthrough[HarnessEvent] = create_passthrough()
        self._tasks: list[tuple[PendingCall, asyncio.Task[None]]] = []
        self._stopped: str | None = None

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls as they ran: defaults filled in, arguments as a person may have edited them."""
        return [call.as_message() for call in self._calls]

    @property
    def tool_messages(self) -> list[ToolMessage]:
        """One a call, in call order."""
        return [ToolMessage(tool_call_id=call.raw_id, content=call.content) for call in self._calls]

    async def events(self) -> AsyncGenerator[HarnessEvent, None]:
        """What happens, as it happens. Closing it cancels what still runs and waits until it is gone."""
        owner = asyncio.create_task(self._run_all())
        owner.add_done_callback(lambda _: self._stream.end())
        try:
            async for event in self._stream.iterable:
                yield event
                if isinstance(event, ToolCallEvent):
                    self._by_id[event.id].told.set()
            await owner
        finally:
            owner.cancel()
            await asyncio.wait([owner])

    def stop(self, why: str) -> None:
        """Cancel what runs or waits, and start nothing more; `why` is the result of each call that had none. What waits for
        a subagent is left to it: whoever stops a tree stops that one too, and it ends in its own words."""
        self._stopped = why
        for call, task in self._tasks:
            if not call.subagents:
                task.cancel()

    def say(self, event: HarnessEvent) -> bool:
        """Put an event of the run into the stream, while tools run. False if it is over."""
        try:
            self._stream.push(event)
        except StreamClosedError:
            return False
        return True

    async def _run_all(self) -> None:
        unsubscribe = self._grants.subscribe(self._wake)
        try:
            for call in self._calls:  # in the model's order and without a pause
                if self._stopped is None:
                    call.prepare(self._tools)
                if call.answer is None:
                    self._say_called(call)
                else:
                    self._ask(call)
            async with asyncio.TaskGroup() as group:
                for call in self._calls:
                    self._tasks.append((call, group.create_task(self._run_one(call))))
        finally:
            unsubscribe()
            for call in self._calls:
                call.withdraw()

    def _wake(self, _rule: ToolPermission) -> None:
        for call in self._calls:
            call.look_again()

    async def _run_one(self, call: PendingCall) -> None:
        try:
            if self._stopped is None:
                await self._perform(call)
                return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopped is None or task is None or task.uncancel():  # somebody else cancels, too
                raise
        if call.content is None:
            self._say_called(call)
            self._finish(call, "cancelled", f"It was not finished. {self._stopped}")

    async def _perform(self, call: PendingCall) -> None:
        refusal = await call.refusal(self._relay_timeout)
        if call.answer is not None:
            self._say_called(call)
        if refusal is not None:
            self._finish(call, "denied", refusal)
            return
        if call.failure is not None or call.tool is None:
            self._finish(call, "error", str(call.failure))
            return
        await call.told.wait()
        try:
            content, result = read_value(await self._execute(call, call.tool))
        except ToolError as error:
            self._finish(call, "error", str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._finish(call, "cancelled", "The tool cancelled itself.")
        except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever a tool raises is its result, and the run goes on)
            self._finish(call, "error", f"{type(error).__name__}: {error}")
        else:
            self._finish(call, "ok", content, result)

    async def _execute(self, call: PendingCall, tool: ToolDefinition) -> Any:
        spawn = self._env.spawn
        timeout = tool.timeout_seconds if tool.timeout_seconds is not None else self._tool_timeout
        clock = Clock(timeout)

        async def spawn_here(task: str) -> str:
            assert spawn is not None
            call.subagents += 1
            try:
                with clock.stopped():
                    return await spawn(task, call.call_id)
            finally:
                call.subagents -= 1

        ctx = ToolContext(
            parent_id=call.call_id,
            spawn=None if spawn is None else spawn_here,
            file_time=self._env.file_time,
            beyond_workspace=True,  # `goes_beyond` was part of the decision, or of what a person said yes to
            emit_progress=self._progress_of(call),
            emit_event=self._push_of(call),
            held=self._held,
            stop_clock=clock.stopped,
        )
        token = current_tool.set(ctx)
        try:
            async with clock:
                assert tool.execute is not None
                return await tool.execute(call.validated, ctx)
        except TimeoutError:
            if clock.expired:
                assert timeout is not None
                raise ToolTimeoutError(
                    f"The tool {call.name!r} ran longer than {counted(timeout, 'second')}."
                ) from None
            raise
        finally:
            current_tool.reset(token)

    # -- what is said of it ------------------------------------------------------------------------------------------

    def _ask(self, call: PendingCall) -> None:
        assert call.answer is not None
        assert call.decision is not None
        rule = call.decision.rule
        self._stream.push(
            RelayEvent(
                run_id=self._run_id,
                parent_id=self._parent_id,
                tool_call_id=call.call_id,
                tool=call.name,
                params=call.arguments,
                rule=None if rule is None else rule.model_dump(),
                why=call.decision.why,
                respond=call.answer.resolve,
            )
        )

    def _say_called(self, call: PendingCall) -> None:
        if call.said:
            return
        call.said = True
        self._stream.push(
            ToolCallEvent(
                run_id=self._run_id,
                parent_id=self._parent_id,
                id=call.call_id,
                name=call.name,
                input=call.arguments,
            )
        )

    def _progress_of(self, call: PendingCall) -> Any:
        push = self._push_of(call)

        def progress(content: Any) -> None:
            push(
                ToolProgressEvent(
                    run_id=self._run_id,
                    parent_id=self._parent_id,
                    tool_call_id=call.call_id,
                    name=call.name,
                    content=content,
                )
            )

        return progress

    def _push_of(self, call: PendingCall) -> Any:
        """Sends an event of a call that runs; from any thread."""
        loop = asyncio.get_running_loop()

        def push(event: HarnessEvent) -> None:
            if call.content is None:  # of a call that has its result it would be out of order
                with contextlib.suppress(StreamClosedError):  # the run was cancelled: nobody reads
                    self._stream.push(event)

        def send(event: HarnessEvent) -> None:
            if not _elsewhere(loop):
                push(event)
                return
            with contextlib.suppress(RuntimeError):  # a thread that outlived its call, and its loop
                loop.call_soon_threadsafe(push, event)

        return send

    def _finish(self, call: PendingCall, status: Status, content: Any, result: Any = None) -> None:
        call.content = content
        output = content if isinstance(content, str) else [part.model_dump() for part in content]
        self._stream.push(
            ToolResultEvent(
                run_id=self._run_id,
                parent_id=self._parent_id,
                id=call.call_id,
                name=call.name,
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
