"""The OpenAI SDK's failures as ours: by status where there is one, else by what broke."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import openai

from llm_gateway_nb.errors import (
    AuthenticationError,
    GatewayError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderAPIError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
)
from llm_gateway_nb.providers.base import without_secrets

if TYPE_CHECKING:
    from llm_gateway_nb.providers.openai import OpenAICompatibleLLM

__all__ = ["as_gateway_error"]

_BY_STATUS: dict[int, type[ProviderAPIError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: ModelNotFoundError,
    408: ProviderTimeoutError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
}


def as_gateway_error(error: Exception, llm: OpenAICompatibleLLM, *, model: str | None = None) -> GatewayError:
    """The one of our exceptions that says what happened and what to do; keys are taken out of its text."""
    if isinstance(error, GatewayError):
        return error
    who = f"{llm.provider} ({llm.base_url})"
    about: dict[str, Any] = {"provider": llm.provider, "model": model}
    said = without_secrets(_message(error), llm._api_key)
    if isinstance(error, openai.APIStatusError) and error.status_code >= 400:
        cls = _BY_STATUS.get(error.status_code, ProviderAPIError)
        hint = {
            AuthenticationError: f" Set {llm.api_key_variable}, or pass api_key=.",
            ModelNotFoundError: f" Is {model!r} the model's name, and does base_url end with /v1?",
        }.get(cls, "")
        return cls(
            f"{who} answered {error.status_code}: {said}.{hint}",
            status=error.status_code,
            retry_after=_retry_after(error),
            **about,
        )
    refused = _refused(error)
    if refused is not None:  # also where the transport calls a refusal a time-out
        cause = without_secrets(str(refused), llm._api_key)
        return ProviderConnectionError(f"{who} can't be reached: {cause}. Is the server running there?", **about)
    if isinstance(error, openai.APITimeoutError) or "timeout" in type(error).__name__.lower():
        return ProviderTimeoutError(f"{who} did not answer in time: {said}.", **about)
    if isinstance(error, openai.APIConnectionError):
        cause = without_secrets(str(error.__cause__ or error), llm._api_key)
        return ProviderConnectionError(f"{who} broke off: {cause}.", **about)
    if isinstance(error, openai.APIError):
        return ProviderAPIError(f"{who} failed in the middle of its answer: {said}.", **about)
    module = type(error).__module__.partition(".")[0]
    if module in {"httpx", "httpx2", "httpcore", "aiohttp", "anyio", "ssl", "socket"} or isinstance(error, OSError):
        return ProviderConnectionError(f"{who} broke off: {said or type(error).__name__}.", **about)
    return ProviderAPIError(f"{who} sent what is no answer ({type(error).__name__}: {said}).", **about)


def _refused(error: BaseException | None) -> OSError | None:
    """The failed attempt to connect that is behind an error, if one is."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError | socket.gaierror) or "Connector" in type(error).__name__:
            return error if isinstance(error, OSError) else None
        error = error.__cause__ or error.__context__
    return None


def _message(error: Exception) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"]).rstrip(".")
    return str(error).partition("\n")[0][:500].rstrip(".")


def _retry_after(error: openai.APIStatusError) -> float | None:
    try:
        return float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
