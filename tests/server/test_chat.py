"""The server over the wire, on a real uvicorn: `/chat`, its questions, what comes back after a cut, and how it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from support.clock import jump
from support.gateway import GO, Held, add, agent, frames, gateway
from support.waiting import settle, until

from llm_gateway_nb import create_agent_harness, tool
from llm_gateway_nb.permissions import PermissionPolicy
from llm_gateway_nb.server import create_app, serve
from llm_gateway_nb.testing import ScriptedLLM, Turn, call
from llm_gateway_nb.tools import agent_tool
from llm_gateway_nb.types import ToolContext as ToolContext_

YES = {"approved": True}
ALLOWED = {**GO, "permissions": {"allowlist": ["add"]}}
EVERYTHING = PermissionPolicy()


async def chat(client: httpx2.AsyncClient, body: dict[str, Any] = GO, response: Any = YES) -> list[dict[str, Any]]:
    """A whole chat; each question gets the same response."""
    events, session = [], ""
    async with frames(client, json=body) as stream:
        async for event in stream:
            events.append(event)
            session = event.get("sessionId", session)
            if event["type"] == "relay":
                answer = {"sessionId": session, "response": response}
                reply = await client.post(f"/chat/relay/{event['id']}", json=answer)
                assert reply.json() == {"success": True}
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events if event["type"] not in {"text", "usage"}]


async def test_a_chat_begins_with_connected_and_ends_with_done() -> None:
    async with gateway(agent("Hello there.")) as client:
        events = await chat(client)
    assert kinds(events) == ["connected", "harness_start", "harness_end", "done"]
    assert "".join(event["content"] for event in events if event["type"] == "text") == "Hello there."
    session = events[0]["sessionId"]
    assert [event["#"] for event in events] == [f"{session}/{number}" for number in range(len(events))]
    assert [event["seq"] for event in events[1:]] == list(range(1, len(events)))
    assert len({event["agentId"] for event in events[1:-1]}) == 1
    assert events[-1]["reason"] == "complete"


async def test_a_question_is_answered_by_a_second_request_and_nobody_sees_how_to_answer_it_in_process() -> None:
    async with gateway() as client:
        events = await chat(client)
    assert kinds(events)[2:6] == ["relay", "relay_answer", "tool_call", "tool_result"]
    relay = next(event for event in events if event["type"] == "relay")
    assert "respond" not in relay
    assert (relay["tool"], relay["params"]) == ("add", {"a": 1, "b": 2})
    result = next(event for event in events if event["type"] == "tool_result")
    assert (result["output"], result["status"]) == ("3", "ok")


async def test_a_denial_carries_its_reason_to_the_model() -> None:
    async with gateway() as client:
        events = await chat(client, response={"approved": False, "reason": "not today"})
    result = next(event for event in events if event["type"] == "tool_result")
    assert (result["status"], "not today" in result["output"]) == ("denied", True)


async def test_edited_arguments_are_what_runs() -> None:
    async with gateway() as client:
        events = await chat(client, response={"approved": True, "input": {"a": 20, "b": 22}})
    assert next(event for event in events if event["type"] == "tool_result")["output"] == "42"


async def test_always_holds_for_the_rest_of_the_run() -> None:
    same = call("add", a=1, b=2)
    async with gateway(agent(same, same, "Done.")) as client:
        events = await chat(client, response={"approved": True, "always": True})
    assert kinds(events).count("relay") == 1
    assert kinds(events).count("tool_result") == 2


async def test_unanswerable_answers_are_told_apart() -> None:
    held = Held()
    async with gateway(agent([call("add", a=1, b=2), call("hold")], "x"), tools=[add, held.tool]) as client:
        async with frames(client) as stream:
            session = (await anext(stream))["sessionId"]
            relays = [event async for event in take(stream, 2, "relay")]

            async def answer(relay_id: str, session_id: str = session) -> tuple[int, str]:
                body = {"sessionId": session_id, "response": YES}
                reply = await client.post(f"/chat/relay/{relay_id}", json=body)
                return reply.status_code, reply.json().get("error", "")

            assert (await answer("no-such-relay"))[0] == 404
            assert (await answer(relays[0]["id"], "no-such-session"))[0] == 404
            assert (await answer(relays[0]["id"]))[0] == 200
            status, sentence = await answer(relays[0]["id"])
            assert (status, "has been answered" in sentence) == (409, True)


async def take(stream: Any, count: int, kind: str) -> Any:
    async for event in stream:
        if event["type"] == kind:
            yield event
            count -= 1
            if not count:
                return


async def test_two_readers_see_the_same_and_who_decided() -> None:
    async with gateway() as client:
        async with frames(client) as first:
            session = (await anext(first))["sessionId"]
            async with frames(client, method="GET", url=f"/chat/{session}") as second:
                relay = await anext(take(second, 1, "relay"))
                await client.post(f"/chat/relay/{relay['id']}", json={"sessionId": session, "response": YES})
                rest = [event async for event in second]
            assert kinds(rest)[0] == "relay_answer"
            seen = [event async for event in first]
            assert seen[-len(rest) :] == rest


async def test_what_was_cut_off_is_read_on_without_loss_or_double() -> None:
    gate = asyncio.Event()
    words = " ".join(str(number) for number in range(50))
    async with gateway(agent(Turn(text=words, wait=gate.wait))) as client:
        got: list[dict[str, Any]] = []
        async with frames(client) as stream:
            async for event in stream:
                got.append(event)
                if len(got) == 20:
                    break
        gate.set()
        last, session = got[-1]["#"], got[0]["sessionId"]
        async with frames(client, method="GET", url=f"/chat/{session}", headers={"last-event-id": last}) as stream:
            rest = [event async for event in stream]
        assert (rest[0]["type"], rest[0]["#"]) == ("connected", last)
        whole = [*got, *rest[1:]]
        assert [event["#"] for event in whole] == [f"{session}/{number}" for number in range(len(whole))]
        assert "".join(event["content"] for event in whole if event["type"] == "text") == words
        async with frames(client, headers={"last-event-id": last}) as stream:  # a POST again starts nothing anew
            assert [event async for event in stream] == rest
        again = await client.get(f"/chat/{session}", headers={"last-event-id": whole[-1]["#"]})
        assert again.status_code == 204


async def test_the_same_request_twice_is_one_run_and_another_one_under_its_id_is_refused() -> None:
    model = ScriptedLLM(["Once."])
    body = {**GO, "sessionId": "chosen-by-the-client"}
    async with gateway(create_agent_harness(model)) as client:
        first = await chat(client, body)
        assert await chat(client, body) == first
        other = await client.post("/chat", json={**body, "context": "more"})
        assert (other.status_code, "another request" in other.json()["error"]) == (409, True)
    assert len(model.requests) == 1


async def test_a_client_that_leaves_stops_its_agents_after_the_grace_time() -> None:
    held = Held()
    harness = agent([call("hold"), call("add", a=1, b=2)], "x")
    async with gateway(harness, tools=[add, held.tool], policy=EVERYTHING, grace_seconds=0.05) as client:
        body = {**GO, "permissions": {"allowlist": ["hold"]}}
        async with frames(client, json=body) as stream:
            session = (await anext(stream))["sessionId"]
            await held.started.wait()
        await asyncio.wait_for(held.cancelled.wait(), 30)
        await until(lambda: not len(client.app.state.sessions))
        gone = await client.get(f"/chat/{session}")
        assert (gone.status_code, session in gone.json()["error"]) == (404, True)


async def test_a_client_that_comes_back_in_time_finds_its_run_running() -> None:
    held = Held()
    async with gateway(agent(call("hold"), "Done."), tools=[held.tool], policy=EVERYTHING, grace_seconds=300) as client:
        body = {**GO, "permissions": {"allowlist": ["hold"]}}
        async with frames(client, json=body) as stream:
            session = (await anext(stream))["sessionId"]
            await held.started.wait()
        await until(lambda: not client.app.state.sessions.get(session)._readers)
        async with frames(client, method="GET", url=f"/chat/{session}") as stream:
            await anext(stream)
            jump(400)  # the grace time is over, but only for those who are away
            await settle()
            held.release.set()
            rest = [event async for event in stream]
    assert rest[-1]["reason"] == "complete"
    assert next(event for event in rest if event["type"] == "tool_result")["output"] == "held"


async def test_a_stop_reaches_subagents_and_their_tools_and_the_stream_says_so() -> None:
    held = Held()
    harness = agent(call("agent", task="Hold."), call("hold"))
    async with gateway(harness, tools=[agent_tool, held.tool], policy=EVERYTHING) as client:
        async with frames(client, json={**GO, "permissions": {"allowlist": ["agent", "hold"]}}) as stream:
            session = (await anext(stream))["sessionId"]
            await held.started.wait()
            assert (await client.delete(f"/chat/{session}")).json() == {"success": True}
            rest = [event async for event in stream]
    assert held.cancelled.is_set()
    assert [event["reason"] for event in rest if event["type"] == "harness_end"] == ["cancelled", "cancelled"]
    assert rest[-1]["reason"] == "stopped"


async def test_many_clients_at_once_get_their_own_runs() -> None:
    @tool
    async def say(ctx: ToolContext_, word: str) -> str:
        """Say."""
        return word

    class PerRun:
        """A script for each invoke."""

        async def supported_models(self) -> list[str]:
            return ["m"]

        model = "m"

        def invoke(self, params: Any) -> Any:
            word = params.messages[-1].content
            return create_agent_harness(ScriptedLLM([call("say", word=word), f"said {word}"])).invoke(params)

    async with gateway(PerRun(), tools=[say]) as client:
        bodies = [{"messages": [{"role": "user", "content": f"w{number}"}]} for number in range(30)]
        runs = await asyncio.gather(*(chat(client, body) for body in bodies))
    assert len({events[0]["sessionId"] for events in runs}) == 30
    for number, events in enumerate(runs):
        texts = "".join(event["content"] for event in events if event["type"] == "text")
        assert texts == f"said w{number}"
        assert next(event for event in events if event["type"] == "tool_result")["output"] == f"w{number}"


async def test_the_policy_wins_over_a_callers_allowlist() -> None:
    async with gateway(policy=PermissionPolicy(allow=["other"])) as client:
        events = await chat(client, ALLOWED)
    result = next(event for event in events if event["type"] == "tool_result")
    assert (result["status"], "policy" in result["output"]) == ("denied", True)
    assert "relay" not in kinds(events)


async def test_within_the_policy_a_callers_permissions_count() -> None:
    async with gateway(policy=PermissionPolicy(allow=["add"])) as client:
        events = await chat(client, ALLOWED)
    assert "relay" not in kinds(events)
    assert next(event for event in events if event["type"] == "tool_result")["output"] == "3"


async def test_without_a_policy_nothing_is_granted_in_advance() -> None:
    async with gateway() as client:
        events = await chat(client, ALLOWED, response={"approved": False})
    assert kinds(events).count("relay") == 1


async def test_a_slow_reader_holds_the_run_back_and_loses_nothing() -> None:
    words = " ".join(["word"] * 3000)
    async with gateway(agent(words), keep_bytes=20_000) as client:
        async with frames(client) as stream:
            session = (await anext(stream))["sessionId"]
            log = client.app.state.sessions.get(session).log
            size = 0
            async for event in stream:
                size += len(event.get("content", ""))
    assert size == len(words)
    assert len(log._frames) < 300  # about 20 kB of them: memory has a bound


async def test_what_is_not_kept_any_more_is_said_so() -> None:
    async with gateway(agent(" ".join(["word"] * 3000)), keep_bytes=20_000) as client:
        events = await chat(client)
        gone = await client.get(f"/chat/{events[0]['sessionId']}", headers={"last-event-id": events[1]["#"]})
    assert (gone.status_code, "are not here" in gone.json()["error"]) == (409, True)


async def test_a_silent_stream_sends_comments() -> None:
    held = Held()
    async with gateway(agent(call("hold"), "x"), tools=[held.tool], keep_alive_seconds=0.02) as client:
        async with client.stream("POST", "/chat", json=GO) as response:
            text = ""
            async for part in response.aiter_text():
                text += part
                if ": ping\n\n: ping\n\n" in text:
                    break
    assert ": ping\n\n: ping\n\n" in text


async def test_a_server_that_shuts_down_ends_its_runs_and_their_streams() -> None:
    held = Held()
    app = create_app(agent(call("hold"), "x"), tools=[held.tool], policy=EVERYTHING, loopback=True)
    async with httpx2.AsyncClient() as client:
        async with serve(app) as server:
            client.base_url = server.url
            reading = asyncio.create_task(chat(client, {**GO, "permissions": {"allowlist": ["hold"]}}))
            await held.started.wait()
        events = await reading
    assert held.cancelled.is_set()
    assert kinds(events)[-2:] == ["harness_end", "done"]
    assert events[-1]["reason"] == "shutdown"


async def test_too_many_runs_at_once_are_refused_and_finished_ones_make_room() -> None:
    held = Held()
    async with gateway(agent(call("hold"), "a", "b"), tools=[held.tool], policy=EVERYTHING, max_sessions=1) as client:
        async with frames(client, json={**GO, "permissions": {"allowlist": ["hold"]}}) as stream:
            await held.started.wait()
            refused = await client.post("/chat", json=GO)
            assert (refused.status_code, "try again later" in refused.json()["error"]) == (429, True)
            held.release.set()
            assert [event async for event in stream][-1]["type"] == "done"
        await until(lambda: all(session.idle for session in client.app.state.sessions._sessions.values()))
        assert (await chat(client))[-1]["reason"] == "complete"


async def test_a_harness_that_raises_is_an_error_event_and_the_server_goes_on() -> None:
    class Broken:
        model = "m"

        async def supported_models(self) -> list[str]:
            return []

        async def invoke(self, params: Any) -> Any:
            raise RuntimeError("boom")
            yield

    async with gateway(Broken()) as client:
        events = await chat(client)
        assert [event["error"] for event in events if event["type"] == "error"] == [
            {"name": "RuntimeError", "message": "boom"}
        ]
        assert (await client.get("/models")).status_code == 200


@pytest.mark.parametrize("mode", ["agent", None])
async def test_a_mode_picks_the_harness(mode: str | None) -> None:
    async with gateway({"agent": agent("An agent."), "rlm": agent("An RLM.")}) as client:
        events = await chat(client, {**GO, "mode": mode} if mode else GO)
        assert "".join(event["content"] for event in events if event["type"] == "text") == "An agent."
        other = await chat(client, {**GO, "mode": "rlm"})
        assert "".join(event["content"] for event in other if event["type"] == "text") == "An RLM."
        refused = await client.post("/chat", json={**GO, "mode": "graph"})
        assert refused.json() == {"error": "There is no mode 'graph'; there are agent, rlm."}
