"""A service for the benchmarks, in a process of its own: it prints its address, and serves until its stdin ends.

It speaks OpenAI's chat completions and answers every prompt with 100 words, streamed or whole; a prompt with "slow" in it
with five, after 0.3 s.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

WORDS = 100
FEW = 5
LATENCY = 0.3

_HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def _chunk(delta: dict[str, str] | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({**_HEAD, 'choices': choices, **more})}\n\n".encode()


def _answers(words: int) -> tuple[bytes, bytes]:
    """As a stream, and whole."""
    usage = {"prompt_tokens": 7, "completion_tokens": words, "total_tokens": words + 7}
    parts = [_chunk({"content": "word "})] * words
    message = {"role": "assistant", "content": "word " * words}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return (
        b"".join([*parts, _chunk({}, "stop"), _chunk(None, usage=usage), b"data: [DONE]\n\n"]),
        json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}).encode(),
    )


_LONG, _SHORT = _answers(WORDS), _answers(FEW)


async def _answer(request: web.Request) -> web.Response:
    asked = await request.json()
    is_slow = "slow" in asked["messages"][-1]["content"]
    if is_slow:
        await asyncio.sleep(LATENCY)
    streamed, whole = _SHORT if is_slow else _LONG
    if asked.get("stream"):
        return web.Response(body=streamed, content_type="text/event-stream")
    return web.Response(body=whole, content_type="application/json")


async def _models(_request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "m", "object": "model", "created": 1}]})


async def main() -> None:
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", _answer), web.get("/v1/models", _models)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
