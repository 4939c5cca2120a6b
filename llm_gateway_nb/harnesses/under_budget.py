"""What a harness that keeps its budgets itself does about them, between its steps and while something runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager

from llm_gateway_nb.types import BudgetRelayEvent, HarnessEvent, InvokeEnv

__all__ = ["budget_questions", "count_call", "stopped_by", "watched", "withdraw_questions"]


async def budget_questions(
    env: InvokeEnv, run_id: str, *, asker: str | None = None
) -> AsyncGenerator[HarnessEvent, None]:
    """Whether to go on, where a budget is used up; waits for the answers, after which `stopped_by` says.

    Args:
        asker: who asks, where several of one run may at once; each has an id of its own then.
    """
    for budget in env.budgets:
        async for question in budget.check(run_id, env.parent_id, asker=asker or run_id):
            yield question


def stopped_by(env: InvokeEnv) -> str | None:
    """Why nothing may go on, as a sentence; None while it may."""
    return next((budget.stopped for budget in env.budgets if budget.stopped is not None), None)


def count_call(env: InvokeEnv) -> None:
    """A model is about to be called."""
    for budget in env.budgets:
        budget.count_call()


@contextmanager
def watched(
    env: InvokeEnv, ask: Callable[[BudgetRelayEvent], bool], stop: Callable[[str], None], *, run_id: str
) -> Iterator[None]:
    """While something runs: `ask` puts a question when the time is up, `stop(why)` ends what runs."""
    with ExitStack() as watching:
        for budget in env.budgets:
            watching.enter_context(budget.watching(ask, stop, run_id=run_id, parent_id=env.parent_id))
        yield


def withdraw_questions(env: InvokeEnv, run_id: str) -> None:
    """The run is over, and with it what it asked."""
    for budget in env.budgets:
        budget.withdraw(run_id)
