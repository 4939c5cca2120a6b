"""`create_llm`: a provider by its name. A provider's module, and its SDK, is loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from llm_gateway_nb.errors import ConfigurationError, UnknownProviderError
from llm_gateway_nb.providers.base import LLM
from llm_gateway_nb.providers.services import OPENAI_FAMILY

__all__ = ["create_llm", "list_providers", "register_provider"]

Factory = Callable[..., LLM]

_factories: dict[str, Factory | str] = {
    "anthropic": "llm_gateway_nb.providers.anthropic:AnthropicLLM",
    "huggingface": "llm_gateway_nb.providers.huggingface:HuggingFaceLLM",
    "local": "llm_gateway_nb.providers.local:LocalLLM",
    "mlx": "llm_gateway_nb.providers.mlx:MlxLLM",
    "replay": "llm_gateway_nb.providers.replay:ReplayLLM",
    "scripted": "llm_gateway_nb.providers.scripted:ScriptedLLM",
    **dict.fromkeys(OPENAI_FAMILY, "llm_gateway_nb.providers.openai:OpenAICompatibleLLM"),
}

_INSTALL_LOCAL = "pip install 'llm-gateway-nb[local]'"


def create_llm(
    provider: str | None = None,
    model: str | None = None,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    timeout: float | None = None,
    total_timeout: float | None = None,
    max_retries: int = 2,
    **defaults: Any,
) -> LLM:
    """A model of a provider. No I/O happens here; what is wrong with a key or a model shows at the first call.

    Without a provider it is `local`: a small model in this process, no key, no network once its weights are there.

    Args:
        provider: a name of `list_providers()`.
        model: the service's name for it; None takes the provider's default.
        base_url: where the service is.
        api_key: else the service's usual environment variable.
        timeout: seconds without a word from the service before it counts as failed.
        total_timeout: seconds for a whole call, its attempts and the waiting between them included.
        max_retries: how often a passing failure is tried again before the first delta.
        defaults: settings of every call, such as `temperature`.

    Raises:
        ConfigurationError: a missing SDK, key or model name; the message has the line to type.
        UnknownProviderError: no such provider.
    """
    if provider is None:
        if find_spec("xllamacpp") is None:
            raise ConfigurationError(
                "create_llm() without a provider uses the local model, which is not installed: "
                f"{_INSTALL_LOCAL}, or name a provider: {', '.join(list_providers())}."
            )
        provider = "local"
        print(f"create_llm(): no provider named, so the local model answers ({model or 'its default weights'}).")  # noqa: T201  (said to the person at the keyboard, by design)
    factory = _factories.get(provider)
    if factory is None:
        raise UnknownProviderError(provider, known=_factories)
    if isinstance(factory, str):
        module, _, name = factory.partition(":")
        factory = getattr(import_module(module), name)
        if provider in OPENAI_FAMILY:
            factory = partial(factory, service=OPENAI_FAMILY[provider])
        _factories[provider] = factory
    options = {"base_url": base_url, "api_key": api_key, "timeout": timeout}
    given = {key: value for key, value in options.items() if value is not None}
    llm = factory(model, max_retries=max_retries, defaults=defaults, **given)
    return llm if total_timeout is None else llm.with_options(total_timeout=total_timeout)


def list_providers() -> list[str]:
    """The names that `create_llm` knows, sorted."""
    return sorted(_factories)


def register_provider(name: str, factory: Factory) -> None:
    """Make `create_llm(name, …)` call `factory(model, max_retries=…, defaults=…, base_url=…, api_key=…, timeout=…)`;
    of the last three only those that were given are passed."""
    _factories[name] = factory
