"""The SDKs' failures as ours: by status where there is one, else by what broke.

The SDKs of OpenAI and Anthropic are made by one generator, so their exceptions have the same names; what escapes them raw
comes from httpx, httpx2 or aiohttp, by version. Classes are therefore told by name, and no SDK is imported.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

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
from llm_gateway_nb.providers.retry import without_secrets

__all__ = ["Asked", "as_gateway_error", "tells_secret"]

_BY_STATUS: dict[int, type[ProviderAPIError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: ModelNotFoundError,
    408: ProviderTimeoutError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
    504: ProviderTimeoutError,
}

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What an error inside a stream, whose status is 200, would have had as its status."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a failed call asked, and for what."""

    provider: str
    base_url: str
    api_key: str | None
    key_variable: str | None
    model: str | None = None


def as_gateway_error(error: Exception, asked: Asked) -> GatewayError:
    """The one of our exceptions that says what happened and what to do; keys are taken out of its text."""
    if isinstance(error, GatewayError):
        return error
    who = f"{asked.provider} ({asked.base_url})"
    about: dict[str, Any] = {"provider": asked.provider, "model": asked.model}
    names = {cls.__name__ for cls in type(error).__mro__}
    said = without_secrets(_message(error), asked.api_key) or type(error).__name__
    if (status := _status(error, names)) is not None:
        cls = _BY_STATUS.get(status, ProviderAPIError)
        hint = ""
        if cls is AuthenticationError and asked.key_variable:
            hint = f" Set {asked.key_variable}, or pass api_key=."
        return cls(f"{who} answered {status}: {said}.{hint}", status=status, retry_after=_retry_after(error), **about)
    if (refused := _refused(error)) is not None:  # also where the transport calls a refusal a time-out
        cause = without_secrets(str(refused), asked.api_key)
        return ProviderConnectionError(f"{who} can't be reached: {cause}. Is the server running there?", **about)
    if (broken := _in_chain(error, ConnectionError)) is not None:  # and a break, such as of a connection kept too long
        cause = without_secrets(str(broken), asked.api_key) or type(broken).__name__
        unsent = "closing transport" in cause  # the service closed a connection that we kept: no reason to wait
        return ProviderConnectionError(f"{who} broke off: {cause}.", retry_after=0.0 if unsent else None, **about)
    if any("timeout" in name.lower() for name in names):
        return ProviderTimeoutError(f"{who} did not answer in time: {said}.", **about)
    module = type(error).__module__.partition(".")[0]
    if "APIConnectionError" in names or isinstance(error, OSError) or module in _TRANSPORTS:
        cause = without_secrets(str(error.__cause__ or ""), asked.api_key) or said
        return ProviderConnectionError(f"{who} broke off: {cause}.", **about)
    if "APIError" in names:
        return ProviderAPIError(f"{who} failed in the middle of its answer: {said}.", **about)
    return ProviderAPIError(f"{who} sent what is no answer ({type(error).__name__}: {said}).", **about)


_TRANSPORTS = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "anyio", "ssl", "socket"})


def tells_secret(error: BaseException, secret: str | None) -> bool:
    """Whether a traceback that ends in `error` would show a key."""
    return any(without_secrets(str(each), secret) != str(each) for each in _chain(error))


def _status(error: Exception, names: set[str]) -> int | None:
    """The status of an answer that was refused, or what an error inside of a good one stands for."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status >= 400:
        return status
    if not names & {"APIError", "APIStatusError"}:
        return None
    details = _details(error)
    code = details.get("code")
    if isinstance(code, int | str) and str(code).isdigit() and 400 <= int(code) < 600:
        return int(code)
    return _STATUS_OF_TYPE.get(str(details.get("type")))


def _details(error: Exception) -> Mapping[str, Any]:
    """`{"message": …, "type": …}`, wherever in the body it is."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _message(error: Exception) -> str:
    message = _details(error).get("message")
    return (message if isinstance(message, str) else str(error).partition("\n")[0])[:500].rstrip(". ")


def _refused(error: BaseException) -> OSError | None:
    """The failed attempt to connect that is behind an error, if one is."""
    for each in _chain(error):
        if isinstance(each, ConnectionRefusedError | socket.gaierror) or "Connector" in type(each).__name__:
            return each if isinstance(each, OSError) else None
    return None


def _in_chain(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    return next((each for each in _chain(error) if isinstance(each, kind)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what is behind it. A chain may be a ring: `raise error from error` makes one."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _retry_after(error: Exception) -> float | None:
    """Seconds, however the service tells them."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(float(headers.get(name, "")) * unit, 0.0)
        except ValueError:
            pass  # absent, or a date
    try:
        when = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)
