"""A served harness, and a client that sees the wire itself: statuses, headers, frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from llm_gateway_nb import create_agent_harness, tool
from llm_gateway_nb.server import create_app, serve
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.types import ToolContext, UserMessage

TOKEN = "t0ken-of-the-tests"
GO: dict[str, Any] = {"messages": [{"role": "user", "content": "go"}]}
HELLO = [UserMessage(content="go")]


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


class Held:
    """A tool that runs until it is let go, and knows how it ended."""

    def __init__(self) -> None:
        self.started, self.release, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

        @tool
        async def hold(ctx: ToolContext) -> str:
            """Hold."""
            self.started.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return "held"

        self.tool = hold


def agent(*turns: Any) -> Any:
    return create_agent_harness(ScriptedLLM(list(turns) or [call("add", a=1, b=2), "It is 3."]))


@asynccontextmanager
async def gateway(harness: Any = None, **options: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with the right token, of a served app."""
    options = {"tools": [add], "token": TOKEN, **options}
    app = create_app(harness if harness is not None else agent(), **options)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with serve(app) as server:
        async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
            client.app = app  # type: ignore[attr-defined]
            yield client


@asynccontextmanager
async def frames(client: httpx2.AsyncClient, **request: Any) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The events of a stream, as dicts with their `id` under `#`."""
    if "url" not in request:
        request = {"method": "POST", "url": "/chat", "json": GO, **request}
    async with client.sse(**request) as source:
        assert source.response.status_code == 200, await source.response.aread()

        async def each() -> AsyncIterator[dict[str, Any]]:
            async for message in source:
                data = json.loads(message.data)
                assert data["type"] == message.event
                yield {**data, "#": message.id}

        yield each()
