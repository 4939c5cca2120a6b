"""What every adapter is made of: a harness around another framework's run, and a teller of what happens in it.

The framework runs in a task of its own, which fills a stream; the generator reads it. Closing the generator cancels the
task and waits until it is gone, so a stop in the notebook stops the framework too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel

from llm_gateway_nb.errors import ConfigurationError, HarnessError
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.primitives import Deferred, Passthrough, create_passthrough, deferred
from llm_gateway_nb.tools.current import current_tool
from llm_gateway_nb.types import (
    ErrorEvent,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    InvokeEnv,
    ReasoningEvent,
    RelayEvent,
    RelayResponse,
    ReplInputEvent,
    ReplOutputEvent,
    SystemMessage,
    TextEvent,
    ToolCall,
    ToolCallEvent,
    ToolContext,
    ToolPermission,
    ToolProgressEvent,
    ToolResultEvent,
    TotalUsage,
    UsageEvent,
    UserMessage,
    new_id,
)

__all__ = [
    "AdaptedHarness",
    "Drive",
    "Teller",
    "check_agent",
    "current_teller",
    "inside",
    "last_prompt",
    "last_turn",
    "nested",
    "plain",
]


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

    def start(self, model: str | None = None) -> None:
        self._stream.push(HarnessStartEvent(**self._ids, depth=self.depth or None, model=model))

    def end(self, reason: Literal["final", "error", "max_iterations", "cancelled"] = "final") -> None:
        self._stream.push(HarnessEndEvent(**self._ids, reason=reason, total_usage=self.usage))

    def child(self, call_id: str | None = None) -> Teller:
        """A run below this one; with the call that it hangs from, if it is known. It has to be started and ended."""
        parent_id = self.named(call_id) if call_id else self.run_id
        return Teller(self._stream, self.grants, parent_id, self.depth + 1, parent=self)

    def named(self, call_id: str) -> str:
        return f"{self.run_id}/{call_id}"

    def text(self, content: str, of: str) -> None:
        """A delta; the deltas of one answer have the same `of`."""
        if content:
            self._stream.push(TextEvent(**self._ids, id=of, content=content))

    def reasoning(self, content: str, of: str) -> None:
        if content:
            self._stream.push(ReasoningEvent(**self._ids, id=of, content=content))

    def tool_call(self, call_id: str, name: str, given: Any) -> None:
        self._stream.push(ToolCallEvent(**self._ids, id=self.named(call_id), name=name, input=given))

    def tool_progress(self, call_id: str, name: str, content: Any) -> None:
        self._stream.push(
            ToolProgressEvent(**self._ids, tool_call_id=self.named(call_id), name=name, content=plain(content))
        )

    def tool_result(
        self, call_id: str, name: str, output: Any, status: Literal["ok", "denied", "error", "cancelled"] = "ok"
    ) -> None:
        output = plain(output)
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, default=str)
        self._stream.push(ToolResultEvent(**self._ids, id=self.named(call_id), name=name, output=text, status=status))

    def code(self, call_id: str, code: str, iteration: int | None = None) -> None:
        """Code that runs in a REPL of the framework's own."""
        self._stream.push(ReplInputEvent(**self._ids, id=self.named(call_id), code=code, iteration=iteration))

    def code_output(self, call_id: str, stdout: str, error: str | None = None, *, done: bool = False) -> None:
        self._stream.push(ReplOutputEvent(**self._ids, id=self.named(call_id), stdout=stdout, error=error, done=done))

    def tokens(self, given: int | None, taken: int | None) -> None:
        """Tokens of one model call: those it read, and those it wrote."""
        if not given and not taken:
            return
        usage = UsageEvent(**self._ids, input_tokens=given or 0, output_tokens=taken or 0)
        self._count(usage)
        self._stream.push(usage)

    def error(self, error: BaseException, call_id: str | None = None) -> None:
        named = self.named(call_id) if call_id else None
        self._stream.push(ErrorEvent(**self._ids, error=error, tool_call_id=named))

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
            self._stream.push(
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
            self._stream.push(event)
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


Drive = Callable[[Teller, GeneratorInvokeParams], Awaitable[None]]
"""Runs the framework and tells; what it raises is how the run ended."""


class AdaptedHarness:
    """Another framework's agent as a harness: give it to `run` or `start`, or read it with `async for`.

    Attributes:
        prompt: what it is asked where whoever invokes it asks nothing.
    """

    def __init__(self, name: str, drive: Drive, prompt: str | None, model: str | None = None) -> None:
        self.prompt = prompt
        self.model = model
        self._name = name
        self._drive = drive

    def __repr__(self) -> str:
        return f"{self._name}({self.prompt!r})" if self.prompt else f"{self._name}()"

    async def supported_models(self) -> list[str]:
        return [self.model] if self.model else []

    def __aiter__(self) -> AsyncGenerator[HarnessEvent, None]:
        return self.invoke(messages=[UserMessage(content=self.prompt)] if self.prompt else [])

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        """One run of the agent, asked what `messages` end with.

        Raises:
            ConfigurationError: something is asked for that is the other framework's to set: tools, a model, settings, ….
        """
        whole = GeneratorInvokeParams.of(params, fields)
        for name in ("tools", "model", "settings", "response_model", "context"):
            if getattr(whole, name):
                raise ConfigurationError(f"{self._name} takes no `{name}`: set it where the agent is made.")
        return self._events(whole)

    async def _events(self, params: GeneratorInvokeParams) -> AsyncGenerator[HarnessEvent, None]:
        env = params.env or InvokeEnv()
        grants = env.grants if env.grants is not None else Grants(params.permissions)
        stream: Passthrough[HarnessEvent] = create_passthrough()
        teller = Teller(stream, grants, env.parent_id, env.depth or 0)
        teller.start(self.model)
        owner = asyncio.create_task(self._run(teller, params), name=f"llm_gateway_nb {self._name}")
        owner.add_done_callback(lambda _: stream.end())
        try:
            async for event in stream.iterable:
                yield event
        finally:
            owner.cancel()
            await asyncio.wait([owner])

    async def _run(self, teller: Teller, params: GeneratorInvokeParams) -> None:
        token = _teller.set((teller, None))
        try:
            await self._drive(teller, params)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            teller.error(HarnessError(f"The run was cancelled by {self._name[5:]} itself."))
            teller.end("error")
            del error
        except Exception as error:  # noqa: BLE001  (whatever another framework raises is how this run ended)
            teller.error(error)
            teller.end("error")
        else:
            teller.end()
        finally:
            _teller.reset(token)


_teller: ContextVar[tuple[Teller, str | None] | None] = ContextVar("llm_gateway_nb_teller", default=None)


def check_agent(agent: Any, method: str, wanted: str) -> None:
    """
    Raises:
        ConfigurationError: an agent of another framework, or something that is none.
    """
    if not callable(getattr(agent, method, None)):
        raise ConfigurationError(f"{wanted}, not {agent!r}.")


def current_teller() -> Teller | None:
    """Of the adapted run that this code runs in."""
    current = _teller.get()
    return None if current is None else current[0]


class inside:  # noqa: N801 - reads as what it is: `with inside(teller, call_id):`
    """In this block a call is being executed: what is `nested` hangs from it, and what is printed is its progress."""

    def __init__(self, teller: Teller, call_id: str, name: str) -> None:
        self._now = (teller, call_id)
        self._ctx = ToolContext(
            parent_id=teller.named(call_id), emit_progress=partial(teller.tool_progress, call_id, name)
        )

    def __enter__(self) -> None:
        self._tokens = _teller.set(self._now), current_tool.set(self._ctx)

    def __exit__(self, *exc: object) -> None:
        _teller.reset(self._tokens[0])
        current_tool.reset(self._tokens[1])


async def nested(harness: Any, prompt: str | None = None) -> str:
    """Run a harness from inside a tool of an adapted agent, shown in the call that it serves; gives its last text.

    `await nested(from_pydantic_ai(researcher), task)` in the place of `await researcher.run(task)`. Its questions appear
    in the same panel, and it has no more than its parent may. Outside of a run it works as well, unseen.

    Raises:
        HarnessError: the nested agent failed.
    """
    prompt = prompt if prompt is not None else getattr(harness, "prompt", None)
    current = _teller.get()
    if current is None:
        teller, call_id = Teller(create_passthrough(), Grants(), None), None
    else:
        teller, call_id = current
    env = InvokeEnv(
        parent_id=teller.named(call_id) if call_id else teller.run_id,
        grants=teller.grants.narrowed(None),
        depth=teller.depth + 1,
    )
    params = GeneratorInvokeParams(messages=[UserMessage(content=prompt or "")], env=env)
    async with aclosing(harness.invoke(params)) as events:
        return await teller.pass_on(events)


def last_turn(params: GeneratorInvokeParams) -> UserMessage:
    """The person's turn, which the messages have to end with."""
    last = params.messages[-1] if params.messages else None
    if not isinstance(last, UserMessage):
        raise HarnessError("There is nothing to ask: give a prompt, or messages that end with the person's turn.")
    return last


def last_prompt(params: GeneratorInvokeParams) -> str:
    """The person's turn as text, for a framework that takes nothing else from us.

    Raises:
        HarnessError: there is none, there is more in it than text, or there is a system prompt.
    """
    content = last_turn(params).content
    if any(isinstance(message, SystemMessage) for message in params.messages):
        raise HarnessError("This adapter takes no system prompt: set it where the agent is made.")
    if isinstance(content, str):
        return content
    if any(part.type != "text" for part in content):
        raise HarnessError("This adapter takes text only, no images and no documents.")
    return "\n".join(part.text for part in content if part.type == "text")


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
