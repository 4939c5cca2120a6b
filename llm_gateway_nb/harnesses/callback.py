"""The callback form of a harness, `invoke(InvokeParams(emit=…))`, and the generator form: each made of the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from llm_gateway_nb.harnesses.stream import as_generator
from llm_gateway_nb.primitives import Passthrough, create_passthrough
from llm_gateway_nb.types import (
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEvent,
    HarnessModule,
    InvokeContext,
    InvokeEnv,
    InvokeParams,
)

__all__ = ["as_callback_harness", "as_generator_harness"]


def as_callback_harness(harness: GeneratorHarnessModule) -> HarnessModule:
    """`harness` in callback form: `await module.invoke(InvokeParams(messages=…, emit=show))` is over when the run is.

    `emit` is called in the loop, in order. If it raises, the run is stopped and the exception is the caller's.
    """
    return _Callback(harness)


def as_generator_harness(module: HarnessModule) -> GeneratorHarnessModule:
    """A harness in callback form as one in generator form, for everything here that takes a harness.

    The callback form knows no tree: the module gets `permissions` as they were given, and no way to spawn.
    """
    return _Generator(module)


class _Callback:
    def __init__(self, harness: GeneratorHarnessModule) -> None:
        self._harness = harness

    async def invoke(self, params: InvokeParams, /) -> None:
        given = GeneratorInvokeParams(
            model=params.model,
            messages=params.messages,
            tools=params.tools,
            permissions=params.permissions,
            env=InvokeEnv(parent_id=params.context.parent_id) if params.context is not None else None,
        )
        async with aclosing(as_generator(self._harness.invoke(given))) as events:
            async for event in events:
                params.emit(event)

    async def supported_models(self) -> list[str]:
        return await self._harness.supported_models()

    def __repr__(self) -> str:
        return f"as_callback_harness({self._harness!r})"


class _Generator:
    def __init__(self, module: HarnessModule) -> None:
        self._module = module

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        return self._events(GeneratorInvokeParams.of(params, fields))

    async def _events(self, params: GeneratorInvokeParams) -> AsyncGenerator[HarnessEvent, None]:
        stream: Passthrough[HarnessEvent] = create_passthrough()  # without a bound: `emit` can't wait
        given = InvokeParams(
            model=params.model,
            messages=params.messages,
            tools=params.tools,
            emit=stream.push,
            context=InvokeContext(parent_id=params.env.parent_id) if params.env and params.env.parent_id else None,
            permissions=params.permissions,
        )
        owner = asyncio.create_task(self._module.invoke(given))
        owner.add_done_callback(lambda _: stream.end())
        try:
            async for event in stream.iterable:
                yield event
            await owner
        finally:
            owner.cancel()
            await asyncio.wait([owner])

    async def supported_models(self) -> list[str]:
        return await self._module.supported_models()

    def __repr__(self) -> str:
        return f"as_generator_harness({self._module!r})"
