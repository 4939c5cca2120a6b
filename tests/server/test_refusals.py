"""Who is turned away, and in which words: a status, and one sentence."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gateway import GO, TOKEN, agent, gateway

from llm_gateway_nb._hosts import is_loopback
from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.server import create_app, serve

JSON = {"content-type": "application/json"}


class Bare:
    """A harness without a model of its own."""

    async def supported_models(self) -> list[str]:
        return ["one", "two"]

    async def invoke(self, params: Any) -> Any:
        return
        yield


async def refused(reply: httpx2.Response) -> tuple[int, str]:
    body = reply.json()
    assert set(body) == {"error"}
    assert isinstance(body["error"], str)
    assert body["error"].endswith(".")
    return reply.status_code, body["error"]


EVERYWHERE = [
    ("GET", "/models"),
    ("POST", "/chat"),
    ("GET", "/chat/x"),
    ("DELETE", "/chat/x"),
    ("POST", "/chat/relay/x"),
    ("POST", "/summarize"),
    ("GET", "/openapi.json"),
    ("GET", "/nothing-there"),
]


async def test_nothing_is_answered_without_the_token() -> None:
    async with gateway() as client:
        client.headers.pop("authorization")
        for method, path in EVERYWHERE:
            for header in (None, "Bearer wrong", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", "Bearer tökén"):
                headers = {} if header is None else {"authorization": header.encode()}
                reply = await client.request(method, path, headers=headers)
                status, sentence = await refused(reply)
                assert (status, reply.headers["www-authenticate"]) == (401, "Bearer"), (method, path, header)
                assert TOKEN not in sentence


async def test_whoever_has_no_token_can_not_make_the_server_read_a_body() -> None:
    async def body() -> Any:
        for _ in range(1000):
            yield b"x" * 65536

    async with gateway() as client:
        reply = await client.post("/chat", content=body(), headers={"authorization": "Bearer wrong"})
    assert reply.status_code == 401


BAD_CHATS = [
    ("not json", "not JSON"),
    ("", "not JSON"),
    ("[]", "does not fit"),
    ('{"messages": []}', "`messages`"),
    ("{}", "`messages`"),
    ('{"messages": "hello"}', "does not fit (messages)"),
    ('{"messages": [{"role": "king", "content": "x"}]}', "messages[0]"),
    (
        '{"messages": [{"role": "user", "content": "x"}], "permissions": {"allowlist": [1]}}',
        "permissions.allowlist",
    ),
    ('{"messages": [{"role": "user", "content": "x"}], "tools": ["bash"]}', "no tool 'bash' here; there are add"),
    ('{"messages": [{"role": "user", "content": "x"}], "sessionId": "short"}', "sessionId"),
]


async def test_a_bad_chat_is_told_what_is_wrong_with_it() -> None:
    async with gateway() as client:
        for body, says in BAD_CHATS:
            status, sentence = await refused(await client.post("/chat", content=body, headers=JSON))
            assert status == 400, body
            assert says in sentence


async def test_a_model_has_to_be_named_where_there_is_no_default() -> None:
    async with gateway(Bare()) as client:
        status, sentence = await refused(await client.post("/chat", json=GO))
        assert status == 400
        assert "`model`" in sentence
        assert "`messages`" in sentence
        assert (await client.post("/chat", json={**GO, "model": "one"})).status_code == 200
    async with gateway(Bare(), default_model="two") as client:
        assert (await client.post("/chat", json=GO)).status_code == 200


@pytest.mark.parametrize(("default", "shown"), [(None, {}), ("two", {"defaultModel": "two"}), ("three", {})])
async def test_models_are_listed_with_the_default_if_it_is_one_of_them(default: str | None, shown: Any) -> None:
    async with gateway(Bare(), default_model=default) as client:
        assert (await client.get("/models")).json() == {"models": ["one", "two"], **shown}


async def test_a_callers_choice_of_models_can_be_limited() -> None:
    async with gateway(Bare(), models=["two"], default_model="one") as client:
        assert (await client.get("/models")).json() == {"models": ["two"]}
        status, sentence = await refused(await client.post("/chat", json={**GO, "model": "three"}))
        assert (status, sentence) == (400, "There is no model 'three' here; there are two.")
        for body in (GO, {**GO, "model": "two"}):
            assert (await client.post("/chat", json=body)).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_not_read(chunked: bool) -> None:
    async def pieces() -> Any:
        for _ in range(50):
            yield b"x" * 100

    async with gateway(max_body_bytes=1000) as client:
        content = pieces() if chunked else b"x" * 5000
        status, sentence = await refused(await client.post("/chat", content=content, headers=JSON))
        assert (status, "over 1000 bytes" in sentence) == (413, True)
        assert (await client.get("/models")).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"sessionId": "x"}, {"response": {"approved": True}}, {"sessionId": "x", "response": 1}]
)
async def test_an_answer_without_its_fields_is_refused(body: Any) -> None:
    async with gateway() as client:
        assert (await refused(await client.post("/chat/relay/r", json=body)))[0] == 400


async def test_a_last_event_id_that_is_none_is_refused() -> None:
    async with gateway(agent("Hi.")) as client:
        async with client.sse("/chat", method="POST", json=GO) as source:
            session = json.loads((await anext(aiter(source))).data)["sessionId"]
        for last in ("", "x", "other/1", "{}/x", "{}/-1", "{}/999999999999999999999", "{}/9999", "{}/٣"):
            headers = {"last-event-id": last.format(session).encode()}
            assert (await refused(await client.get(f"/chat/{session}", headers=headers)))[0] in {400, 409}, last


async def test_what_is_not_there_is_404_and_a_wrong_method_405() -> None:
    async with gateway() as client:
        assert (await refused(await client.get("/nothing")))[0] == 404
        assert (await refused(await client.get("/chat/no-such-session")))[0] == 404
        assert (await refused(await client.delete("/chat/no-such-session")))[0] == 404
        assert (await refused(await client.get("/chat")))[0] == 405


async def test_a_run_that_was_stopped_before_its_request_came_does_not_start() -> None:
    async with gateway() as client:
        await client.delete("/chat/stopped-before-it-came")
        reply = await client.post("/chat", json={**GO, "sessionId": "stopped-before-it-came"})
    assert (await refused(reply))[0] == 409


async def test_only_what_could_be_a_session_is_remembered_as_stopped() -> None:
    app = create_app(agent(), token=TOKEN)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with serve(app) as server, httpx2.AsyncClient(base_url=server.url, headers=headers) as client:
        for name in ("x" * 10_000, "short", "no.session-of-any-kind"):
            assert (await client.delete(f"/chat/{name}")).status_code == 404
        assert not app.state.sessions._gone


async def test_half_a_character_as_javascript_sends_it_is_read() -> None:
    body = b'{"messages": [{"role": "user", "content": "half \\ud83d"}]}'
    async with gateway(agent("Yes.")) as client:
        reply = await client.post("/chat", content=body, headers=JSON)
    assert reply.status_code == 200


def test_an_app_has_a_token_or_says_that_it_is_for_this_machine() -> None:
    with pytest.raises(ConfigurationError, match="loopback=True"):
        create_app(agent())
    for token in ("", "two words", "tökén", "line\nbreak"):
        with pytest.raises(ConfigurationError, match="printable ASCII"):
            create_app(agent(), token=token)


async def test_without_a_token_an_app_listens_on_loopback_alone() -> None:
    app = create_app(agent(), loopback=True)
    with pytest.raises(ConfigurationError, match="listens on loopback alone"):
        serve(app, host="0.0.0.0")


async def test_without_a_token_only_this_machine_is_answered() -> None:
    cases = [
        ({}, 200),
        ({"host": "localhost:1234"}, 200),
        ({"host": "evil.example"}, 403),  # a name that resolves to 127.0.0.1
        ({"origin": "http://evil.example"}, 403),  # a page in the user's browser
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"host": "["}, 403),
        ({"host": "localhost:1234", "origin": "http://localhost:1234"}, 200),
        ({"x-forwarded-for": "203.0.113.7"}, 403),  # a proxy on this machine that lets others in
    ]
    async with serve(create_app(agent(), loopback=True)) as server, httpx2.AsyncClient(base_url=server.url) as client:
        for headers, status in cases:
            assert (await client.get("/models", headers=headers)).status_code == status, headers


@given(st.ip_addresses())
def test_loopback_is_what_the_standard_says(address: Any) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    assert is_loopback(str(address)) == (mapped or address).is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST"])
def test_this_machine_has_these_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", None, "0.0.0.0", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example"])
def test_and_not_these(host: str | None) -> None:
    assert not is_loopback(host)
