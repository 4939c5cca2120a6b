"""`with_budget`: a tree of runs that stops, or asks whether to go on, when it has used what it was given."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from llm_gateway_nb.harnesses.ledger import Ledger, limits_of
from llm_gateway_nb.harnesses.stream import as_generator
from llm_gateway_nb.harnesses.wrapped import wrap
from llm_gateway_nb.providers.base import LLM
from llm_gateway_nb.types import (
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    InvokeEnv,
    UsageEvent,
    new_id,
)

__all__ = ["with_budget"]

HarnessT = TypeVar("HarnessT", bound=GeneratorHarnessModule)


def with_budget(
    harness: HarnessT,
    *,
    tokens: float | None = None,
    usd: float | None = None,
    seconds: float | None = None,
    calls: float | None = None,
) -> HarnessT:
    """`harness` with limits that count over a whole tree: an invoke, and every subagent under it.

    At a limit a `BudgetRelayEvent` asks whether to go on with as much again. No, or nobody there to answer, stops the tree:
    running tools and code are stopped, an agent or a recursive language model makes one last call that sums up, and the
    reason of the end is `budget`; any other harness is cut off. A model call under way is let finish: so a limit in tokens
    is passed by at most one call an agent.

    Args:
        tokens: input and output, as the services count them; a service that does not count adds nothing.
        usd: by known prices. A model without one ends the run with an error rather than without a limit.
        seconds: of work; time in which a person is asked does not count.
        calls: of models; the last summary is one more.

    Raises:
        ConfigurationError: no limit, or one that is no positive number.
    """
    limits = limits_of({"tokens": tokens, "usd": usd, "seconds": seconds, "calls": calls})
    key = object()

    async def around(
        inner: GeneratorHarnessModule, params: GeneratorInvokeParams
    ) -> AsyncGenerator[HarnessEvent, None]:
        env = params.env or InvokeEnv()
        shared = env.shared if env.shared is not None else {}
        ledger: Ledger = shared.setdefault(key, Ledger(limits))
        root = ledger.begin()
        params = params.model_copy(
            update={"env": env.model_copy(update={"shared": shared, "budgets": (*env.budgets, ledger)})}
        )
        ledger.start_clock()
        asked: set[str] = set()
        stream = _watched if getattr(inner, "keeps_budgets", False) else _cut
        try:
            async with aclosing(stream(inner, params, ledger, asked)) as events:
                async for event in events:
                    yield event
        finally:
            for call_id in list(asked):
                ledger.decided(call_id, asked)
            if root:
                ledger.stop_clock()

    wrapped: HarnessT = wrap(harness, around, "with_budget", tokens=tokens, usd=usd, seconds=seconds, calls=calls)
    return wrapped


async def _watched(
    inner: GeneratorHarnessModule, params: GeneratorInvokeParams, ledger: Ledger, asked: set[str]
) -> AsyncGenerator[HarnessEvent, None]:
    """A harness that asks its budgets by itself, between its steps."""
    async with aclosing(as_generator(inner.invoke(params))) as events:
        async for event in events:
            ledger.count(event, asked)
            yield event


async def _cut(
    inner: GeneratorHarnessModule, params: GeneratorInvokeParams, ledger: Ledger, asked: set[str]
) -> AsyncGenerator[HarnessEvent, None]:
    """Any other one: it is asked before it begins and after each model call, and cut off."""
    open_runs: dict[str, str | None] = {}
    parent_id = params.env.parent_id if params.env else None
    own, asked_first = "", False
    if isinstance(inner, LLM):
        own = new_id()
        async for question in ledger.check(own, parent_id):
            if not asked_first:
                asked_first = True
                yield HarnessStartEvent(run_id=own, parent_id=parent_id, model=inner.model)
            yield question
        if ledger.stopped is not None:
            yield HarnessEndEvent(run_id=own, parent_id=parent_id, reason="budget", iterations=0)
            return
        ledger.count_call()
    if asked_first:  # the question began a run: the model's answer is a turn of it
        env = (params.env or InvokeEnv()).model_copy(update={"parent_id": own})
        params = params.model_copy(update={"env": env})
        open_runs[own] = parent_id
    async with aclosing(as_generator(inner.invoke(params))) as events:
        async for event in events:
            ledger.count(event, asked)
            if asked_first and event.parent_id == own and isinstance(event, HarnessStartEvent | HarnessEndEvent):
                if isinstance(event, HarnessEndEvent):
                    del open_runs[own]
                    yield event.model_copy(update={"run_id": own, "parent_id": parent_id})
                continue
            yield event
            match event:
                case HarnessStartEvent():
                    open_runs[event.run_id] = event.parent_id
                    own = own or event.run_id
                case HarnessEndEvent():
                    open_runs.pop(event.run_id, None)
                case UsageEvent() if not isinstance(inner, LLM):
                    ledger.count_call()
                    async for question in ledger.check(own or event.run_id, parent_id):
                        yield question
                    if ledger.stopped is not None:
                        break
                case _:
                    pass
    for run_id, above in reversed(open_runs.items()):
        yield HarnessEndEvent(run_id=run_id, parent_id=above, reason="budget")
