"""A loopback server that speaks Anthropic's Messages API, with the same names as `openai_server`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from support.openai_server import LoopbackServer, Reply, serving
from support.openai_server import held as raw_held
from support.openai_server import late as late
from support.openai_server import stream as raw_stream


class AnthropicServer(LoopbackServer):
    async def models(self, _request: web.Request) -> web.Response:
        data = [
            {"id": name, "type": "model", "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in "ba"
        ]
        return web.json_response({"data": data, "has_more": False, "first_id": "b", "last_id": "a"})


@asynccontextmanager
async def serve(*replies: Reply) -> AsyncIterator[LoopbackServer]:
    server = AnthropicServer(list(replies))
    async with serving(server, web.post("/v1/messages", server.handle), web.get("/v1/models", server.models)):
        yield server


def sse(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def start(**usage: Any) -> str:
    """Seven tokens in all, four of them from the cache."""
    counts = {"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0}
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**counts, **usage},
    }
    return sse("message_start", message=message) + sse("ping")


def block(index: int, kind: str, *deltas: dict[str, Any], end: bool = True, **fields: Any) -> str:
    begun = sse("content_block_start", index=index, content_block={"type": kind, **fields})
    more = "".join(sse("content_block_delta", index=index, delta=delta) for delta in deltas)
    return begun + more + (sse("content_block_stop", index=index) if end else "")


def text_block(index: int, *texts: str, end: bool = True) -> str:
    return block(index, "text", *({"type": "text_delta", "text": word} for word in texts), end=end, text="")


def call_block(index: int, call_id: str, name: str, *pieces: str, end: bool = True) -> str:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(index, "tool_use", *deltas, end=end, id=call_id, name=name, input={})


def thinking_block(index: int, *thoughts: str, signature: str = "sig") -> str:
    deltas = [{"type": "thinking_delta", "thinking": thought} for thought in thoughts]
    return block(
        index, "thinking", *deltas, {"type": "signature_delta", "signature": signature}, thinking="", signature=""
    )


def end(reason: str = "end_turn", **usage: Any) -> str:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return sse("message_delta", delta=delta, usage={"output_tokens": 3, **usage}) + sse("message_stop")


def stream(*parts: str, cut: bool = False) -> Reply:
    return raw_stream(*parts, done=False, cut=cut)


def words(*texts: str, finish: str = "end_turn") -> Reply:
    return stream(start(), text_block(0, *texts), end(finish))


def text(content: str) -> Reply:
    return words(content)


def thinking(thoughts: list[str], answer: str) -> Reply:
    return stream(start(), thinking_block(0, *thoughts), text_block(1, answer), end())


def parallel_calls() -> Reply:
    return stream(
        start(),
        call_block(0, "x", "add", '{"a": ', "1}"),
        call_block(1, "y", "sub", '{"b"', ": 2}"),
        end("tool_use"),
    )


def half_call(*, cut: bool) -> Reply:
    begun = call_block(0, "x", "add", '{"a": ', end=not cut)
    return stream(start(), begun, *([] if cut else [end("max_tokens")]), cut=cut)


def cut_after(content: str) -> Reply:
    return stream(start(), text_block(0, content, end=False), cut=True)


def ends_after(content: str) -> Reply:
    return stream(start(), text_block(0, content))


def broken_line() -> Reply:
    return stream("event: message_start\ndata: {nonsense\n\n")


def nothing() -> Reply:
    return stream(start())


def error_inside(message: str) -> Reply:
    return stream(start(), sse("error", error={"type": "overloaded_error", "message": message}))


def held_after(content: str, began: Any, gone: Any) -> Reply:
    return raw_held(began, gone, *([start(), text_block(0, content, end=False)] if content else []))


def status(code: int, message: str = "no", **headers: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        body = {"type": "error", "error": {"type": "some_error", "message": message}}
        return web.json_response(body, status=code, headers=headers)

    return reply


FINISHES = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "pause_turn": "pause_turn"}
