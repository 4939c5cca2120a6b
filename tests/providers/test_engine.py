"""The thread of a model in this process: what is left of a call that was given up while the model was being loaded."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.waiting import until

from llm_gateway_nb.providers.base import TextDelta
from llm_gateway_nb.providers.engine import EngineOptions, Turn, acquire, loaded_models, release


@dataclass(frozen=True, eq=False)
class Slow(EngineOptions):
    """A model that is loaded when it is let."""

    may_load: threading.Event = field(default_factory=threading.Event)
    loading: threading.Event = field(default_factory=threading.Event)
    freed_models: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "slow"

    def load(self) -> Any:
        self.loading.set()
        assert self.may_load.wait(60)
        return "the model"

    def freed(self) -> None:
        self.freed_models.append("slow")


def say(runtime: Any, turn: Turn) -> None:
    turn.tell(TextDelta(runtime))


async def read(options: Slow) -> list[Any]:
    engine = acquire(options)
    try:
        return [piece async for piece in engine.stream(say)]
    finally:
        release(engine)


async def given_up(options: Slow) -> None:
    call = asyncio.create_task(read(options))
    await until(options.loading.is_set)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call  # at once, whatever the load does


async def test_a_load_that_nobody_waits_for_any_more_is_freed_when_it_is_done_and_its_thread_ends() -> None:
    options = Slow()
    await given_up(options)
    options.may_load.set()
    await until(lambda: all(thread.name != "local-model-slow" for thread in threading.enumerate()))
    assert options.freed_models == ["slow"]
    assert "slow" not in loaded_models()


async def test_a_load_that_one_gave_up_serves_another_who_waits_for_it() -> None:
    options = Slow()
    engine = acquire(options)
    await given_up(options)
    other = asyncio.create_task(read(options))
    options.may_load.set()
    assert (await other)[-1] == TextDelta("the model")
    assert not options.freed_models
    release(engine)
    await until(lambda: options.freed_models)
