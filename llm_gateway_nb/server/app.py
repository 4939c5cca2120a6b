"""`create_app`: a harness as an HTTP service, the LLM Gateway's, with a token, a ceiling, resuming and an end.

A run is started by `POST /chat` and read as server-sent events. Each has an id, and a client that was cut off comes back
with it in `Last-Event-ID`: `GET /chat/{sessionId}`, or the same `POST /chat` once more, which starts nothing anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from llm_gateway_nb.errors import ConfigurationError

try:
    from fastapi import FastAPI, Request, Response
except ImportError as error:
    raise ConfigurationError("The server needs FastAPI: pip install 'llm-gateway-nb[server]'.") from error
from fastapi.responses import JSONResponse
from pydantic import SecretStr
from starlette.exceptions import HTTPException

from llm_gateway_nb.permissions import PermissionPolicy
from llm_gateway_nb.providers import LLM
from llm_gateway_nb.server.gate import Gate, check_token
from llm_gateway_nb.server.gateway import Gateway
from llm_gateway_nb.server.session import Session
from llm_gateway_nb.server.sessions import Sessions
from llm_gateway_nb.server.shutdown import on_server_stop
from llm_gateway_nb.server.stream import event_stream
from llm_gateway_nb.server.wire import AnswerBody, ChatBody, RefusedError, SummarizeBody, is_session_id, read_body
from llm_gateway_nb.types import (
    GeneratorHarnessModule,
    ToolDefinition,
    new_id,
)

__all__ = ["create_app"]


def create_app(
    harness: GeneratorHarnessModule | Mapping[str, GeneratorHarnessModule],
    *,
    tools: Sequence[ToolDefinition] | None = None,
    policy: PermissionPolicy | None = None,
    token: str | SecretStr | None = None,
    loopback: bool = False,
    models: Sequence[str] | None = None,
    default_model: str | None = None,
    llm: LLM | None = None,
    grace_seconds: float = 30.0,
    keep_alive_seconds: float = 15.0,
    max_body_bytes: int = 32 * 2**20,
    max_sessions: int = 100,
    keep_bytes: int = 16 * 2**20,
) -> FastAPI:
    """A FastAPI app that runs `harness` for whoever has the token. Serve it with one worker: a run lives in its process.
    An app that mounts this one has to enter its lifespan, `app.router.lifespan_context(app)`, or nobody ends its runs.
    Runs are kept in memory, and end with the server: there is no store of conversations behind it.

    Args:
        harness: what `POST /chat` invokes; or several by the name that a body's `mode` takes, the first by default.
        tools: what the harness may call; they run here. A body's `tools` may name some of them.
        policy: the ceiling of what a caller may be granted. None grants nothing in advance: whatever a caller's
            permissions say, every tool call asks. `PermissionPolicy()` takes a caller's permissions as they are.
        token: what a caller sends as `Authorization: Bearer …`.
        loopback: in place of a token: only this machine is answered.
        models: what a caller may choose from; None is whatever the harness takes.
        default_model: the model of a chat that names none. Without it, a harness that has no model of its own asks for one.
        llm: the model behind `POST /summarize`; the harness itself, where it is a model.
        grace_seconds: how long a run goes on with nobody reading it, and how long it can be read when it is over.
        keep_alive_seconds: a silent stream sends a comment this often.
        max_body_bytes: of a request.
        max_sessions: runs at once.
        keep_bytes: how much of a run's events is kept for those who come back.

    Raises:
        ConfigurationError: neither a token nor `loopback`; or something of the wrong kind.
    """
    secret = check_token(token, loopback=loopback)
    gateway = Gateway(harness, tools or (), policy, models, default_model, llm)
    sessions = Sessions(limit=max_sessions)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sessions.start()
        try:
            with on_server_stop(sessions.stop):
                yield
        finally:
            await sessions.aclose()

    app = FastAPI(title="llm_gateway_nb", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.sessions = sessions
    app.state.needs_loopback = secret is None
    app.add_middleware(Gate, token=secret)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _http_error)

    def start(session_id: str | None, fingerprint: bytes, connected: Mapping[str, Any], run: Any) -> Session:
        session_id = session_id or new_id()

        def make() -> Session:
            chosen, params = run()
            return Session(
                session_id,
                chosen,
                params,
                fingerprint=fingerprint,
                connected={**connected, "graceSeconds": grace_seconds},
                grace_seconds=grace_seconds,
                keep_bytes=keep_bytes,
            )

        return sessions.open(session_id, fingerprint, make)

    def stream(session: Session, last_event_id: str | None) -> Response:
        return event_stream(session, last_event_id, keep_alive_seconds=keep_alive_seconds)

    def resumed(request: Request) -> Response | None:
        """The stream that a POST with a `Last-Event-ID` is about; None for one without."""
        last = request.headers.get("last-event-id")
        return None if last is None else stream(sessions.get(last.partition("/")[0]), last)

    @app.get("/models")
    async def list_models() -> dict[str, Any]:
        names = await gateway.supported_models()
        return {"models": names, **({"defaultModel": default_model} if default_model in names else {})}

    @app.post("/chat")
    async def chat(request: Request) -> Response:
        again = resumed(request)
        if again is not None:
            return again
        body, data = await read_body(request, ChatBody, limit=max_body_bytes)
        fingerprint = hashlib.sha256(data).digest()
        return stream(start(body.session_id, fingerprint, {}, lambda: gateway.chat(body)), None)

    @app.get("/chat/{session_id}")
    async def watch(session_id: str, request: Request) -> Response:
        return stream(sessions.get(session_id), request.headers.get("last-event-id"))

    @app.delete("/chat/{session_id}")
    async def stop(session_id: str) -> dict[str, Any]:
        try:
            session = sessions.get(session_id)
        except RefusedError:
            if is_session_id(session_id):
                sessions.rule_out(session_id)  # the request that was to start it may still be on its way
            raise
        session.stop("stopped")
        await session.wait()
        return {"success": True}

    @app.post("/chat/relay/{relay_id}")
    async def answer(relay_id: str, request: Request) -> dict[str, Any]:
        body, _ = await read_body(request, AnswerBody, limit=max_body_bytes)
        match sessions.get(body.session_id).answer(relay_id, body.response):
            case "unknown":
                raise RefusedError(404, f"Session {body.session_id!r} has no question {relay_id!r}.")
            case "late":
                raise RefusedError(409, f"Question {relay_id!r} has been answered, or is not asked any more.")
            case "taken":
                return {"success": True}

    @app.post("/summarize")
    async def summarize(request: Request) -> Response:
        again = resumed(request)
        if again is not None:
            return again
        body, data = await read_body(request, SummarizeBody, limit=max_body_bytes)
        fingerprint = hashlib.sha256(data).digest()
        connected = {"sourceIds": body.source_ids}
        return stream(start(body.session_id, fingerprint, connected, lambda: gateway.summarize(body)), None)

    return app


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return JSONResponse({"error": error.sentence}, error.status)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": f"{error.detail}."}, error.status_code, headers=error.headers)
