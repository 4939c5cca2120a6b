"""A loopback server that speaks OpenAI's chat completions, badly when told to. What it answers is a list of replies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OpenAIServer:
    """`requests` are the bodies that came; `open` counts the streams that are being written."""

    def __init__(self, replies: list[Reply]) -> None:
        self._replies = replies
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.base_url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return await reply(request)

    async def models(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"object": "list", "data": [{"id": "b", "object": "model"}, {"id": "a", "object": "model"}]}
        )


@asynccontextmanager
async def openai_server(*replies: Reply) -> AsyncIterator[OpenAIServer]:
    server = OpenAIServer(list(replies))
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle)
    app.router.add_get("/v1/models", server.models)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


USAGE = chunk(
    None,
    usage={
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
)


def stream(*chunks: dict[str, Any] | str, done: bool = True, cut: bool = False) -> Reply:
    """An event stream of these chunks; a text goes out as it is. `cut` breaks the connection at the end."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in chunks:
            data = part if isinstance(part, str) else f"data: {json.dumps(part)}\n\n"
            await response.write(data.encode())
        if cut:
            assert request.transport is not None
            request.transport.abort()
        elif done:
            await response.write(b"data: [DONE]\n\n")
        return response

    return reply


def text(content: str) -> Reply:
    return stream(chunk({"role": "assistant", "content": content}), chunk({}, finish="stop"), USAGE)


def status(code: int, message: str = "no", **headers: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": message}}, status=code, headers=headers)

    return reply


def body(content: str, content_type: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=content, content_type=content_type)

    return reply


def held(began: Any, gone: Any, *first: dict[str, Any]) -> Reply:
    """Sends `first`, sets `began`, then waits until the client has gone, and sets `gone`."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in first:
            await response.write(f"data: {json.dumps(part)}\n\n".encode())
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            gone.set()
        return response

    return reply
