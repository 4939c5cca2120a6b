"""The services that are reached over HTTP, one row each."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from llm_gateway_nb.errors import ConfigurationError

__all__ = ["ANTHROPIC", "OPENAI_FAMILY", "Service"]

_NOT_IN_OPENAI_SCHEMAS = ("minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties")
_NOT_IN_ANTHROPIC_SCHEMAS = (
    *_NOT_IN_OPENAI_SCHEMAS,
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "pattern"),
)


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is, what it wants, and where it differs from the others.

    Attributes:
        base_url: where it is unless told otherwise; None: it has to be told.
        base_url_variables: environment variables with its address, the first that is set.
        key_variable: the environment variable with its key.
        model: what is asked for when nobody names a model; None: one has to be named.
        path: what an address without a path means.
        port: what an address without a port means, for a program that people name by its host alone.
        reasoning_keys: where in a delta its reasoning is.
        max_tokens_key: how it calls the limit of the answer.
        not_in_schemas: keywords of JSON Schema that it refuses in `response_model`.
    """

    name: str
    base_url: str | None
    base_url_variables: tuple[str, ...]
    key_variable: str
    needs_key: bool = False
    model: str | None = None
    path: str = ""
    port: int | None = None
    reasoning_keys: tuple[str, ...] = ("reasoning_content", "reasoning")
    max_tokens_key: str = "max_tokens"
    not_in_schemas: Collection[str] = _NOT_IN_OPENAI_SCHEMAS

    def address(self, given: str | None) -> str:
        """The service's address: what was given, else the environment's, else the usual one.

        Raises:
            ConfigurationError: there is none, or it is no web address.
        """
        variable = next((name for name in self.base_url_variables if os.environ.get(name)), None)
        address = given or (os.environ[variable] if variable else self.base_url)
        if not address:
            raise ConfigurationError(
                f"{self.name}: say where the service is: create_llm({self.name!r}, base_url="
                f"'http://localhost:8000/v1'), or set {self.base_url_variables[0]}."
            )
        if self.port and "://" not in address:
            address = f"http://{address}"
        try:
            if "@" in urlsplit(address if "://" in address else f"//{address}").netloc:
                raise ConfigurationError(  # it would be in every error and log
                    f"{self.name}: an address has no name and password in it; pass a key as api_key=…."
                )
            if not address.startswith(("http://", "https://")):
                raise ValueError("it begins with http:// or https:// and often ends with /v1")
            return self._completed(address)
        except ValueError as error:
            told = "base_url" if given else variable
            raise ConfigurationError(f"{self.name}: {told}={address!r} is no web address: {error}.") from None

    def _completed(self, address: str) -> str:
        parts = urlsplit(address)
        if self.port and parts.hostname:
            host = "localhost" if parts.hostname == "0.0.0.0" else parts.hostname
            host = f"[{host}]" if ":" in host else host
            port = parts.port or (None if parts.scheme == "https" else self.port)
            parts = parts._replace(netloc=f"{host}:{port}" if port else host)
        if self.path and parts.path in ("", "/"):
            parts = parts._replace(path=self.path)
        return urlunsplit(parts).rstrip("/")

    def key(self, given: str | None) -> str | None:
        """The key; None where there is none. "EMPTY", as vLLM's manual writes it, means none.

        Raises:
            ConfigurationError: the service wants one.
        """
        key = given if given is not None else os.environ.get(self.key_variable)
        if key and key != "EMPTY":
            return key
        if self.needs_key:
            raise ConfigurationError(
                f"{self.name}: there is no key: set {self.key_variable}, or pass create_llm({self.name!r}, api_key=…)."
            )
        return None


_FAMILY = (
    Service(
        name="openai",
        base_url="https://api.openai.com/v1",
        base_url_variables=("OPENAI_BASE_URL",),
        key_variable="OPENAI_API_KEY",
        needs_key=True,
        model="gpt-5-nano",
        max_tokens_key="max_completion_tokens",  # its reasoning models refuse the older name
    ),
    Service(
        name="openai-compatible",
        base_url=None,
        base_url_variables=("OPENAI_COMPATIBLE_BASE_URL",),
        key_variable="OPENAI_COMPATIBLE_API_KEY",
        model="default",
    ),
    Service(
        name="ollama",
        base_url="http://localhost:11434/v1",
        base_url_variables=("OLLAMA_BASE_URL", "OLLAMA_HOST"),
        key_variable="OLLAMA_API_KEY",
        model="qwen3:4b-instruct-2507-q4_K_M",
        path="/v1",
        port=11434,
        reasoning_keys=("reasoning", "reasoning_content"),
    ),
    Service(
        name="lmstudio",
        base_url="http://localhost:1234/v1",
        base_url_variables=("LMSTUDIO_BASE_URL",),
        key_variable="LMSTUDIO_API_KEY",
        model="qwen/qwen3-4b-2507",
        path="/v1",
    ),
    Service(
        name="openrouter",
        base_url="https://openrouter.ai/api/v1",
        base_url_variables=("OPENROUTER_BASE_URL",),
        key_variable="OPENROUTER_API_KEY",
        needs_key=True,
        model="openai/gpt-4o-mini",
        reasoning_keys=("reasoning", "reasoning_content"),
    ),
    Service(
        name="vllm",  # serves the one model that it was started with, which only its user knows
        base_url="http://localhost:8000/v1",
        base_url_variables=("VLLM_BASE_URL",),
        key_variable="VLLM_API_KEY",
        path="/v1",
    ),
    Service(
        name="zen",  # OpenCode's gateway: https://opencode.ai/docs/zen; its models change, so there is no usual one
        base_url="https://opencode.ai/zen/v1",
        base_url_variables=("OPENCODE_BASE_URL",),
        key_variable="OPENCODE_API_KEY",
        needs_key=True,
    ),
)

OPENAI_FAMILY = {service.name: service for service in _FAMILY}
"""The services that speak OpenAI's chat completions."""

ANTHROPIC = Service(
    name="anthropic",
    base_url="https://api.anthropic.com",
    base_url_variables=("ANTHROPIC_BASE_URL",),
    key_variable="ANTHROPIC_API_KEY",
    needs_key=True,
    model="claude-haiku-4-5",
    not_in_schemas=_NOT_IN_ANTHROPIC_SCHEMAS,
)
