"""Who may come in: the bearer of the token, or, where there is none, this machine alone.

It stands in front of everything, so that nobody who is refused makes the server read a body. Without a token the pages of
the user's own browser have to be kept out too: any page may send a request to a loopback address, under any name that
resolves to it.
"""

from __future__ import annotations

import secrets
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_gateway_nb._hosts import is_loopback
from llm_gateway_nb.errors import ConfigurationError

__all__ = ["Gate", "check_token"]


def check_token(token: str | SecretStr | None, *, loopback: bool) -> SecretStr | None:
    """
    Raises:
        ConfigurationError: no token and no word of loopback, or a token that no header can carry.
    """
    if token is None:
        if loopback:
            return None
        raise ConfigurationError(
            "A server needs a token: create_app(…, token=secrets.token_urlsafe()); or say loopback=True where it is to "
            "answer this machine alone."
        )
    text = token.get_secret_value() if isinstance(token, SecretStr) else token
    if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(
            "A token is a text of printable ASCII without spaces; secrets.token_urlsafe() gives one."
        )
    return SecretStr(text)


class Gate:
    """ASGI middleware: 401 for a missing or wrong token, 403 for who is not of this machine where there is no token."""

    def __init__(self, app: ASGIApp, token: SecretStr | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self._token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            right = self._token.get_secret_value().encode()
            if scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), right):
                return None
            what = "The token is not the server's." if given else "Send the server's token: Authorization: Bearer …."
            return JSONResponse({"error": what}, 401, headers={"www-authenticate": "Bearer"})
        client, host = scope.get("client"), _split(f"//{headers.get('host', '')}").hostname
        if client is None or not is_loopback(client[0]):
            return JSONResponse({"error": "This server has no token and answers its own machine alone."}, 403)
        if not is_loopback(host):
            return JSONResponse(
                {"error": "Without a token the server is asked by a loopback address or localhost."}, 403
            )
        origin = headers.get("origin")
        if origin is not None and _split(origin).netloc != headers.get("host"):
            return JSONResponse({"error": "Without a token no other page may ask this server."}, 403)
        return None


def _split(address: str) -> SplitResult:
    """The parts of an address; of one that has none, none."""
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", "", "", "")
