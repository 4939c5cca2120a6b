"""The agent harness: a model, its tools, and a person who is asked, in a loop.

One turn streams the model, then runs the calls it made, then feeds the results back. The turn's calls stand in
`harnesses/turn.py`; here is what goes around them. Events of the model pass through untouched but for its `tool_call`s,
which are given out once they may run.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.harnesses.stream import as_generator
from llm_gateway_nb.harnesses.turn import ToolTurn
from llm_gateway_nb.harnesses.under_budget import (
    budget_questions,
    count_call,
    stopped_by,
    watched,
    withdraw_questions,
)
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.providers.structured import misfit
from llm_gateway_nb.tools.held import Held
from llm_gateway_nb.types import (
    AssistantMessage,
    EndReason,
    ErrorEvent,
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    InvokeEnv,
    Message,
    SystemMessage,
    TextEvent,
    ToolCallEvent,
    TotalUsage,
    UsageEvent,
    UserMessage,
    new_id,
)

__all__ = ["AgentHarness", "create_agent_harness"]

_LIMIT_REACHED = "The maximum number of tool call iterations is reached: no tool can be called any more."
_CLOSING = "Answer now, with what is known, and say what is missing."


def create_agent_harness(
    harness: GeneratorHarnessModule,
    *,
    max_iterations: int = 10,
    model: str | None = None,
    max_depth: int = 3,
    tool_timeout: float | None = None,
    relay_timeout: float | None = None,
) -> AgentHarness:
    """An agent around a model.

    Args:
        harness: makes one model call an invoke: an `LLM`, or a wrapper of one.
        max_iterations: turns in which tools are offered; after them one closing call without tools gives the answer.
        model: the model to ask for, unless the invoke names one.
        max_depth: how deep subagents may nest.
        tool_timeout: seconds a tool may run; a tool's own `timeout_seconds` wins.
        relay_timeout: seconds a question waits for its answer; then it counts as denied. None waits.
    """
    if not callable(getattr(harness, "invoke", None)):
        raise ConfigurationError(
            f"create_agent_harness takes a harness, something with `invoke(params)`, not {harness!r}; "
            "create_llm(…) gives one."
        )
    if max_iterations < 1:
        raise ConfigurationError(f"max_iterations is 1 or more, not {max_iterations!r}.")
    return AgentHarness(harness, max_iterations, model, max_depth, tool_timeout, relay_timeout)


@dataclass(slots=True)
class _ModelCall:
    """What one model call came to."""

    texts: list[str] = field(default_factory=list)
    calls: list[ToolCallEvent] = field(default_factory=list)
    finish_reason: str | None = None
    ended: EndReason = "final"


class AgentHarness:
    """See `create_agent_harness`. Holds settings only; any number of invokes may run at once."""

    keeps_budgets = True

    def __init__(
        self,
        harness: GeneratorHarnessModule,
        max_iterations: int,
        model: str | None,
        max_depth: int,
        tool_timeout: float | None,
        relay_timeout: float | None,
    ) -> None:
        self._harness = harness
        self._max_iterations = max_iterations
        self._model = model
        self.max_depth = max_depth
        self._tool_timeout = tool_timeout
        self._relay_timeout = relay_timeout

    @property
    def model(self) -> str | None:
        """The model that is asked where an invoke names none; None where that is not known."""
        return self._model or getattr(self._harness, "model", None)

    def __repr__(self) -> str:
        return f"AgentHarness({self._harness!r}, max_iterations={self._max_iterations})"

    def around_model(self, wrapped: Callable[[GeneratorHarnessModule], GeneratorHarnessModule]) -> AgentHarness:
        """A copy of this agent whose model is `wrapped(model)`."""
        other = copy.copy(self)
        other._harness = wrapped(self._harness)
        return other

    async def supported_models(self) -> list[str]:
        """Those of the model's harness."""
        return await self._harness.supported_models()

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        """One run of the agent. `harness_start` is first and `harness_end` last, with the reason, the iterations and all
        tokens. What no rule of `permissions` allows asks by a `relay` event; the run waits for its `respond`.

        Closing the generator, or cancelling the task that reads it, ends tools and the model's connection; then nobody
        reads, and there is no `harness_end`: whoever owns the reading adds it.

        Raises:
            InvalidMessagesError: at once, before anything is sent.
        """
        return self._events(GeneratorInvokeParams.of(params, fields))

    async def _events(self, params: GeneratorInvokeParams) -> AsyncGenerator[HarnessEvent, None]:
        env = params.env or InvokeEnv()
        env = env.model_copy(
            update={
                "grants": env.grants if env.grants is not None else Grants(params.permissions),
                "shared": env.shared if env.shared is not None else {},
            }
        )
        run_id, parent_id = new_id(), env.parent_id
        model = params.model or self._model
        messages: list[Message] = list(params.messages)
        held = Held()  # what tools keep open from one turn to the next
        usage = TotalUsage()
        reason: EndReason = "error"
        finish_reason: str | None = None
        iteration = 0
        told = ""
        yield HarnessStartEvent(
            run_id=run_id,
            parent_id=parent_id,
            depth=env.depth or None,
            max_iterations=self._max_iterations,
            model=params.model or self.model,
        )
        try:
            while True:
                async for question in budget_questions(env, run_id):
                    yield question
                stopped = stopped_by(env)
                if stopped is not None and (env.depth or not iteration):
                    reason = "budget"  # the root of the tree sums up
                    break
                closing: EndReason | None = (
                    "budget" if stopped is not None else "max_iterations" if iteration == self._max_iterations else None
                )
                last_word = SystemMessage(content=f"{stopped or _LIMIT_REACHED} {_CLOSING}")
                request = params.model_copy(
                    update={
                        "model": model,
                        "messages": [*messages, last_word] if closing else list(messages),
                        "tools": None if closing else params.tools,
                        "env": InvokeEnv(parent_id=run_id, shared=env.shared),
                        "permissions": None,
                    }
                )
                called = _ModelCall()
                iteration += 1
                count_call(env)
                async with aclosing(as_generator(self._harness.invoke(request))) as events:
                    async for event in events:
                        if isinstance(event, UsageEvent):
                            usage = TotalUsage(
                                input_tokens=usage.input_tokens + event.input_tokens,
                                output_tokens=usage.output_tokens + event.output_tokens,
                            )
                        if _passes_on(event, called):
                            yield event
                finish_reason = called.finish_reason
                if called.ended in {"error", "budget"}:
                    reason = called.ended
                    break
                if params.response_model is not None and not (closing or called.calls or told):
                    said = "".join(called.texts)
                    told = misfit(said, params.response_model)
                    if told:  # once: a second answer that does not fit is the caller's to judge
                        messages += [AssistantMessage(content=said or "(nothing)"), UserMessage(content=told)]
                        continue
                if closing or not called.calls:
                    reason = closing or "final"
                    break
                async for question in budget_questions(env, run_id):
                    yield question
                turn = ToolTurn(
                    run_id=run_id,
                    parent_id=parent_id,
                    calls=_unique(called.calls, messages),
                    tools=params.tools or [],
                    grants=env.grants,
                    env=env,
                    tool_timeout=self._tool_timeout,
                    relay_timeout=self._relay_timeout,
                    held=held,
                )
                stopped = stopped_by(env)
                if stopped is not None:
                    turn.stop(stopped)
                with watched(env, turn.say, turn.stop, run_id=run_id):
                    async with aclosing(turn.events()) as turn_events:
                        async for event in turn_events:
                            yield event
                messages.append(AssistantMessage(content="".join(called.texts) or None, tool_calls=turn.tool_calls))
                messages.extend(turn.tool_messages)
        except Exception as error:  # noqa: BLE001  (a harness that raises, whatever it is, ends its run and nobody else's)
            yield ErrorEvent(run_id=run_id, parent_id=parent_id, error=error)
        finally:
            withdraw_questions(env, run_id)
            await held.aclose()
        yield HarnessEndEvent(
            run_id=run_id,
            parent_id=parent_id,
            reason=reason,
            iterations=iteration,
            total_usage=usage,
            finish_reason=finish_reason,
        )


def _passes_on(event: HarnessEvent, called: _ModelCall) -> bool:
    """Take down what the model said; False for what does not leave the agent: its raw calls, its start and end."""
    match event:
        case ToolCallEvent():
            called.calls.append(event)
            return False
        case HarnessStartEvent():
            return False
        case HarnessEndEvent():
            called.finish_reason = event.finish_reason
            if called.ended == "final" and event.reason is not None:
                called.ended = event.reason
            return False
        case TextEvent():
            called.texts.append(event.content)
        case ErrorEvent():
            called.ended = "error"
        case _:
            pass
    return True


def _unique(calls: list[ToolCallEvent], messages: list[Message]) -> list[ToolCallEvent]:
    """The calls with ids that are new in this history: some services count from 0 again in every turn."""
    taken = {
        call.id for message in messages if isinstance(message, AssistantMessage) for call in message.tool_calls or ()
    }
    unique: list[ToolCallEvent] = []
    for call in calls:
        raw, number = call.id or "call", 2
        while raw in taken:
            raw, number = f"{call.id or 'call'}-{number}", number + 1
        taken.add(raw)
        unique.append(call if raw == call.id else call.model_copy(update={"id": raw}))
    return unique
