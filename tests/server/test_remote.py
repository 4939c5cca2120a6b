"""A run over `RemoteHarness`: the same as a run here, whatever happens on the way."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.clock import jump
from support.gateway import GO, HELLO, TOKEN, Held, add, agent
from support.waiting import until

from llm_gateway_nb import run, run_sync, start
from llm_gateway_nb.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    ProviderConnectionError,
)
from llm_gateway_nb.graph import Node, RunTree
from llm_gateway_nb.harnesses import with_retry
from llm_gateway_nb.permissions import PermissionPolicy
from llm_gateway_nb.server import RemoteHarness, create_app, serve
from llm_gateway_nb.testing import Turn, call
from llm_gateway_nb.tools import agent_tool
from llm_gateway_nb.types import (
    ErrorEvent,
    GeneratorHarnessModule,
    HarnessEndEvent,
    HarnessEvent,
    InvokeEnv,
    Permissions,
    RelayAnswerEvent,
    RelayEvent,
    TextEvent,
    ToolResultEvent,
    UnknownEvent,
    dump_event,
)

EVERYTHING = PermissionPolicy()


@asynccontextmanager
async def remote(harness: Any = None, **options: Any) -> AsyncIterator[RemoteHarness]:
    options = {"tools": [add], "token": TOKEN, **options}
    app = create_app(harness if harness is not None else agent(), **options)
    async with serve(app) as server:
        there = RemoteHarness(server.url, TOKEN, connect_seconds=60, reconnect_seconds=60)
        there.app = app  # type: ignore[attr-defined]
        yield there


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Whom nobody trusts but those who are told to."""
    return trustme.CA()


@asynccontextmanager
async def encrypted(authority: trustme.CA, folder: Path) -> AsyncIterator[str]:
    """The address of a server that speaks https."""
    certificate = folder / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    app = create_app(agent(), tools=[add], token=TOKEN, policy=EVERYTHING)
    async with serve(app, ssl_certfile=certificate) as server:
        assert server.url.startswith("https://127.0.0.1:")
        yield server.url


async def test_over_https_a_run_is_what_it_is_here(authority: trustme.CA, tmp_path: Path) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with encrypted(authority, tmp_path) as url:
        there = RemoteHarness(url, TOKEN, ssl_context=trusting)
        assert await there.supported_models()
        events = [event async for event in there.invoke(messages=HELLO, permissions=Permissions(allowlist=["add"]))]  # type: ignore[list-item]
    assert isinstance(events[-1], HarnessEndEvent)
    assert events[-1].reason == "final"


async def test_a_certificate_that_nobody_here_vouches_for_is_refused_before_the_token_is_sent(
    authority: trustme.CA, tmp_path: Path
) -> None:
    async with encrypted(authority, tmp_path) as url:
        with pytest.raises(ProviderConnectionError, match="certificate"):
            await RemoteHarness(url, TOKEN).supported_models()


def test_a_token_that_goes_over_the_network_in_the_clear_is_told(caplog: pytest.LogCaptureFixture) -> None:
    for url in ("https://example.org", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"):
        RemoteHarness(url, TOKEN)
    assert not caplog.records
    RemoteHarness("http://example.org", TOKEN)
    assert "in the clear" in caplog.text
    assert TOKEN not in caplog.text


class Proxy:
    """Between client and server. `limit` bytes of each answer come through, then the connection is gone."""

    def __init__(self, url: str) -> None:
        self._target = url.rpartition(":")[2]
        self.limit: int | None = None
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", int(self._target))
        try:
            asking = asyncio.create_task(self._copy(reader, there_writer, None))
            await self._copy(there_reader, writer, self.limit)
        except (asyncio.CancelledError, ConnectionError):
            pass  # asyncio's own callback can't bear a handler that was cancelled
        finally:
            asking.cancel()
            self._tasks.discard(task)
            for each in (writer, there_writer):
                each.close()
            await asyncio.gather(asking, return_exceptions=True)

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, limit: int | None) -> None:
        while data := await source.read(1024):
            if limit is not None:
                data, limit = data[:limit], limit - len(data)
            target.write(data)
            await target.drain()
            if limit is not None and limit <= 0:
                return


def shape(tree: RunTree) -> list[Any]:
    """A tree without its ids and times."""
    hidden = {"startedAt", "endedAt", "ttft", "duration"}

    def of(node: Node) -> Any:
        props = {key: value for key, value in node.props.items() if key not in hidden and "At" not in key}
        return (node.kind, sorted(map(str, props)), node.status, node.text(), [of(child) for child in node.children])

    return [of(node) for node in tree.roots]


async def events_of(harness: GeneratorHarnessModule, **fields: Any) -> list[HarnessEvent]:
    return [event async for event in harness.invoke(**{"messages": HELLO, **fields})]  # type: ignore[call-arg]


def said(events: list[HarnessEvent]) -> str:
    return "".join(event.content for event in events if isinstance(event, TextEvent))


SUBAGENTS = ([call("agent", task="Add."), call("add", a=1, b=1)], call("add", a=1, b=2), "Three.", "All done.")


@pytest.mark.parametrize("turns", [(), SUBAGENTS, (RuntimeError("boom"),)])
async def test_a_remote_run_folds_into_the_same_tree_as_a_local_one(turns: Any) -> None:
    tools = [add, agent_tool]
    local = await run(agent(*turns), "Go.", tools=tools, approvals="allow")
    async with remote(agent(*turns), tools=tools) as there:
        result = await run(there, "Go.", approvals="allow")
    assert result.transcript() == local.transcript()
    assert shape(result.tree) == shape(local.tree)
    assert result.messages == local.messages
    assert (result.text, result.reason, result.usage) == (local.text, local.reason, local.usage)
    assert sorted(event.type for event in result.events) == sorted(event.type for event in local.events)


async def test_a_question_is_answered_over_the_wire_and_noted_once() -> None:
    async with remote() as there:
        result = await run(there, "Go.", approvals=lambda relay: {"approved": relay.params["a"] == 1, "reason": "fine"})
    answers = [event for event in result.events if isinstance(event, RelayAnswerEvent)]
    assert [(answer.approved, answer.reason, answer.by) for answer in answers] == [(True, "fine", "policy")]
    assert result.text == "It is 3."


async def test_an_answer_that_somebody_else_gave_is_told() -> None:
    async with remote() as there:
        live = start(there, "Go.", approvals=never, panel=False)
        await until(lambda: live.relays)
        relay = live.relays[0]
        session = next(iter(there.app.state.sessions._sessions.values()))  # type: ignore[attr-defined]
        assert session.answer(relay.id, answer(approved=False, reason="no")) == "taken"
        result = await live
    told = next(event for event in result.events if isinstance(event, RelayAnswerEvent))
    assert (told.approved, told.reason, told.by) == (False, "no", None)
    assert next(event for event in result.events if isinstance(event, ToolResultEvent)).status == "denied"


def answer(**fields: Any) -> Any:
    from llm_gateway_nb.types import RelayResponse

    return RelayResponse(**fields)


async def never(relay: RelayEvent) -> bool:
    await asyncio.get_running_loop().create_future()
    return True


@pytest.mark.parametrize("how", ["cancel", "break", "task"])
async def test_whoever_stops_reading_stops_the_run_there(how: str) -> None:
    held = Held()
    harness = agent([call("agent", task="Hold."), call("hold")], call("hold"), "x", "y")
    async with remote(harness, tools=[agent_tool, held.tool], policy=EVERYTHING) as there:
        allowed = {"allowlist": ["agent", "hold"]}
        if how == "cancel":
            live = start(there, "Go.", permissions=allowed, panel=False)
            await held.started.wait()
            live.cancel()
            result = await live
            assert result.reason == "cancelled"
        else:
            from llm_gateway_nb.types import Permissions

            async def read() -> None:
                async with aclosing(there.invoke(messages=HELLO, permissions=Permissions(**allowed))) as events:
                    async for event in events:
                        if how == "break" and event.type == "tool_call":
                            await held.started.wait()
                            break

            task = asyncio.create_task(read())
            await held.started.wait()
            if how == "task":
                task.cancel()
            await asyncio.wait([task])
        assert held.cancelled.is_set()
        sessions = there.app.state.sessions._sessions.values()  # type: ignore[attr-defined]
        assert [session.over for session in sessions] == [True]


@pytest.mark.parametrize("limit", [1, 300, 1000, 2500])
async def test_cuts_lose_nothing_and_double_nothing(limit: int) -> None:
    words = " ".join(str(number) for number in range(30))
    async with remote(agent(words)) as there, Proxy(there.url) as proxy:
        proxy.limit = limit
        through = RemoteHarness(proxy.url, TOKEN, connect_seconds=60, reconnect_seconds=60)
        reading = asyncio.create_task(events_of(through))
        if limit < 1000:  # nothing ever gets through; then the net is well again
            await until(lambda: proxy.connections >= 3)
            proxy.limit = None
        events = await reading
    assert said(events) == words
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[-1], HarnessEndEvent)
    assert events[-1].reason == "final"
    assert proxy.connections > 1


async def test_a_server_that_stays_away_is_an_error_and_an_end() -> None:
    held = Held()
    async with remote(agent(call("hold"), "x"), tools=[held.tool], policy=EVERYTHING) as there:
        async with Proxy(there.url) as proxy:
            through = RemoteHarness(proxy.url, TOKEN, reconnect_seconds=0.3)
            reading = asyncio.create_task(run(through, "Go.", permissions={"allowlist": ["hold"]}))
            await held.started.wait()
        result = await reading
    assert result.reason == "error"
    assert isinstance(result.error, ProviderConnectionError)


async def test_nobody_there_is_told_at_once() -> None:
    events = await events_of(RemoteHarness("http://127.0.0.1:9", TOKEN))
    assert [event.type for event in events] == ["error", "harness_end"]
    assert isinstance(events[0], ErrorEvent)
    assert isinstance(events[0].error, ProviderConnectionError)
    with pytest.raises(ProviderConnectionError, match="can't be reached"):
        await RemoteHarness("http://127.0.0.1:9").supported_models()


async def test_a_wrong_token_and_a_wrong_request_are_told_in_the_servers_words() -> None:
    async with remote() as there:
        result = await run(RemoteHarness(there.url, "wrong"), "Go.")
        assert (result.reason, type(result.error)) == ("error", AuthenticationError)
        with pytest.raises(AuthenticationError, match="Authorization"):
            await RemoteHarness(there.url).supported_models()
        other = await run(there, "Go.", tools=[agent_tool])
        assert isinstance(other.error, InvalidRequestError)
        assert "no tool 'agent' here; there are add" in str(other.error)


async def test_what_is_no_gateway_is_told_apart() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        writer.close()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as server:
        there = RemoteHarness(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", TOKEN)
        result = await run(there, "Go.")
        assert "answered 200 with text/html" in str(result.error)


async def test_the_token_is_nowhere_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with remote() as there, Proxy(there.url) as proxy:
        proxy.limit = 2000
        through = RemoteHarness(proxy.url, TOKEN)
        result = await run(through, "Go.", approvals="allow")
        refused = await run(RemoteHarness(there.url, TOKEN + "x"), "Go.")
    assert TOKEN not in repr(through) + repr(vars(through)) + repr(there.app.state._state)  # type: ignore[attr-defined]
    assert TOKEN not in caplog.text
    for each in (result, refused):
        assert TOKEN not in "".join(event.model_dump_json() for event in each.events) + repr(each) + each.to_html()


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://", None])
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="address"):
        RemoteHarness(url)


def test_a_name_and_password_do_not_belong_into_an_address() -> None:
    with pytest.raises(ConfigurationError, match="token=") as caught:
        RemoteHarness("http://me:hunter2@host:80")
    assert "hunter2" not in str(caught.value)


async def test_what_can_not_travel_is_refused_at_once() -> None:
    there = RemoteHarness("http://127.0.0.1:9")
    result = await run(there, "Go.", policy=PermissionPolicy(allow=[]))
    assert isinstance(result.error, ConfigurationError)
    assert "policy" in str(result.error)


async def test_permissions_travel_as_they_stand() -> None:
    async with remote(policy=EVERYTHING) as there:
        result = await run(there, "Go.", permissions={"allowlist": ["add"]}, approvals="deny")
        assert result.text == "It is 3."
        denied = await run(there, "Go.", permissions={"deny": ["add"]}, approvals="allow")
        statuses = [event.status for event in denied.events if isinstance(event, ToolResultEvent)]
        assert statuses in ([], ["denied"])


async def test_a_remote_run_hangs_where_its_parent_says() -> None:
    async with remote(agent("Hi.")) as there:
        events = await events_of(there, env=InvokeEnv(parent_id="P"))
    assert [event.parent_id for event in events if event.type in {"harness_start", "harness_end"}] == ["P", "P"]


async def test_a_remote_harness_is_wrapped_like_any_other() -> None:
    async with remote(agent("Hi.")) as there:
        assert said(await events_of(with_retry(there, attempts=2))) == "Hi."


async def test_a_silent_connection_counts_as_cut() -> None:
    gate = asyncio.Event()
    patient = {"keep_alive_seconds": 1e6, "grace_seconds": 1e6}
    async with remote(agent(Turn(text="one two three", wait=gate.wait)), **patient) as there, Proxy(there.url) as proxy:
        through = RemoteHarness(proxy.url, TOKEN, connect_seconds=60, silence_seconds=60, reconnect_seconds=1e6)
        reading = asyncio.create_task(events_of(through))
        await until(lambda: there.app.state.sessions._sessions)  # type: ignore[attr-defined]
        await until(lambda: proxy.connections > 1 or jump(100))
        gate.set()
        events = await reading
    assert said(events) == "one two three"


async def test_run_sync_works_from_another_thread() -> None:
    async with remote() as there:
        result = await asyncio.to_thread(run_sync, there, "Go.", approvals="allow")
    assert result.text == "It is 3."


async def test_a_server_without_ids_is_read_to_its_end() -> None:
    """The LLM Gateway's own: events have no ids, and the stream just ends."""
    frames = [
        ("connected", '{"type":"connected","sessionId":"s"}'),
        ("text", '{"type":"text","runId":"r","id":"t","content":"Hi"}'),
        ("text", "not json"),
        ("text", '{"type":"text","runId":"r","id":"t","content":"!"}'),
    ]
    body = "".join(f"event: {kind}\ndata: {data}\n\n" for kind, data in frames).encode()

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        for part in (head.encode(), body[:70], body[70:]):  # in the middle of a line
            writer.write(part)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(gateway, "127.0.0.1", 0) as server:
        there = RemoteHarness(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert said(await events_of(there)) == "Hi!"


async def test_many_remote_runs_at_once_keep_apart() -> None:
    async with remote(agent(*["Hi."] * 20)) as there:
        runs = await asyncio.gather(*(events_of(there) for _ in range(20)))
    assert [said(events) for events in runs] == ["Hi."] * 20


def test_the_request_of_the_wire_is_the_one_of_the_tests() -> None:
    assert GO["messages"] == [message.model_dump(mode="json") for message in HELLO]


class Recorded:
    """A harness that says what it was given."""

    model = "m"

    def __init__(self, events: list[HarnessEvent]) -> None:
        self.events = events

    async def supported_models(self) -> list[str]:
        return ["m"]

    async def invoke(self, params: Any) -> AsyncIterator[HarnessEvent]:
        for event in self.events:
            yield event


async def test_an_event_of_a_kind_that_nobody_knows_comes_over_as_it_is() -> None:
    odd: list[HarnessEvent] = [
        UnknownEvent(run_id="r", type=kind) for kind in ("done", "connected", "a\ndata: {}", "", "née\u2028x\x85")
    ]
    async with remote(Recorded(odd)) as there:
        got = await events_of(there)
    assert [dump_event(event) | {"seq": 0} for event in got[: len(odd)]] == [
        {**dump_event(event), "seq": 0, "agentId": got[0].model_extra["agentId"]} for event in odd
    ]


async def test_an_answer_that_gets_no_reply_does_not_hold_up_the_end() -> None:
    relay = '{"type":"relay","kind":"permission","runId":"r","id":"q","toolCallId":"t","tool":"add","params":{}}'
    asked = asyncio.Event()

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/chat/relay/q" in head:
            asked.set()
            await reader.read()  # until the client gives up
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            writer.write(b'event: connected\ndata: {"sessionId":"s"}\n\n' + f"event: relay\ndata: {relay}\n\n".encode())
            await writer.drain()
            await asked.wait()
        writer.close()

    async with await asyncio.start_server(gateway, "127.0.0.1", 0) as server:
        there = RemoteHarness(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with asyncio.timeout(30):
            result = await run(there, "Go.", approvals="allow")
    assert "relay" in [event.type for event in result.events]
