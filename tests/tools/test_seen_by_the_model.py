"""Images and documents that a tool gives: the model really sees them, whatever service it is on."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from support import anthropic_server, openai_server

from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.providers import create_llm
from llm_gateway_nb.tools import read_tool
from llm_gateway_nb.types import ToolMessage

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PDF = b"%PDF-1.7\n" + bytes(20)
PATHS = ["dot.png", "paper.pdf", "notes.txt"]
RULES = {"allowlist": ["read"]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in zip(PATHS, [PNG, PDF, b"words\n"], strict=True):
        (tmp_path / name).write_bytes(content)


def calls_openai() -> Any:
    calls = [
        {"index": n, "id": f"c{n}", "function": {"name": "read", "arguments": json.dumps({"path": path})}}
        for n, path in enumerate(PATHS)
    ]
    return openai_server.stream(openai_server.chunk({"tool_calls": calls}, finish="tool_calls"))


def calls_anthropic() -> Any:
    blocks = [
        anthropic_server.call_block(n, f"c{n}", "read", json.dumps({"path": path})) for n, path in enumerate(PATHS)
    ]
    return anthropic_server.stream(anthropic_server.start(), *blocks, anthropic_server.end("tool_use"))


async def second_request(provider: str, server: Any) -> list[Any]:
    async with create_llm(provider, "m", base_url=server.base_url, api_key="k", max_retries=0) as llm:
        agent = create_agent_harness(llm)
        messages = [{"role": "user", "content": "look"}]
        async for _ in agent.invoke(messages=messages, tools=[read_tool], permissions=RULES):
            pass
    messages = server.requests[1]["messages"]
    assert isinstance(messages, list)
    return messages


@pytest.mark.usefixtures("here")
async def test_anthropic_gets_them_inside_the_results() -> None:
    async with anthropic_server.serve(calls_anthropic(), anthropic_server.text("seen")) as server:
        messages = await second_request("anthropic", server)
    image, document, text = (block["content"] for block in messages[-1]["content"])
    assert [block["tool_use_id"] for block in messages[-1]["content"]] == ["c0", "c1", "c2"]
    source = {"type": "base64", "media_type": "image/png", "data": b64encode(PNG).decode()}
    assert image == [{"type": "image", "source": source}]
    source = {"type": "base64", "media_type": "application/pdf", "data": b64encode(PDF).decode()}
    assert document == [{"type": "document", "source": source}]
    assert text == "   1 | words"


@pytest.mark.usefixtures("here")
async def test_the_openai_family_gets_them_in_a_message_after_all_results() -> None:
    async with openai_server.serve(calls_openai(), openai_server.text("seen")) as server:
        messages = await second_request("openai", server)
    *results, shown = messages[2:]
    assert [(message["role"], message["tool_call_id"]) for message in results] == [
        *(("tool", "c0"), ("tool", "c1"), ("tool", "c2"))
    ]
    assert results[2]["content"] == "   1 | words"
    image, file = shown["content"]
    assert image["image_url"]["url"] == f"data:image/png;base64,{b64encode(PNG).decode()}"
    assert file["file"] == {
        "filename": "document.pdf",
        "file_data": f"data:application/pdf;base64,{b64encode(PDF).decode()}",
    }


def test_they_are_content_parts_of_the_history() -> None:
    message = ToolMessage.model_validate(
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "image", "mediaType": "image/png", "data": "AAAA"}]}
    )
    assert ToolMessage.model_validate(message.model_dump()) == message
