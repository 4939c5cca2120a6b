"""`RemoteHarness`: a run on another machine, as if it were here.

It is a harness like any other: the panel, the approvals and the stop button of `run` and `start` work over it. Tools,
shells and the model are on the server; what travels are the messages, the events, and the answers to questions.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator
from functools import cached_property
from typing import Any

from llm_gateway_nb.errors import ConfigurationError

try:
    import httpx2
except ImportError as error:
    raise ConfigurationError("RemoteHarness needs httpx2: pip install 'llm-gateway-nb[server]'.") from error
from pydantic import SecretStr

from llm_gateway_nb._hosts import is_loopback
from llm_gateway_nb.primitives import Passthrough, create_passthrough
from llm_gateway_nb.server.remote_errors import connection_error, refusal
from llm_gateway_nb.server.remote_run import RemoteRun
from llm_gateway_nb.types import GeneratorInvokeParams, HarnessEvent

__all__ = ["RemoteHarness"]

_log = logging.getLogger(__name__)

_AHEAD = 256
"""Events that may wait here for a slow reader; then the server waits."""


class RemoteHarness:
    """A server's harness, from here. Holds settings only; any number of invokes may run at once, from any loop.

    Args:
        url: of the server, `https://host:port`, with the path it is mounted under.
        token: the server's. It goes to this server alone, in a header, and is in no repr, event, error or log.
        connect_seconds: how long connecting, or an answer that is no stream, may take.
        silence_seconds: how long a stream may be silent, keep-alive comments included, before it counts as cut.
        reconnect_seconds: how long to try to come back to a run after a cut; None is as long as the server keeps it.
        ssl_context: whose certificates are trusted; None trusts those whom this machine does. For a server with one of its
            own: `ssl.create_default_context(cafile="its-ca.pem")`.

    Raises:
        ConfigurationError: an address that is none, or has a name and password in it.
    """

    def __init__(
        self,
        url: str,
        token: str | SecretStr | None = None,
        *,
        connect_seconds: float = 10.0,
        silence_seconds: float = 60.0,
        reconnect_seconds: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, TypeError) as error:
            raise ConfigurationError(f"A server's address is like https://host:8000, not {url!r}.") from error
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ConfigurationError(f"A server's address is like https://host:8000, not {url!r}.")
        if parsed.userinfo:
            raise ConfigurationError("A server's address has no name and password in it; pass its token as token=….")
        self.url = str(parsed.copy_with(query=None, fragment=None)).rstrip("/")
        self._token = SecretStr(token) if isinstance(token, str) else token
        self._timeout = httpx2.Timeout(connect_seconds, read=silence_seconds)
        self._connect_seconds = connect_seconds
        self._reconnect_seconds = reconnect_seconds
        self._ssl_context = ssl_context
        if parsed.scheme == "http" and token is not None and not is_loopback(parsed.host):
            _log.warning("The token for %s goes over the network in the clear; serve it over https.", self.url)

    def __repr__(self) -> str:
        return f"RemoteHarness({self.url!r})"

    async def supported_models(self) -> list[str]:
        """The server's.

        Raises:
            ProviderAPIError: it refused, could not be reached, or answered something else.
        """
        try:
            async with self._client() as client:
                response = await client.get("/models", timeout=self._connect_seconds)
        except httpx2.HTTPError as error:
            raise connection_error(error, self.url) from None
        if response.status_code != 200:
            raise refusal(response, self.url)
        try:
            return [str(name) for name in response.json()["models"]]
        except (ValueError, KeyError, TypeError):
            raise refusal(response, self.url) from None

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        """One run on the server. A cut is mended: the events go on where they were, none lost and none twice. Where it
        can't be mended, or the server refuses, there is one `error` event, and a `harness_end` for each run that is open.

        `tools` name tools of the server; they run there. A relay's `respond` is sent on, and tried again until it is there
        or the run is over. Closing the generator, or cancelling whoever reads it, stops the run on the server.

        Raises:
            ConfigurationError: at once, for what can't travel: a `response_model`, a local policy.
        """
        params = GeneratorInvokeParams.of(params, fields)
        if params.response_model is not None:
            raise ConfigurationError(
                "A response_model does not travel to a server; read the text, and validate it here."
            )
        grants = params.env.grants if params.env is not None else None
        if grants is not None and grants.policy is not None:
            raise ConfigurationError(
                "A policy does not travel to a server; it is set there, by create_app(…, policy=…)."
            )
        return self._events(params)

    async def _events(self, params: GeneratorInvokeParams) -> AsyncGenerator[HarnessEvent, None]:
        stream: Passthrough[HarnessEvent] = create_passthrough(maxsize=_AHEAD)
        run = RemoteRun(self._client, self.url, params, stream, reconnect_seconds=self._reconnect_seconds)
        owner = asyncio.create_task(run.run(), name="llm_gateway_nb remote run")
        owner.add_done_callback(lambda _: stream.end())
        try:
            async for event in stream.iterable:
                yield event
            await owner
        finally:
            owner.cancel()
            await asyncio.wait([owner])

    def _client(self) -> httpx2.AsyncClient:
        headers = {} if self._token is None else {"authorization": f"Bearer {self._token.get_secret_value()}"}
        by_proxy = not is_loopback(httpx2.URL(self.url).host)  # no proxy reaches this machine's own addresses
        return httpx2.AsyncClient(
            base_url=self.url, headers=headers, timeout=self._timeout, verify=self._verify, trust_env=by_proxy
        )

    @cached_property
    def _verify(self) -> ssl.SSLContext | bool:
        """Made once, for it takes 50 ms and each invoke has a client of its own; and not at all for http."""
        if not self.url.startswith("https:"):
            return False
        return self._ssl_context if self._ssl_context is not None else httpx2.create_ssl_context()
