"""One of each thing that the package draws, with any text where a text of others may stand."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from llm_gateway_nb import Permissions, bash_tool, create_agent_harness, create_rlm_harness
from llm_gateway_nb.graph import fold
from llm_gateway_nb.graph.tree import RunTree
from llm_gateway_nb.notebook.compare_html import comparison_html
from llm_gateway_nb.notebook.compare_steps import Case
from llm_gateway_nb.notebook.result import RunResult, result_of
from llm_gateway_nb.notebook.show import html_of
from llm_gateway_nb.notebook.static_html import static_html
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.primitives import AsyncQueue, create_passthrough, deferred
from llm_gateway_nb.processing.summarizer import Summary
from llm_gateway_nb.providers.response import GenerateResponse
from llm_gateway_nb.testing import ScriptedLLM
from llm_gateway_nb.types import (
    AssistantMessage,
    BudgetRelayEvent,
    CompactionEvent,
    DocumentContentPart,
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ImageContentPart,
    ReasoningEvent,
    RelayAnswerEvent,
    RelayEvent,
    ReplInputEvent,
    ReplOutputEvent,
    SystemMessage,
    TextContentPart,
    TextEvent,
    ToolCall,
    ToolCallEvent,
    ToolDefinition,
    ToolExecutionResult,
    ToolMessage,
    ToolProgressEvent,
    ToolResultEvent,
    UsageEvent,
    UserEvent,
    UserMessage,
)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

_PLAN = """# Plan

1. **fix** `area.py`, see [the issue](https://example.org/7)
2. count the lines ~~by hand~~

> quoted, with `code`

| file | lines |
|:--|--:|
| area.py | 2 |

```python
def area(r: float) -> float:
    return 3.14159 * r**2  # enough digits
```
"""
_PATCH = """*** Begin Patch
*** Update File: area.py
@@ def area(r):
-    return 3 * r
+    return 3.14159 * r**2
*** End Patch"""
_TABLE = (
    "<table><thead><tr><th></th><th>price</th></tr></thead><tbody><tr><th>mean</th><td>4.81</td></tr></tbody></table>"
)
_TRACEBACK = (
    "\x1b[31mTraceback\x1b[0m (most recent call last):\n  \x1b[32m1\x1b[0m \x1b[35mfloat\x1b[0m(\x1b[36m'x'\x1b[0m)\n"
    "\x1b[31mValueError\x1b[0m: could not convert string to float: 'x'"
)


def story() -> RunTree:
    """A run to its end: nested agents, a patch, a REPL, answered questions, failures."""
    return fold(event.model_copy(update={"timestamp": 100.0 + number / 4}) for number, event in enumerate(_story()))


def _story() -> list[HarnessEvent]:
    rule: Any = {"tool": "bash", "params": {"command": "wc *"}}
    return [
        UserEvent(run_id="u", content="Fix `area.py` and count its lines."),
        HarnessStartEvent(run_id="r", model="scripted", max_iterations=6),
        ReasoningEvent(run_id="r", id="think", content="First the *formula*, [then](https://example.org) the lines."),
        TextEvent(run_id="r", id="t1", content=_PLAN),
        RelayEvent(run_id="r", id="q-patch", tool_call_id="patch", tool="patch", params={"patch": _PATCH}),
        RelayAnswerEvent(run_id="r", id="q-patch", approved=True, by="person"),
        ToolCallEvent(run_id="r", id="patch", name="patch", input={"patch": _PATCH, "path": "."}),
        ToolResultEvent(run_id="r", id="patch", name="patch", output="M area.py", status="ok"),
        RelayEvent(run_id="r", id="q-rm", tool_call_id="rm", tool="bash", params={"command": "rm -r data"}),
        RelayAnswerEvent(run_id="r", id="q-rm", approved=False, reason="keep the data", by="person"),
        ToolResultEvent(run_id="r", id="rm", name="bash", output="Denied: keep the data", status="denied"),
        ToolCallEvent(run_id="r", id="agent", name="agent", input={"task": "Count the lines of area.py."}),
        HarnessStartEvent(run_id="s", parent_id="agent", model="small"),
        RelayEvent(
            run_id="s", parent_id="agent", id="q-wc", tool_call_id="wc", tool="bash",
            params={"command": "wc -l area.py"}, rule=rule,
        ),
        RelayAnswerEvent(run_id="s", parent_id="agent", id="q-wc", approved=True, always=True, by="person"),
        ToolCallEvent(run_id="s", parent_id="agent", id="wc", name="bash", input={"command": "wc -l area.py"}),
        ToolProgressEvent(run_id="s", parent_id="agent", tool_call_id="wc", name="bash", content="counting\n"),
        ToolResultEvent(run_id="s", parent_id="agent", id="wc", name="bash", output="2 area.py", status="ok"),
        UsageEvent(run_id="s", parent_id="agent", input_tokens=310, output_tokens=12),
        TextEvent(run_id="s", parent_id="agent", id="st", content="It has **2 lines**."),
        HarnessEndEvent(run_id="s", parent_id="agent", reason="final", iterations=2),
        ToolResultEvent(run_id="r", id="agent", name="agent", output="It has **2 lines**.", status="ok"),
        ToolCallEvent(run_id="r", id="lost", name="agent", input={"task": "Ask the moon."}),
        HarnessStartEvent(run_id="m", parent_id="lost", model="small"),
        HarnessEndEvent(run_id="m", parent_id="lost", reason="error"),
        ToolResultEvent(run_id="r", id="lost", name="agent", output=None, status="error"),
        ReplInputEvent(
            run_id="r", id="cell", iteration=0, code='frame = pd.read_csv("prices.csv")  # 28 rows\nframe.describe()'
        ),
        ReplOutputEvent(
            run_id="r", id="cell", stdout="28 rows\n", stderr="a warning\n", done=False,
            mime=[{"data": {"text/html": _TABLE, "text/plain": "mean 4.81"}}, {"data": {"image/png": PIXEL}}],
        ),
        ReplInputEvent(run_id="r", id="cell2", iteration=1, code="float('x')"),
        ReplOutputEvent(run_id="r", id="cell2", stdout="", done=True, error=_TRACEBACK, truncated=True),
        BudgetRelayEvent(run_id="r", id="q-budget", unit="tokens", limit=10_000, used=10_432),
        RelayAnswerEvent(run_id="r", id="q-budget", approved=True, by="person"),
        ToolCallEvent(run_id="r", id="json", name="search", input={"query": "area", "limit": 3}),
        ToolResultEvent(run_id="r", id="json", name="search", output={"found": [1, 2], "more": False}, status="ok"),
        UsageEvent(run_id="r", input_tokens=10_122, output_tokens=95),
        CompactionEvent(run_id="r", summary="The formula is **right** now.", messages=4),
        ErrorEvent(run_id="r", error=ConnectionError("the model's server closed the connection")),
        TextEvent(run_id="r", id="t2", content="`area.py` is right now, and has **2 lines**."),
        HarnessEndEvent(run_id="r", reason="max_iterations", iterations=6),
    ]  # fmt: skip


def midway() -> RunTree:
    """A run that waits for a person."""
    params = {"command": "wc -l area.py"}
    return fold(
        [
            UserEvent(run_id="u", content="Count."),
            HarnessStartEvent(run_id="r", model="scripted", max_iterations=4),
            ToolCallEvent(run_id="r", id="a", name="sleep", input={"seconds": 9}),
            ToolProgressEvent(run_id="r", tool_call_id="a", name="sleep", content="\x1b[33mhalf\x1b[0m way\n"),
            RelayEvent(
                run_id="r", id="q", tool_call_id="b", tool="bash", params=params,
                rule={"tool": "bash", "params": {"command": "wc *"}}, why="no rule allows it",
            ),
        ]
    )  # fmt: skip


def things(text: str = "Friday") -> dict[str, Any]:
    """Everything that has a card, `text` in each place that is not ours."""
    pending, done, failed = deferred(), deferred(), deferred()
    done.resolve({"day": text})
    failed.reject(ValueError(text))
    empty, queue = AsyncQueue[Any](), AsyncQueue[Any]()
    for value in (text, 7, None):
        queue.push(value)
    stream, broken = create_passthrough(maxsize=3), create_passthrough()
    stream.push(text)
    broken.fail(OSError(text))
    call = ToolCall(id="1", name=text, arguments={text: text, "n": 1})
    book = ToolDefinition(
        name="book",
        description=f"Book a seat.\n\n{text}",
        schema={
            "type": "object",
            "required": ["day"],
            "properties": {
                "day": {"enum": [text, "Saturday"], "description": text},
                "seats": {"type": "integer", "default": 1},
                "quiet": {"type": "boolean", "default": False},
                "notes": {"type": "array", "items": {"type": "string"}, "description": f"**{text}**"},
            },
        },
    )
    history = [
        SystemMessage(content=f"Be brief. {text}"),
        UserMessage(
            content=[
                TextContentPart(text=f"Which day? {text}"),
                ImageContentPart(media_type="image/png", data=PIXEL),
                DocumentContentPart(media_type="text/plain", data=base64.b64encode(text.encode()).decode()),
                DocumentContentPart(media_type="application/pdf", data="AAAA" * 600),
            ]
        ),
        AssistantMessage(content=f"I look. {text}", tool_calls=[call]),
        ToolMessage(tool_call_id="1", content=text),
    ]
    agent = create_agent_harness(ScriptedLLM([]), max_iterations=3)
    permissions = Permissions(
        allowlist=["read", {"tool": "bash", "params": {"command": f"{text} *"}}],
        deny=[{"tool": "bash", "params": {"command": "rm *"}}],
    )
    response = GenerateResponse(content=f"It is {text}.", model=text, finish_reason="length", tool_calls=[call])
    summary = Summary(
        summary=f"All in short: {text}", key_points=[text, "two"], confidence=0.8, chunks=2,
        word_count_original=900, word_count_summary=30,
    )  # fmt: skip
    return {
        "pending": pending, "done": done, "failed": failed, "empty": empty, "queue": queue, "stream": stream,
        "broken": broken, "tool": book, "tools": [book, bash_tool], "call": call, "messages": history,
        "tool result": ToolExecutionResult(context=text, result={"day": text}), "permissions": permissions,
        "no permissions": Permissions(), "agent": agent, "rlm": create_rlm_harness(agent),
        "orchestrator": AgentOrchestrator(agent), "response": response, "summary": summary, "events": _story(),
    }  # fmt: skip


def comparison(text: str = "It is seven.") -> str:
    """Two models side by side, and two prompts."""
    one, two = _said("It is three.", text), _said(text, f"{text} Then?")
    single = comparison_html(["small", "large"], [Case(text, (one[0], two[0]), (None, None))])
    several = comparison_html(
        ["small", "large"], [Case(text, (one[0], two[0]), (0.5, 1.0)), Case("?", (one[1], two[1]), (None, 0.0))]
    )
    return single + several


def _said(*texts: str) -> list[RunResult]:
    return [
        result_of(
            fold(
                [
                    UserEvent(run_id="u", content=text),
                    HarnessStartEvent(run_id="r", model="m"),
                    ToolCallEvent(run_id="r", id="c", name="add", input={"a": 1, "b": len(texts), "c": text}),
                    ToolResultEvent(run_id="r", id="c", name="add", output=text, status="ok"),
                    TextEvent(run_id="r", id="t", content=text),
                    HarnessEndEvent(run_id="r", reason="final" if text == texts[0] else "error", iterations=1),
                ]
            ),
            [],
            given=[],
        )
        for text in texts
    ]


def saved() -> dict[str, str]:
    """What stays in a file of everything, as HTML."""
    pictures = {"story": static_html(story(), title="Area", details=True), "midway": static_html(midway())}
    pictures |= {name: html for name, thing in things().items() if (html := html_of(thing)) is not None}
    return pictures | {"comparison": comparison()}


GOLDEN = Path(__file__).parents[1] / "notebook" / "golden"


def golden() -> dict[str, str]:
    """The saved pictures as files, a line a tag, so that a change can be read."""
    pictures = saved()
    cards = "".join(html for name, html in pictures.items() if name not in {"story", "midway", "comparison"})
    files = {
        "run": pictures["story"],
        "asking": pictures["midway"],
        "cards": cards,
        "comparison": pictures["comparison"],
    }
    return {f"{name}.html": html.replace("><", ">\n<") + "\n" for name, html in files.items()}


if __name__ == "__main__":
    for name, html in golden().items():
        (GOLDEN / name).write_text(html, encoding="utf-8")
