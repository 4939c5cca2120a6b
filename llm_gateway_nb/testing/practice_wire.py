"""The two protocols of `practice.py`: OpenAI's chat completions and Anthropic's messages, streamed or whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

__all__ = ["Reply", "handler"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer: a text, or an error where the status is one."""

    text: str
    status: int = 200
    model: str = ""
    input_tokens: int = 0

    @property
    def words(self) -> list[str]:
        return re.findall(r"\S*\s+|\S+", self.text)


def handler(
    reply: Callable[[str, dict[str, Any]], Reply], leave: Callable[[], None], models: Sequence[str]
) -> type[BaseHTTPRequestHandler]:
    """A request handler that answers with `reply(service, body)`, and calls `leave` when the answer is out.

    The service is the first part of the path; `/anthropic/…` speaks Anthropic's protocol, all others OpenAI's.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            listed = [{"id": name, "object": "model", "type": "model", "display_name": name} for name in models]
            self._whole(200, {"object": "list", "data": listed, "has_more": False})

        def do_POST(self) -> None:
            service = self.path.split("/")[1]
            try:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            except ValueError:
                self._whole(400, {"error": {"type": "invalid_request_error", "message": "The body is no JSON."}})
                return
            try:
                self._answer(service, body, reply(service, body))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has gone, as clients may
            finally:
                leave()

        def _answer(self, service: str, body: dict[str, Any], said: Reply) -> None:
            if said.status >= 400:
                error = {"type": "api_error", "message": said.text}
                self._whole(said.status, {"type": "error", "error": error}, **{"Retry-After": "0"})
                return
            anthropic = service == "anthropic"
            if not body.get("stream"):
                self._whole(200, _anthropic_whole(said) if anthropic else _openai_whole(said))
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in _anthropic_stream(said) if anthropic else _openai_stream(said):
                data = part.encode()
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def _whole(self, status: int, body: Any, **headers: str) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class calls it so)
            pass

    return Handler


def _openai_usage(said: Reply) -> dict[str, int]:
    asked, answered = said.input_tokens, len(said.words)
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _openai_whole(said: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": said.text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "id": "practice",
        "object": "chat.completion",
        "created": 0,
        "model": said.model,
        "choices": [choice],
        "usage": _openai_usage(said),
    }


def _openai_stream(said: Reply) -> Iterator[str]:
    def chunk(choices: list[dict[str, Any]], **more: Any) -> str:
        head = {"id": "practice", "object": "chat.completion.chunk", "created": 0, "model": said.model}
        return f"data: {json.dumps({**head, 'choices': choices, **more})}\n\n"

    for word in said.words:
        yield chunk([{"index": 0, "delta": {"content": word}, "finish_reason": None}])
    yield chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    yield chunk([], usage=_openai_usage(said))
    yield "data: [DONE]\n\n"


def _anthropic_message(said: Reply, content: list[dict[str, Any]], stop: str | None, answered: int) -> dict[str, Any]:
    return {
        "id": "practice",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": said.input_tokens, "output_tokens": answered},
    }


def _anthropic_whole(said: Reply) -> dict[str, Any]:
    return _anthropic_message(said, [{"type": "text", "text": said.text}], "end_turn", len(said.words))


def _anthropic_stream(said: Reply) -> Iterator[str]:
    def event(kind: str, **fields: Any) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"

    yield event("message_start", message=_anthropic_message(said, [], None, 0))
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in said.words:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=end, usage={"output_tokens": len(said.words)})
    yield event("message_stop")
