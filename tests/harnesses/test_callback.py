"""The callback form and the generator form, each made of the other."""

from __future__ import annotations

import asyncio

import pytest

from llm_gateway_nb.harnesses import as_callback_harness, as_generator_harness, create_agent_harness
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import tool
from llm_gateway_nb.types import (
    HarnessEvent,
    HarnessModule,
    InvokeContext,
    InvokeEnv,
    InvokeParams,
    Permissions,
    RelayEvent,
    TextEvent,
    UserMessage,
)

GO = [UserMessage(content="go")]


@tool
def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


async def test_the_callback_form_emits_what_the_generator_yields() -> None:
    seen: list[HarnessEvent] = []

    def emit(event: HarnessEvent) -> None:
        seen.append(event)
        if isinstance(event, RelayEvent):
            event.respond({"approved": True})

    module = as_callback_harness(create_agent_harness(ScriptedLLM([call("add", a=1), "It is 3."])))
    assert isinstance(module, HarnessModule)
    await module.invoke(InvokeParams(messages=GO, tools=[add], emit=emit, context=InvokeContext(parent_id="P")))
    assert [event.type for event in seen if event.type not in {"text", "usage"}] == [
        "harness_start",
        "relay",
        "tool_call",
        "tool_result",
        "harness_end",
    ]
    assert seen[0].parent_id == "P"
    assert await module.supported_models() == ["scripted"]


async def test_an_emit_that_raises_stops_the_run_and_is_the_callers() -> None:
    before = asyncio.all_tasks()

    def emit(event: HarnessEvent) -> None:
        raise ZeroDivisionError

    module = as_callback_harness(create_agent_harness(ScriptedLLM(["x"])))
    with pytest.raises(ZeroDivisionError):
        await module.invoke(InvokeParams(messages=GO, emit=emit))
    assert asyncio.all_tasks() == before


async def test_there_and_back_it_is_the_same_run() -> None:
    harness = as_generator_harness(as_callback_harness(create_agent_harness(ScriptedLLM([call("add", a=1), "3"]))))
    events = [
        event
        async for event in harness.invoke(
            messages=GO, tools=[add], permissions=Permissions(allowlist=["add"]), env=InvokeEnv(parent_id="P")
        )
    ]
    assert [event.content for event in events if isinstance(event, TextEvent)] == ["3"]
    assert events[0].parent_id == "P"
    assert (await harness.supported_models()) == ["scripted"]


async def test_leaving_a_callback_module_cancels_it() -> None:
    gone = asyncio.Event()

    class Module:
        async def invoke(self, params: InvokeParams) -> None:
            params.emit(TextEvent(run_id="r", id="t", content="x"))
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                gone.set()

        async def supported_models(self) -> list[str]:
            return []

    events = as_generator_harness(Module()).invoke(messages=GO)
    await anext(events)
    await events.aclose()
    assert gone.is_set()


async def test_a_callback_module_that_raises_raises_after_what_it_emitted() -> None:
    class Module:
        async def invoke(self, params: InvokeParams) -> None:
            params.emit(TextEvent(run_id="r", id="t", content="x"))
            raise OSError("gone")

        async def supported_models(self) -> list[str]:
            return []

    seen = []
    with pytest.raises(OSError, match="gone"):
        async for event in as_generator_harness(Module()).invoke(messages=GO):
            seen.append(event)
    assert len(seen) == 1
