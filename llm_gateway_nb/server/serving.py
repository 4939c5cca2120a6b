"""`serve`: an app on a port of its own, in a notebook's loop or a test's, until a block ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from llm_gateway_nb.errors import ConfigurationError

try:
    import uvicorn
except ImportError as error:
    raise ConfigurationError("Serving needs uvicorn: pip install 'llm-gateway-nb[server]'.") from error

from llm_gateway_nb.server.gate import is_loopback

__all__ = ["serve"]


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


@asynccontextmanager
async def serve(app: Any, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """The app of `create_app`, served in the running loop; gives its URL: `async with serve(app) as url:`.

    When the block ends, runs are stopped, streams finish, connections are closed, and nothing is left in the loop. For a
    server of its own, `uvicorn module:app` does as well.

    Args:
        port: 0 takes a free one.

    Raises:
        ConfigurationError: an app without a token on an address that others reach.
        OSError: the address is taken.
    """
    if app.state.needs_loopback and not is_loopback(host):
        raise ConfigurationError(f"An app without a token listens on loopback alone, not on {host!r}; give it a token.")
    listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    port = listening.getsockname()[1]
    server = _Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    task = asyncio.create_task(server.serve(sockets=[listening]), name="llm_gateway_nb server")
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        ready.cancel()
        app.state.sessions.stop()
        server.should_exit = True
        await asyncio.wait([task])
        listening.close()
