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


def wrap(harness: GeneratorHarnessModule, around: Around, name: str, **options: Any) -> Any:
    """`harness` with `around` in place of its `invoke`; what else it has is asked of it.

    `name` and `options` are what a person typed: `with_budget`, `usd=1`. Options that are None are left out.
    """
    said = ", ".join(f"{option}={value!r}" for option, value in options.items() if value is not None)
    kind = _WrappedLLM if isinstance(harness, LLM) else _Wrapped
    return kind(harness, around, (name, said))  # type: ignore[arg-type]  # an LLM, where one is wanted


def _repr(wrapper: tuple[str, str], inner: object) -> str:
    name, said = wrapper
    return f"{name}({inner!r}{f', {said}' if said else ''})"


class _Wrapped:
    def __init__(self, inner: GeneratorHarnessModule, around: Around, wrapper: tuple[str, str]) -> None:
        self._inner = inner
        self._around = around
        self._wrapper = wrapper

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
        return _repr(self._wrapper, self._inner)


class _WrappedLLM(LLM):
    def __init__(self, inner: LLM, around: Around, wrapper: tuple[str, str]) -> None:  # not ours to set up: `inner` is
        self._inner = inner
        self._around = around
        self._wrapper = wrapper
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
        return _repr(self._wrapper, self._inner)
