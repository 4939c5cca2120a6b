"""One run on a server: read, answered, mended after a cut, and stopped when nobody wants it any more.

The id of the session is chosen here, before the first request: a request of which it is not known whether it arrived can be
sent again, and a run can be stopped of which nothing was heard yet.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx2

from llm_gateway_nb.errors import ProviderAPIError, ProviderConnectionError, StreamClosedError
from llm_gateway_nb.primitives import AsyncQueue, Passthrough
from llm_gateway_nb.server.remote_errors import connection_error, refusal
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    ErrorEvent,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    RelayAnswerEvent,
    RelayEvent,
    RelayResponse,
    new_id,
    parse_event,
)

__all__ = ["RemoteRun"]

_log = logging.getLogger(__name__)

_STOP_SECONDS = 5.0
"""How long stopping the run on the server may hold up whoever cancelled; after it the server's grace time does it."""

_LARGEST_EVENT = 64 * 2**20

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
"""Seconds between two attempts; each is twice the one before."""


class _CutError(Exception):
    """The stream broke off, or could not be had again; worth another attempt."""

    def __init__(self, error: ProviderAPIError) -> None:
        super().__init__(str(error))
        self.error = error


class RemoteRun:
    """See `run`. Events go into `stream`, with back-pressure."""

    def __init__(
        self,
        connect: Callable[[], httpx2.AsyncClient],
        url: str,
        params: GeneratorInvokeParams,
        stream: Passthrough[HarnessEvent],
        *,
        reconnect_seconds: float | None,
    ) -> None:
        self._connect = connect
        self._url = url
        self._stream = stream
        self._reconnect_seconds = reconnect_seconds
        self._session_id = new_id()
        self._request = _request(params, self._session_id)
        self._asked = False  # the server may know of the session
        self._number: int | None = None  # of the last event that was taken; None while nothing was heard
        self._resumable = False  # the server gives its events ids
        self._grace_seconds = 30.0
        self._over = False
        self._answers: AsyncQueue[tuple[str, RelayResponse]] = AsyncQueue()
        self._answered: dict[str, RelayResponse] = {}
        self._first_run: str | None = None
        self._open_runs: dict[str, str | None] = {}

    async def run(self) -> None:
        """From the request to the last event. On a cancel the run on the server is stopped."""
        async with self._connect() as client:
            try:
                async with asyncio.TaskGroup() as group:
                    answering = group.create_task(self._answer(client))
                    await self._read_to_the_end(client)
                    answering.cancel()
            except* ProviderAPIError as failed:
                await self._fail(_first(failed))
            except* StreamClosedError:
                pass  # nobody reads any more
            finally:
                finished, self._over = self._over, True
                if self._asked and not finished:
                    await self._stop(client)

    # -- events ------------------------------------------------------------------------------------------------------

    async def _read_to_the_end(self, client: httpx2.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        wait, deadline = _FIRST_WAIT, None
        while not self._over:
            heard = self._number
            try:
                await self._read(client)
            except _CutError as cut:
                if self._number != heard:  # it went well for a while
                    wait, deadline = _FIRST_WAIT, None
                now = loop.time()
                if deadline is None:
                    limit = self._reconnect_seconds
                    deadline = now + (self._grace_seconds if limit is None else limit)
                if now + wait > deadline:
                    raise cut.error from cut
                _log.info("The stream of %s was cut (%s); connecting again.", self._url, cut)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # so that not all come back at one moment
                wait = min(2 * wait, _LONGEST_WAIT)

    async def _read(self, client: httpx2.AsyncClient) -> None:
        """One connection, until its end.

        Raises:
            _CutError: it broke off before the run was over.
            ProviderAPIError: there is no use in trying again.
        """
        request: dict[str, Any] = {"method": "POST", "url": "/chat", "json": self._request}
        if self._number is not None:
            request = {
                "method": "GET",
                "url": f"/chat/{self._session_id}",
                "headers": {"last-event-id": f"{self._session_id}/{self._number}"},
            }
        was_asked, self._asked = self._asked, True
        try:
            async with client.sse(**request, max_event_size=_LARGEST_EVENT) as source:
                response = source.response
                if response.status_code == 204:  # there is nothing more
                    self._over = True
                    return
                kind = response.headers.get("content-type", "")
                if response.status_code != 200 or not kind.startswith("text/event-stream"):
                    await response.aread()
                    error = refusal(response, self._url)
                    if was_asked and response.status_code in {429, 502, 503, 504}:
                        raise _CutError(error)
                    self._asked = was_asked  # what was refused was not started
                    raise error
                async for message in source:
                    await self._take(message)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            self._asked = was_asked
            if not was_asked:  # nobody there, and nothing was started
                raise connection_error(error, self._url) from None
            raise _CutError(connection_error(error, self._url)) from error
        except httpx2.HTTPError as error:
            if not self._over:  # else all is here, and it was but badly closed
                raise _CutError(connection_error(error, self._url)) from error
        if not self._over:
            if self._number is not None and not self._resumable:  # a server that knows no ids knows no `done` either
                self._over = True
                return
            raise _CutError(
                ProviderConnectionError(f"{self._url} broke off in the middle of a run.", provider="remote")
            )

    async def _take(self, message: httpx2.ServerSentEvent) -> None:
        of, _, number = message.id.rpartition("/")
        numbered = of == self._session_id and number.isdecimal()
        if message.event == "connected":
            self._connected(message)
            self._number = self._number or 0
            self._resumable = self._resumable or numbered
            return
        if numbered:
            have = self._number or 0
            if int(number) <= have:
                return
            if int(number) > have + 1:
                what = f"{self._url} left out events {have + 1} to {int(number) - 1}."
                raise ProviderConnectionError(what, provider="remote")
            self._number = int(number)
        if message.event == "done":
            self._over = True
            return
        try:
            event = parse_event(message.data)
        except ValueError as error:
            _log.warning("%s sent something that is no event: %s", self._url, error)
            return
        if isinstance(event, RelayAnswerEvent) and _is_same(event, self._answered.get(event.id)):
            return  # it is ours: whoever answered here has noted it
        await self._stream.send(self._seen(event))

    def _connected(self, message: httpx2.ServerSentEvent) -> None:
        with suppress(ValueError, TypeError):
            data = message.json()
            if isinstance(data, dict):
                self._session_id = str(data.get("sessionId", self._session_id))
                self._grace_seconds = float(data.get("graceSeconds", self._grace_seconds))

    def _seen(self, event: HarnessEvent) -> HarnessEvent:
        if self._first_run is None:
            self._first_run = event.run_id
        match event:
            case HarnessStartEvent():
                self._open_runs[event.run_id] = event.parent_id
            case HarnessEndEvent():
                self._open_runs.pop(event.run_id, None)
            case RelayEvent() | BudgetRelayEvent():
                relay_id = event.id
                return event.model_copy(update={"respond": lambda response: self._respond(relay_id, response)})
            case _:
                pass
        return event

    async def _fail(self, error: Exception) -> None:
        run_id = self._first_run or new_id()
        await self._stream.send(ErrorEvent(run_id=run_id, error=error))
        for open_run, parent_id in reversed(self._open_runs.items()):
            await self._stream.send(HarnessEndEvent(run_id=open_run, parent_id=parent_id, reason="error"))
        if self._first_run is None:
            await self._stream.send(HarnessEndEvent(run_id=run_id, reason="error"))

    # -- the other way -----------------------------------------------------------------------------------------------

    def _respond(self, relay_id: str, response: RelayResponse) -> bool:
        """From any thread. Whether somebody else was faster is not known yet: the events will tell."""
        if self._over:
            return False
        self._answers.push((relay_id, response))
        return True

    async def _answer(self, client: httpx2.AsyncClient) -> None:
        async with asyncio.TaskGroup() as group:  # so that one that hangs holds up no other; they end with this one
            while True:
                relay_id, response = await self._answers.pop()
                self._answered[relay_id] = response
                group.create_task(self._send_answer(client, relay_id, response))

    async def _send_answer(self, client: httpx2.AsyncClient, relay_id: str, response: RelayResponse) -> None:
        """Tried until it is there: a click that got lost would leave the run waiting for ever."""
        body = {"sessionId": self._session_id, "response": response.model_dump(mode="json")}
        wait = _FIRST_WAIT
        while not self._over:
            try:
                reply = await client.post(f"/chat/relay/{relay_id}", json=body)
            except httpx2.HTTPError as error:
                _log.info("An answer did not reach %s (%s); sending it again.", self._url, error)
            else:
                if reply.status_code in {200, 404, 409}:  # taken, or not asked any more: the events tell which
                    return
                if reply.status_code not in {429, 502, 503, 504}:
                    raise refusal(reply, self._url)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _stop(self, client: httpx2.AsyncClient) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await client.delete(f"/chat/{self._session_id}")
        except (httpx2.HTTPError, TimeoutError) as error:
            _log.warning(
                "%s could not be told to stop a run (%s); its grace time will.", self._url, type(error).__name__
            )


def _first(group: BaseExceptionGroup[ProviderAPIError]) -> ProviderAPIError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _request(params: GeneratorInvokeParams, session_id: str) -> dict[str, Any]:
    wire = params.model_dump(mode="json", exclude={"tools", "permissions"})
    permissions = params.permissions
    if params.env is not None and params.env.grants is not None:
        permissions = params.env.grants.permissions  # as they stand now
    if permissions is not None:
        wire["permissions"] = permissions.model_dump(mode="json")
    if params.tools is not None:
        wire["tools"] = [tool.name for tool in params.tools]
    return {**wire, "sessionId": session_id}


def _is_same(event: RelayAnswerEvent, response: RelayResponse | None) -> bool:
    return response is not None and (event.approved, event.reason, event.always, event.input) == (
        response.approved,
        response.reason,
        response.always,
        response.input,
    )
