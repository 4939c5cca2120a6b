"""`POST /summarize`: a conversation in short, by the model alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.gateway import GO, agent, frames, gateway

from llm_gateway_nb.errors import ProviderAPIError
from llm_gateway_nb.testing import ScriptedLLM

SUMMARY = json.dumps({"summary": "They said go.", "key_points": ["go"], "confidence": 0.9})
ASK = {**GO, "sourceIds": ["a", "b"]}


async def summarize(client: Any, body: Any = ASK) -> list[dict[str, Any]]:
    async with frames(client, url="/summarize", method="POST", json=body) as stream:
        return [event async for event in stream]


async def test_a_summary_names_its_sources_first_and_then_streams() -> None:
    model = ScriptedLLM([SUMMARY])
    async with gateway(agent(), llm=model) as client:
        events = await summarize(client)
    assert [event["type"] for event in events] == ["connected", "harness_start", "text", "harness_end", "done"]
    assert events[0]["sourceIds"] == ["a", "b"]
    assert events[2]["content"] == "They said go."
    assert "user: go" in str(model.requests[0].messages)


async def test_a_model_that_is_served_sums_up_by_itself() -> None:
    async with gateway(ScriptedLLM([SUMMARY])) as client:
        assert (await summarize(client))[2]["content"] == "They said go."


async def test_bad_requests_are_told() -> None:
    async with gateway(ScriptedLLM([SUMMARY])) as client:
        for body in ({}, GO, {**ASK, "messages": []}, {**ASK, "sourceIds": "a"}):
            assert (await client.post("/summarize", json=body)).status_code == 400
        assert (
            await client.post("/summarize", content="no", headers={"content-type": "text/plain"})
        ).status_code == 400
    async with gateway(agent()) as client:
        reply = await client.post("/summarize", json=ASK)
        assert (reply.status_code, "llm=" in reply.json()["error"]) == (404, True)


async def test_a_model_that_fails_is_an_error_event() -> None:
    async with gateway(ScriptedLLM([ProviderAPIError("down")])) as client:
        events = await summarize(client)
    assert [event["type"] for event in events][-3:] == ["error", "harness_end", "done"]
    assert events[-2]["reason"] == "error"


async def test_a_message_that_names_a_file_does_not_make_the_server_read_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    model = ScriptedLLM([SUMMARY])
    async with gateway(model) as client:
        await summarize(client, {**ASK, "messages": [{"role": "user", "content": str(secret)}]})
    assert "the secret" not in str(model.requests)
    assert str(secret) in str(model.requests)
