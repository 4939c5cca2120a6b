"""A session as a response: server-sent events from where a client left off."""

from __future__ import annotations

from contextlib import aclosing

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from llm_gateway_nb.server.log import EventsGoneError
from llm_gateway_nb.server.session import Session
from llm_gateway_nb.server.wire import RefusedError

__all__ = ["event_stream"]


class _EventStream(StreamingResponse):
    """A session being read, for as long as the response goes out."""

    media_type = "text/event-stream"

    def __init__(self, session: Session, after: int, *, keep_alive_seconds: float) -> None:
        self._session = session
        self._frames = session.frames(after, keep_alive_seconds=keep_alive_seconds)
        super().__init__(self._frames, headers={"cache-control": "no-store", "x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._session.reading():
            async with aclosing(self._frames):
                await super().__call__(scope, receive, send)


def event_stream(session: Session, last_event_id: str | None, *, keep_alive_seconds: float) -> Response:
    """
    Raises:
        RefusedError: 400 for an id that is none of this session's; 409 for one from before what is kept.
    """
    after = 0
    if last_event_id is not None:
        of, _, number = last_event_id.partition("/")
        if of != session.id or not (number.isascii() and number.isdecimal()) or len(number) > 18:
            raise RefusedError(400, f"Last-Event-ID {last_event_id[:100]!r} is no event of session {session.id!r}.")
        after = int(number)
    try:
        session.log.check(after)
    except EventsGoneError as error:
        raise RefusedError(409, str(error)) from None
    if session.log.ended and after == session.log.last and after:
        return Response(status_code=204)  # by which an EventSource knows that it need not come again
    return _EventStream(session, after, keep_alive_seconds=keep_alive_seconds)
