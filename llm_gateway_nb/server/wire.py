"""The bodies that clients send, read with a limit; what is wrong with one is told in a sentence."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request

from llm_gateway_nb.types import Permissions, RelayResponse
from llm_gateway_nb.types.wire import WireModel, optional, read_wire

__all__ = ["AnswerBody", "ChatBody", "RefusedError", "SummarizeBody", "is_session_id", "read_body"]

BodyT = TypeVar("BodyT", bound=BaseModel)

_ID = r"^[A-Za-z0-9_-]{16,64}$"


def is_session_id(text: str) -> bool:
    """Whether it could be one at all."""
    return re.fullmatch(_ID, text) is not None


class RefusedError(Exception):
    """A request that is answered with a status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Origin(WireModel):
    """Where a run hangs, for a client that runs it inside another."""

    parent_id: str | None = optional(max_length=1000)
    depth: int | None = optional(ge=0)


class ChatBody(WireModel):
    """`POST /chat`. `tools` are names of the server's; `session_id` is chosen by a client that may have to ask twice."""

    model: str | None = optional()
    messages: list[Any] = Field(default_factory=list)
    context: str | None = optional()
    tools: list[str] | None = optional()
    permissions: Permissions | None = optional()
    settings: dict[str, Any] | None = optional()
    mode: str | None = optional()
    env: Origin | None = optional()
    session_id: str | None = optional(pattern=_ID)


class AnswerBody(WireModel):
    """`POST /chat/relay/{relayId}`."""

    session_id: str
    response: RelayResponse


class SummarizeBody(WireModel):
    """`POST /summarize`. `source_ids` come back as they are."""

    model: str | None = optional()
    messages: list[Any] = Field(default_factory=list)
    source_ids: list[str]
    session_id: str | None = optional(pattern=_ID)


async def read_body(request: Request, cls: type[BodyT], *, limit: int) -> tuple[BodyT, bytes]:
    """The body, and the bytes of it.

    Raises:
        RefusedError: 413 over `limit` bytes, of which no more are read; 400 for what is not JSON, or of another shape.
    """
    data = bytearray()
    too_large = RefusedError(413, f"The body is over {limit} bytes, which is what this server takes.")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise too_large
    try:
        given = read_wire(bytes(data))
    except ValueError as error:
        raise RefusedError(400, f"The body is not JSON: {error}.") from None
    try:
        return cls.model_validate(given), bytes(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise RefusedError(400, f"The body does not fit ({where or 'it'}): {first['msg']}.") from None
