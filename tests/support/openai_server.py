"""A loopback server that speaks OpenAI's chat completions, badly when told to. What it answers is a list of replies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LoopbackServer:
    """`requests` are the bodies that came, `keys` and `headers` what came with them."""

    key_header = "Authorization"

    def __init__(self, replies: list[Reply]) -> None:
        self._replies = replies
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.base_url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.keys.append(request.headers.get(self.key_header))
        self.headers.append(dict(request.headers))
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return await reply(request)

    async def models(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"object": "list", "data": [{"id": "b", "object": "model"}, {"id": "a", "object": "model"}]}
        )


@asynccontextmanager
async def serving(server: LoopbackServer, *routes: web.RouteDef, path: str = "") -> AsyncIterator[Any]:
    """The server on a port of its own, until the block ends."""
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_routes(routes)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def openai_server(*replies: Reply) -> AsyncIterator[LoopbackServer]:
    server = LoopbackServer(list(replies))
    routes = [web.post("/v1/chat/completions", server.handle), web.get("/v1/models", server.models)]
    async with serving(server, *routes, path="/v1"):
        yield server


serve = openai_server


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


def held(began: Any, gone: Any, *first: dict[str, Any] | str) -> Reply:
    """Sends `first`, sets `began`, then waits until the client has gone, and sets `gone`."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in first:
            data = part if isinstance(part, str) else f"data: {json.dumps(part)}\n\n"
            await response.write(data.encode())
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            gone.set()
        return response

    return reply


def late(began: Any, go: Any, then: Reply) -> Reply:
    """Sets `began`, sends nothing until `go` is set, then answers."""

    async def reply(request: web.Request) -> web.StreamResponse:
        began.set()
        await go.wait()
        return await then(request)

    return reply


# -- one name for each kind of answer, the same in every protocol's module; the contract test uses these ---------------


def words(*texts: str, finish: str = "stop") -> Reply:
    return stream(*(chunk({"content": word}) for word in texts), chunk({}, finish=finish), USAGE)


def thinking(thoughts: list[str], answer: str) -> Reply:
    deltas = [chunk({"content": "", "reasoning_content": thought}) for thought in thoughts]
    return stream(*deltas, chunk({"content": answer}), chunk({}, finish="stop"), USAGE)


def parallel_calls() -> Reply:
    """`add(a=1)` under the id x and `sub(b=2)` under y, their arguments in interleaved pieces."""

    def part(index: int, call_id: str | None = None, **function: str) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})

    return stream(
        part(0, "x", name="add", arguments='{"a": '),
        part(1, "y", name="sub", arguments='{"b"'),
        part(0, arguments="1}"),
        part(1, arguments=": 2}"),
        chunk({}, finish="tool_calls"),
        USAGE,
    )


def half_call(*, cut: bool) -> Reply:
    """The arguments of a call break off; so does the connection, with `cut`."""
    call = {"index": 0, "id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a": '}}
    return stream(chunk({"tool_calls": [call]}), *([] if cut else [chunk({}, finish="length")]), cut=cut)


def cut_after(content: str) -> Reply:
    return stream(chunk({"content": content}), cut=True)


def ends_after(content: str) -> Reply:
    """The stream ends in good order, but not the answer."""
    return stream(chunk({"content": content}), done=False)


def broken_line() -> Reply:
    return stream("data: {nonsense\n\n")


def nothing() -> Reply:
    return stream(chunk())


def error_inside(message: str) -> Reply:
    return stream(f"data: {json.dumps({'error': {'message': message, 'code': 503}})}\n\n")


def held_after(content: str, began: Any, gone: Any) -> Reply:
    return held(began, gone, *([chunk({"content": content})] if content else []))


FINISHES = {"stop": "stop", "length": "length", "content_filter": "content_filter", "odd": "odd"}
