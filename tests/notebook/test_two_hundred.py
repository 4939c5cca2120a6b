"""Two hundred agents with panels in one kernel: nothing is lost, doubled or out of order, and every button works."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.frontend import FrontEnd, open_front_end

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(480)]

AGENTS = 200
ASKING = 40

CODE = f"""
import asyncio, json
from llm_gateway_nb import agent_tool, create_agent_harness, start, tool
from llm_gateway_nb.testing import ScriptedLLM, call

together = 0
most = 0

@tool
async def work(n: int) -> str:
    "Work until all of those that need not ask are at work."
    global together, most
    together += 1
    most = max(most, together)
    while most < {AGENTS - ASKING} and n >= {ASKING}:
        await asyncio.sleep(0.01)
    print("at work", n)
    return f"worked {{n}}"

def agent(n):
    return create_agent_harness(ScriptedLLM([["Let me look. ", call("work", n=n)], "word " * 30 + f"of {{n}}"]))

def rules(n):
    return {{}} if n < {ASKING} else {{"allowlist": ["work"]}}

runs = [start(agent(n), f"go {{n}}", tools=[work], permissions=rules(n), title=f"agent {{n}}") for n in range({AGENTS})]
results = await asyncio.gather(*runs)
print(json.dumps({{
    "most": most,
    "reasons": sorted({{result.reason for result in results}}),
    "texts": [result.text for result in results] == ["word " * 30 + f"of {{n}}" for n in range({AGENTS})],
    "whole": all([event.seq for event in result.events] == list(range(len(result.events))) for result in results),
    "kinds": sorted({{" ".join(event.type for event in result.events if event.type not in ("text", "relay")) for result in results}}),
    "words": sorted({{sum(event.type == "text" for event in result.events) for result in results}}),
    "asked": sum(event.type == "relay" for result in results for event in result.events),
}}))
"""


class Page:
    """Shows all panels, and clicks Approve wherever somebody asks."""

    def __init__(self, front_end: FrontEnd) -> None:
        self.front_end = front_end
        self.panels: dict[str, dict[int, dict[str, Any]]] = {}
        self.seq: dict[str, int] = {}
        self.clicked: set[str] = set()
        self._read = 0

    def act(self) -> None:
        """Take in what has come, as the page's script does: a snapshot replaces, a patch goes on from the last number; where
        a number is missing (a busy machine drops what nobody fetches in time) it asks for a snapshot."""
        for comm_id in [*self.front_end.comms]:
            if comm_id not in self.panels and self.front_end.comms[comm_id]["target_name"] == "jupyter.widget":
                self.panels[comm_id] = {}
                self.tell(comm_id, {"k": "ready"})
        for comm_id, data in self.front_end.comm_messages[self._read :]:
            content = data.get("content") if isinstance(data, dict) else None
            if isinstance(content, dict) and content.get("k") in ("patch", "snapshot"):
                self.take(comm_id, content)
        self._read = len(self.front_end.comm_messages)

    def ask_whether_it_has_all(self) -> None:
        """As a page does in a silence."""
        for comm_id, seq in self.seq.items():
            self.tell(comm_id, {"k": "ready", "seq": seq})

    def has_all(self) -> bool:
        self.act()
        return len(self.seq) == AGENTS and all(map(_is_whole, self.panels.values()))

    def tell(self, comm_id: str, content: dict[str, Any]) -> None:
        self.front_end.send(comm_id, {"method": "custom", "content": content})

    def take(self, comm_id: str, content: dict[str, Any]) -> None:
        nodes = self.panels[comm_id]
        if content["k"] == "snapshot":
            if content["part"] == 0:
                nodes.clear()
        elif comm_id not in self.seq:
            return  # before its first snapshot
        elif content["seq"] != self.seq[comm_id] + 1:
            del self.seq[comm_id]
            self.tell(comm_id, {"k": "ready"})
            return
        self.seq[comm_id] = content["seq"]
        for operation in content["ops"]:
            match operation:
                case ["n", key, _, kind, props]:
                    nodes[key] = {**props, "kind": kind}
                case ["+", key, stream, text]:
                    nodes[key][f"{stream}:"] = nodes[key].get(f"{stream}:", "") + text
                case ["s", key, props]:
                    nodes[key].update(props | {"kind": nodes[key]["kind"]})
        for node in nodes.values():
            if node["kind"] == "relay" and node.get("status") == "pending" and node["id"] not in self.clicked:
                self.clicked.add(node["id"])
                self.tell(comm_id, {"k": "relay", "id": node["id"], "approved": True})


def _is_whole(nodes: dict[int, dict[str, Any]]) -> bool:
    texts = [node["text:"] for node in nodes.values() if node["kind"] == "text"]
    asked = [node["text:"] for node in nodes.values() if node["kind"] == "user"]
    return texts[-1:] == ["word " * 30 + f"of {name.removeprefix('go ')}" for name in asked]


@pytest.fixture
def front_end(tmp_path: Path) -> Iterator[FrontEnd]:
    with open_front_end(Path(sys.executable), tmp_path) as front_end:
        yield front_end


def test_two_hundred_agents_with_panels_lose_nothing_and_every_button_works(front_end: FrontEnd) -> None:
    page = Page(front_end)
    cell = front_end.submit(CODE)

    def over() -> bool:
        page.act()
        return cell.done

    front_end.wait(over, "the end of all agents", 300)
    assert cell.error is None, cell.outputs
    told = json.loads(cell.text.splitlines()[-1])
    assert (told["most"], told["asked"], told["reasons"]) == (AGENTS, ASKING, ["final"])
    assert told["texts"], "every answer is whole, and its own agent's"
    assert told["whole"], "events are numbered without a gap"
    assert len(told["words"]) == 1, "nobody has a word more or less than another"
    for kinds in told["kinds"]:
        assert [kinds.count(kind) for kind in ("harness_start", "tool_call", "tool_result", "harness_end")] == [1] * 4
    assert len(page.clicked) == ASKING
    page.ask_whether_it_has_all()
    front_end.wait(page.has_all, "the whole of every run on the page", 60)
    assert front_end.evaluate("1 + 1") == "2"
