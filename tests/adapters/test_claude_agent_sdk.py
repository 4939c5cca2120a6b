"""`from_claude_agent_sdk` with the real SDK, against a program that speaks Claude Code's protocol."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.frameworks import claude_agent_sdk

from llm_gateway_nb.adapters import from_claude_agent_sdk
from llm_gateway_nb.graph import fold
from llm_gateway_nb.notebook import start
from llm_gateway_nb.types import ReasoningEvent, RelayEvent, ToolCallEvent, ToolResultEvent

from .common import collect, kinds, only, said

FAKE = Path(__file__).parents[1] / "support" / "fake_claude.py"


class Claude:
    """A fake Claude Code with its script."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / "script.json"
        self._program = folder / "claude"
        self._program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "{self._script}" "$@"\n')
        self._program.chmod(0o755)

    def options(self, *steps: dict[str, Any]) -> Any:
        from claude_agent_sdk import ClaudeAgentOptions

        self._script.write_text(json.dumps(steps))
        return ClaudeAgentOptions(cli_path=self._program)

    @property
    def seen(self) -> Any:
        return json.loads(Path(f"{self._script}.seen").read_text())


@pytest.fixture
def claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Claude:
    monkeypatch.syspath_prepend(str(claude_agent_sdk()))
    return Claude(tmp_path)


def assistant(*content: dict[str, Any], key: str = "m1", parent: str | None = None) -> dict[str, Any]:
    message = {"id": key, "role": "assistant", "model": "claude", "content": list(content)}
    return {"say": {"type": "assistant", "message": message, "parent_tool_use_id": parent, "session_id": "s"}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def use(key: str, name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": key, "name": name, "input": given}


def result(key: str, content: str, *, parent: str | None = None, when: str | None = None) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": key, "content": content, "is_error": when == "deny"}
    message = {"role": "user", "content": [block]}
    said = {"type": "user", "message": message, "parent_tool_use_id": parent, "session_id": "s"}
    return {"say": said, **({"if": when} if when else {})}


def stream(event: dict[str, Any]) -> dict[str, Any]:
    return {"say": {"type": "stream_event", "uuid": "u", "session_id": "s", "event": event}}


def end(**more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5}
    said = {"type": "result", "subtype": "success", "duration_ms": 1, "duration_api_ms": 1, "is_error": False}
    return {"say": {**said, "num_turns": 1, "session_id": "s", "result": "done", "usage": usage, **more}}


def ask(key: str, tool: str, **given: Any) -> dict[str, Any]:
    return {"ask": {"tool_name": tool, "input": given, "tool_use_id": key}}


async def test_deltas_stream_and_the_whole_message_adds_nothing(claude: Claude) -> None:
    options = claude.options(
        stream({"type": "message_start", "message": {"id": "m1"}}),
        stream({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        stream({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hel"}}),
        stream({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}}),
        assistant({"type": "thinking", "thinking": "hm", "signature": "x"}, text("Hello")),
        end(),
    )
    events = await collect(from_claude_agent_sdk(options, "Hi?"))
    assert [event.content for event in events if event.type == "text"] == ["Hel", "lo"]
    assert [event.content for event in only(events, ReasoningEvent)] == ["hm"]
    assert (events[-1].reason, events[-1].total_usage.input_tokens) == ("final", 7)
    assert claude.seen["prompt"] == "Hi?"


@pytest.mark.parametrize(
    ("answer", "status", "output"),
    [
        ({"approved": True}, "ok", "ran {'behavior': 'allow', 'updatedInput': {'command': 'ls'}}"),
        (
            {"approved": True, "input": {"command": "pwd"}},
            "ok",
            "ran {'behavior': 'allow', 'updatedInput': {'command': 'pwd'}}",
        ),
        ({"approved": False, "reason": "not today"}, "denied", "Denied: not today"),
    ],
)
async def test_a_permission_request_is_a_question(claude: Claude, answer: Any, status: str, output: str) -> None:
    options = claude.options(
        assistant(use("c1", "Bash", command="ls")),
        ask("c1", "Bash", command="ls"),
        result("c1", "ran {answer}", when="allow"),
        result("c1", "refused", when="deny"),
        assistant(text("done"), key="m2"),
        end(),
    )
    events = await collect(from_claude_agent_sdk(options, "go"), answer)
    (relay,) = only(events, RelayEvent)
    (told,) = only(events, ToolResultEvent)
    assert (relay.tool, relay.params, relay.tool_call_id) == ("Bash", {"command": "ls"}, told.id)
    assert (told.status, told.output) == (status, output)
    assert only(events, ToolCallEvent)[-1].input == answer.get("input", {"command": "ls"})
    assert [node.status for node in fold(events).nodes if node.kind == "relay"] == [
        "denied" if status == "denied" else "approved"
    ]
    assert said(events) == "done"


async def test_rules_answer_for_the_person(claude: Claude) -> None:
    options = claude.options(
        assistant(use("c1", "Bash", command="ls")), ask("c1", "Bash", command="ls"), result("c1", "a"), end()
    )
    rules = {"allowlist": [{"tool": "Bash", "params": {"command": "ls *"}}]}
    outcome = await start(from_claude_agent_sdk(options), "go", permissions=rules, panel=False)
    assert not only(outcome.events, RelayEvent)
    assert outcome.reason == "final"


async def test_a_subagent_is_shown_in_its_call(claude: Claude) -> None:
    options = claude.options(
        assistant(use("c1", "Task", prompt="look")),
        assistant(text("looking"), use("i1", "Read", path="x"), key="m2", parent="c1"),
        result("i1", "content", parent="c1"),
        result("c1", "found"),
        assistant(text("so it is"), key="m3"),
        end(),
    )
    events = await collect(from_claude_agent_sdk(options, "go"))
    starts = [event for event in events if event.type == "harness_start"]
    assert [event.parent_id for event in starts] == [None, f"{starts[0].run_id}/c1"]
    (node,) = [node for node in fold(events).roots[0].children if node.kind == "tool"]
    (child,) = [child for child in node.children if child.kind == "run"]
    assert ([below.kind for below in child.children], child.status) == (["text", "tool"], "final")


async def test_the_next_run_goes_on_with_the_session(claude: Claude) -> None:
    harness = from_claude_agent_sdk(claude.options(assistant(text("one")), end()))
    first = await start(harness, "1?", panel=False)
    await start(harness, "2?", messages=first.messages, panel=False)
    assert "--resume=s" in claude.seen["argv"]


async def test_an_error_result_is_an_error_and_the_end(claude: Claude) -> None:
    events = await collect(from_claude_agent_sdk(claude.options(end(is_error=True, result="out of credit")), "go"))
    assert kinds(events) == ["harness_start", "error", "harness_end"]
    assert events[-1].reason == "error"


async def test_a_stop_ends_the_program_and_leaves_no_task(claude: Claude) -> None:
    before = asyncio.all_tasks()
    live = start(from_claude_agent_sdk(claude.options(assistant(text("wait")), {"wait": True}), "go"), panel=False)
    async with asyncio.timeout(30):
        async for event in live:
            if event.type == "text":
                break
        live.cancel()
        outcome = await live
    assert outcome.reason == "cancelled"
    assert asyncio.all_tasks() == before
