"""`serve`: an app on a port of its own, in a notebook's loop or a test's, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from llm_gateway_nb.errors import ConfigurationError

try:
    import uvicorn
except ImportError as error:
    raise ConfigurationError("Serving needs uvicorn: pip install 'llm-gateway-nb[server]'.") from error

from llm_gateway_nb._hosts import is_loopback

__all__ = ["Served", "serve"]


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the stop button of a notebook is not for us

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class Served:
    """An app that is served in the running loop: see `serve`.

    Attributes:
        url: where, once it is; with the port that was free.
    """

    def __init__(self, app: Any, host: str, port: int, certificate: tuple[Any, Any] | None = None) -> None:
        self._app = app
        self._address = host, port
        self._certificate = certificate
        self._task: asyncio.Task[None] | None = None
        self._server: _Server | None = None
        self.url = ""

    async def _start(self) -> Served:
        host, _ = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server(self._address, family=family)
        port = listening.getsockname()[1]
        self.url = f"http{'s' if self._certificate else ''}://{f'[{host}]' if ':' in host else host}:{port}"
        certificate, key = self._certificate or (None, None)
        self._server = _Server(
            uvicorn.Config(
                self._app,
                log_level="warning",
                timeout_graceful_shutdown=5,
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name="llm_gateway_nb server")
        ready = asyncio.create_task(self._server.ready.wait())
        try:
            await asyncio.wait([self._task, ready], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        finally:
            ready.cancel()
        return self

    async def aclose(self) -> None:
        """Stop: runs are stopped, streams finish, connections are closed, and nothing is left in the loop."""
        task, server, self._task = self._task, self._server, None
        if task is not None and server is not None:
            self._app.state.sessions.stop()
            server.should_exit = True
            await asyncio.wait([task])

    def __await__(self) -> Generator[Any, None, Served]:
        return self._start().__await__()

    async def __aenter__(self) -> Served:
        return await self._start()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Served({self.url!r})" if self._task is not None else "Served(stopped)"


def serve(
    app: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_certfile: str | os.PathLike[str] | None = None,
    ssl_keyfile: str | os.PathLike[str] | None = None,
) -> Served:
    """Serve the app of `create_app` in the running loop: `server = await serve(app)`, and `await server.aclose()` at the
    end; or `async with serve(app) as server:`. For a server of its own, `uvicorn module:app` does as well.

    Args:
        port: 0 takes a free one; `server.url` has it.
        ssl_certfile, ssl_keyfile: PEM files, for https; the key may stand in the first. Without them the token goes over
            the network in the clear: fine on this machine, or behind a proxy that speaks https.

    Raises:
        ConfigurationError: an app without a token on an address that others reach.
        OSError: when it is started: the address is taken, or a file can't be read.
    """
    if app.state.needs_loopback and not is_loopback(host):
        raise ConfigurationError(f"An app without a token listens on loopback alone, not on {host!r}; give it a token.")
    certificate = None if ssl_certfile is None else (ssl_certfile, ssl_keyfile)
    return Served(app, host, port, certificate)
