"""Harnesses around harnesses. A wrapper of an `LLM` is an `LLM`: it keeps `agenerate`, streaming and `generate`."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable
from typing import Any, Self

from llm_gateway_nb.providers.base import LLM, ModelRequest, Piece
from llm_gateway_nb.types import GeneratorHarnessModule, GeneratorInvokeParams, HarnessEvent

__all__ = ["Around", "wrap"]

Around = Callable[[GeneratorHarnessModule, GeneratorInvokeParams], AsyncGenerator[HarnessEvent, None]]
"""What a wrapper does with one invoke of the harness inside."""


def wrap(harness: GeneratorHarnessModule, around: Around) -> Any:
    """`harness` with `around` in place of its `invoke`; what else it has is asked of it."""
    return _WrappedLLM(harness, around) if isinstance(harness, LLM) else _Wrapped(harness, around)


class _Wrapped:
    def __init__(self, inner: GeneratorHarnessModule, around: Around) -> None:
        self._inner = inner
        self._around = around

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        return self._around(self._inner, GeneratorInvokeParams.of(params, fields))

    async def supported_models(self) -> list[str]:
        return await self._inner.supported_models()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __repr__(self) -> str:
        return f"<{self._inner!r}, wrapped>"


class _WrappedLLM(LLM):
    def __init__(self, inner: LLM, around: Around) -> None:  # not ours to set up: `inner` is
        self._inner = inner
        self._around = around
        self.provider, self.model = inner.provider, inner.model
        self.native_schema = inner.native_schema

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        return self._around(self._inner, GeneratorInvokeParams.of(params, fields))

    def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        return self._inner._pieces(request)

    async def supported_models(self) -> list[str]:
        return await self._inner.supported_models()

    def with_options(self, **options: Any) -> Self:
        other = copy.copy(self)
        other._inner = self._inner.with_options(**options)
        other.model = other._inner.model
        return other

    def unload_model(self, model: str | None = None) -> None:
        self._inner.unload_model(model)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __repr__(self) -> str:
        return f"<{self._inner!r}, wrapped>"
