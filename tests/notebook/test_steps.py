"""A run as a page to step through: what each step shows, and what the page never holds."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings

from llm_gateway_nb import agent_tool, bash_tool, create_agent_harness, run
from llm_gateway_nb.notebook import RunResult, steps
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.testing.strategies import event_streams
from llm_gateway_nb.types import HarnessEvent


def sections(html: str) -> list[str]:
    return re.findall(r"<section>(.*?)</section>", html, re.S)


def captions(html: str) -> list[str]:
    return re.findall(r'aria-label="([^"]*)"', html)


async def a_run(**options: Any) -> RunResult:
    script = {
        "Say hi.": [
            ["I ask. ", call("agent", task="Tidy up."), call("bash", command="echo hi")],
            "**Done.**",
        ],
        "Tidy up.": [call("bash", command="rm notes"), "I was not allowed to."],
    }
    return await run(
        create_agent_harness(ScriptedLLM(script)),
        "Say hi.",
        tools=[agent_tool, bash_tool],
        permissions={"allowlist": ["agent", {"tool": "bash", "params": {"command": "echo *"}}]},
        approvals="deny",
        panel=False,
        **options,
    )


async def test_each_step_shows_what_there_was_by_then_and_the_last_one_the_whole_run() -> None:
    result = await a_run()
    html = result.to_html(steps=True)
    told, pictures = captions(html), sections(html)
    assert len(told) == len(pictures)
    assert told[:3] == ["The person asks", "The model writes", "agent is called"]
    assert told[-1] == "The end: final"
    asking = pictures[told.index("bash asks for leave")]
    assert "waiting for an answer" in asking
    assert "I was not allowed to." not in asking
    assert result.to_html() in pictures[-1]


async def test_a_text_is_one_step_at_its_last_word() -> None:
    told = captions((await a_run()).to_html(steps=True))
    assert told.count("The model writes") == 3  # the agent's two, the subagent's one


async def test_a_page_needs_no_script_and_fetches_nothing() -> None:
    html = (await a_run(title="</title><script>alert(1)</script>")).to_html(steps=True)
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:""", html)


async def test_a_very_long_run_is_told_in_fewer_steps_with_its_beginning_and_its_end(monkeypatch: Any) -> None:
    result = await a_run()
    whole = captions(result.to_html(steps=True))
    monkeypatch.setattr(steps, "_MOST_BYTES", len(result.to_html()) * 3)
    fewer = captions(result.to_html(steps=True))
    assert len(fewer) < len(whole)
    assert fewer[0] == whole[0]
    assert fewer[-1] == whole[-1]


@settings(max_examples=30, deadline=None)
@given(event_streams())
def test_any_stream_can_be_stepped_through(events: list[HarnessEvent]) -> None:
    html = steps.steps_html(events)
    assert len(sections(html)) == len(captions(html)) >= 1
    assert html.count(" checked") == 1
