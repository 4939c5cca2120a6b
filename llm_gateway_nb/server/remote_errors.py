"""What a server's refusals and a network's failures are called here."""

from __future__ import annotations

from typing import Any

import httpx2

from llm_gateway_nb.errors import (
    AuthenticationError,
    InvalidRequestError,
    ProviderAPIError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
)

__all__ = ["connection_error", "refusal"]

_CLASSES: dict[int, type[ProviderAPIError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
}


def refusal(response: httpx2.Response, url: str) -> ProviderAPIError:
    """The error that a response stands for. Its body has been read."""
    try:
        said: Any = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        said = None
    kind = response.headers.get("content-type", "nothing").partition(";")[0]
    what = said if isinstance(said, str) else f"It answered {response.status_code} with {kind}; is it the right server?"
    cls = _CLASSES.get(response.status_code, ProviderAPIError)
    return cls(f"{url}: {what}", status=response.status_code, provider="remote")


def connection_error(error: Exception, url: str) -> ProviderAPIError:
    """The error that a failed connection stands for."""
    cls = ProviderTimeoutError if isinstance(error, httpx2.TimeoutException) else ProviderConnectionError
    return cls(f"{url} can't be reached: {str(error) or type(error).__name__}", provider="remote")
