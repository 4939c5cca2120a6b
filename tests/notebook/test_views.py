"""Views of types and primitives: what stays in the file, and what the last line of a cell shows."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from importlib import import_module
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient

from llm_gateway_nb import (
    BasicSession,
    _display,
    bash_tool,
    create_agent_harness,
    create_llm,
    create_rlm_harness,
    tool,
)
from llm_gateway_nb.graph import fold
from llm_gateway_nb.harnesses import RlmConfig, with_budget, with_retry
from llm_gateway_nb.notebook.show import html_of
from llm_gateway_nb.notebook.views.bits import MAX_IMAGE, brief
from llm_gateway_nb.notebook.views.cards import card_of
from llm_gateway_nb.notebook.views.static import bits_html
from llm_gateway_nb.notebook.views.tools import form_fields
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.primitives import AsyncQueue, create_passthrough, deferred
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.testing.strategies import event_streams
from llm_gateway_nb.types import (
    AssistantMessage,
    DocumentContentPart,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ImageContentPart,
    Permissions,
    SystemMessage,
    TextContentPart,
    TextEvent,
    ToolCall,
    ToolDefinition,
    ToolMessage,
    UserMessage,
)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def words(thing: Any) -> str:
    """What a person reads of the saved view."""
    html = html_of(thing)
    assert html is not None
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


# -- what is told ------------------------------------------------------------------------------------------------------


async def test_a_deferred_tells_its_state_and_its_value() -> None:
    answer = deferred()
    assert words(answer) == "Deferred &nbsp;·&nbsp; ● pending"
    answer.resolve({"yes": 1})
    assert words(answer).endswith("✓ resolved {&#x27;yes&#x27;: 1}")
    failed = deferred()
    failed.reject(ValueError("no"))
    assert words(failed).endswith("✗ rejected ValueError(&#x27;no&#x27;)")


async def test_a_queue_shows_the_next_value_first_and_counts_the_rest() -> None:
    queue = AsyncQueue[Any]()
    assert "empty" in words(queue)
    for number in range(40):
        queue.push(number)
    assert "40 values" in words(queue)
    assert "value type 1 0 int 2 1 int" in words(queue)
    assert words(queue).endswith("… and 28 more")


async def test_a_stream_shows_what_is_unread_and_how_it_ended() -> None:
    stream = create_passthrough(maxsize=3)
    stream.push("a")
    assert "1 unread, room for 3, 0 readers" in words(stream)
    stream.fail(OSError("gone"))
    assert "failed" in words(stream)
    assert "OSError(&#x27;gone&#x27;)" in words(stream)


def test_a_history_is_a_conversation_with_its_images_documents_and_calls() -> None:
    history = [
        SystemMessage(content="Be brief."),
        UserMessage(
            content=[
                TextContentPart(text="What is this?"),
                ImageContentPart(media_type="image/png", data=PIXEL),
                DocumentContentPart(media_type="application/pdf", data="AAAA" * 600),
                DocumentContentPart(media_type="text/plain", data=base64.b64encode(b"a note").decode()),
            ]
        ),
        AssistantMessage(content=None, tool_calls=[ToolCall(id="1", name="look", arguments={"at": "it"})]),
        ToolMessage(tool_call_id="1", content="a pixel"),
    ]
    html = html_of(history)
    assert html is not None
    assert f'src="data:image/png;base64,{PIXEL}"' in html
    told = words(history)
    assert "4 messages" in told
    assert "application/pdf document, 2 KB" in told
    assert "text/plain, document, 6 bytes a note" in told
    assert "→ look(at=&quot;it&quot;)" in told
    assert "Result of look a pixel" in told


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("image/svg+xml", base64.b64encode(b"<svg onload=alert(1)>").decode()),
        ("image/png", '"><script>alert(1)</script>'),
        ("image/png", "A" * (MAX_IMAGE + 4)),
        ('image/png" onerror="alert(1)', PIXEL),
    ],
)
def test_what_is_no_image_or_too_large_is_told_and_not_drawn(media_type: str, data: str) -> None:
    html = html_of(UserMessage(content=[ImageContentPart(media_type=media_type, data=data)]))
    assert html is not None
    assert "<img" not in html
    assert "<script" not in html
    assert "image, " in html


def test_a_tool_shows_what_the_model_is_told_of_it() -> None:
    told = words(bash_tool)
    assert "bash" in told
    assert "command string required" in told


def test_permissions_stand_in_the_order_in_which_they_count() -> None:
    permissions = Permissions(allowlist=["read"], deny=[{"tool": "bash", "params": {"command": "rm *"}}])
    assert words(permissions).index("deny") < words(permissions).index("allow read")
    assert words(Grants(permissions)).startswith("Grants")
    assert "every call asks a person" in words(Permissions())


def test_a_wrapper_says_what_it_is_and_what_it_is_around() -> None:
    agent = with_budget(create_agent_harness(with_retry(ScriptedLLM(["Hello."]))), usd=1, seconds=60)
    assert words(agent).startswith("with_budget &nbsp;·&nbsp; usd=1, seconds=60 around Agent")
    assert repr(agent).startswith("with_budget(AgentHarness(ScriptedLLM(")
    assert repr(agent).endswith(", usd=1, seconds=60)")


def test_an_agent_shows_what_it_wraps_and_no_key() -> None:
    pytest.importorskip("openai")
    agent = create_agent_harness(create_llm("openai", "gpt-x", api_key="sk-very-secret"), max_iterations=3)
    assert "at most 3 iterations" in words(agent)
    assert "gpt-x" in words(agent)
    assert "very-secret" not in words(agent)


def test_the_deltas_of_one_text_stand_in_one_row() -> None:
    events = [TextEvent(run_id="r", id="t", content=part) for part in ("Hel", "lo ", "you")]
    assert "1-3 text 3 deltas: &quot;Hello you&quot;" in words(events)


def test_a_recursive_model_shows_what_it_is_made_of() -> None:
    told = words(create_rlm_harness(ScriptedLLM([]), config=RlmConfig(max_depth=1)))
    assert told.startswith("Recursive language model &nbsp;·&nbsp; at most 10 iterations, REPL: kernel, depth 1")
    assert "ScriptedLLM" in told


async def test_an_answer_shows_no_times() -> None:
    response = await ScriptedLLM([["Hello.", call("look", at="it")]]).agenerate("Hi")
    assert words(response).endswith("Hello. → look(at=&quot;it&quot;) 1 tokens in, 2 out")
    assert str(response.gen_time) not in words(response)


def test_a_session_is_its_conversation() -> None:
    session = BasicSession(provider=ScriptedLLM(["Hello, Ada."]), system_prompt="Be kind.")
    session.generate("I am Ada.")
    assert words(session).startswith("BasicSession &nbsp;·&nbsp; 3 messages")
    assert "Hello, Ada." in words(session)


def test_turns_of_a_conversation_need_no_headings_and_runs_side_by_side_do() -> None:
    start, end = (HarnessStartEvent(run_id="a"), HarnessStartEvent(run_id="b")), HarnessEndEvent(run_id="a")
    said = TextEvent(run_id="a", id="t", content="x")
    in_turn = html_of(fold([start[0], said, end, start[1]]))
    side_by_side = html_of(fold([*start, said, end]))
    assert in_turn is not None
    assert side_by_side is not None
    assert (in_turn.count("running"), side_by_side.count("running")) == (1, 2)


def test_any_other_list_and_any_other_thing_have_no_view() -> None:
    assert [html_of(thing) for thing in ([], [1], ["a"], [UserMessage(content="a"), 1], 5, "text", None)] == [None] * 7


# -- what never happens ------------------------------------------------------------------------------------------------


@given(event_streams())
@settings(max_examples=40, deadline=None)
def test_any_stream_has_a_view_without_ids_and_the_same_one_again(events: list[HarnessEvent]) -> None:
    if not events:
        return
    html = html_of(events)
    assert html == html_of(events)
    assert html is not None
    for event in events:
        assert html_of(event) is not None
        assert event.run_id not in html or len(event.run_id) < 8


@given(st.text())
@settings(max_examples=60, deadline=None)
def test_whatever_a_model_writes_stays_text(text: str) -> None:
    for hostile in (text, f"<img src=x onerror=alert(1)>{text}", f"[a](javascript:alert(1))<script>{text}</script>"):
        html = bits_html(
            *(
                card_of(thing) or {}
                for thing in (
                    AssistantMessage(
                        content=hostile, tool_calls=[ToolCall(id="i", name=hostile, arguments={hostile: hostile})]
                    ),
                    ToolMessage(tool_call_id="i", content=hostile),
                    ToolDefinition(
                        name="t",
                        description=hostile,
                        schema={"type": "object", "properties": {hostile: {"description": hostile}}},
                    ),
                    Permissions(allowlist=[{"tool": hostile, "params": {hostile: hostile}}]),
                    TextEvent(run_id="r", id="t", content=hostile),
                )
            )
        )
        assert not re.search(r"<(script|img|a|iframe|svg)\b", html)
        assert not re.search(r"[\u202a-\u202e\u2066-\u2069\x1b]", html)


def test_a_value_whose_repr_fails_is_named_and_no_address_is_shown() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    assert brief(Bad()) == "<Bad, whose repr raised RuntimeError>"
    assert brief(object()) == "<object object>"
    assert len(brief("x" * 10_000)) == 200


def test_a_schema_with_refs_optionals_and_choices_becomes_fields() -> None:
    schema = {
        "type": "object",
        "required": ["mode"],
        "$defs": {"Mode": {"enum": ["fast", "slow"], "type": "string"}, "Loop": {"$ref": "#/$defs/Loop"}},
        "properties": {
            "mode": {"$ref": "#/$defs/Mode", "description": "how"},
            "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "tags": {"type": "array", "items": {"type": "string"}, "default": ["a"]},
            "loop": {"$ref": "#/$defs/Loop"},
            "gone": {"$ref": "#/nowhere"},
        },
    }
    fields = {field["name"]: field for field in form_fields(schema)}
    assert fields["mode"] == {
        "name": "mode",
        "kind": "choice",
        "type": '"fast" | "slow"',
        "required": True,
        "about": "how",
        "choices": ["fast", "slow"],
    }
    assert (fields["limit"]["kind"], fields["limit"]["required"]) == ("integer", False)
    assert (fields["tags"]["kind"], fields["tags"]["type"], fields["tags"]["default"]) == (
        "json",
        "array of string",
        ["a"],
    )
    assert fields["loop"]["kind"] == fields["gone"]["kind"] == "json"


# -- as the last line of a cell ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [*_display.LIVING, *_display.STATIC])
def test_every_name_that_ipython_is_told_is_there(module: str) -> None:
    names = {**_display.LIVING, **_display.STATIC}[module]
    assert [name for name in names if not hasattr(import_module(f"llm_gateway_nb.{module}"), name)] == []


CELLS = [
    "import llm_gateway_nb, sys\n"
    "from llm_gateway_nb.primitives import AsyncQueue\n"
    "loaded = {'anywidget', 'llm_gateway_nb.notebook'} & set(sys.modules)",
    "queue = AsyncQueue(); queue.push(1)\nqueue",
    "from llm_gateway_nb import *\nPermissions(allowlist=['read'])",
    "from llm_gateway_nb.types import *\n[UserMessage(content='hello')]",
    "[1, 2]",
    "bash_tool",
    "show(queue)",
    "table = show(Permissions())\ntable.permissions == Permissions()",
    "print(loaded)",
]


@pytest.mark.kernel
def test_the_last_line_of_a_cell_is_a_view_and_a_file_without_widgets() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, kernel_name="python3").execute()
    outputs = [cell.outputs for cell in notebook.cells]

    assert dict(outputs[1][0].data) == {"text/plain": ""}, "where a page would have the living view"
    assert outputs[1][1].data["text/plain"] == "AsyncQueue(length=1)"
    assert "1 value" in outputs[1][1].data["text/html"]
    assert outputs[2][1].data["text/plain"] == repr(Permissions(allowlist=["read"]))
    assert outputs[3][0].data["text/plain"] == f"[{UserMessage(content='hello')!r}]"
    assert "Conversation" in outputs[3][0].data["text/html"]
    assert "text/html" not in outputs[4][0].data
    assert "command" in outputs[5][1].data["text/html"]
    assert [output.output_type for output in outputs[6]] == ["display_data"] * 2
    assert outputs[7][-1].data["text/plain"] == "True"
    assert outputs[8][0].text == "set()\n", "until a view is shown nothing of the notebook is loaded"
    assert "widgets" not in notebook.metadata
    assert "widget-view" not in nbformat.writes(notebook)


def test_a_script_prints_what_it_always_printed() -> None:
    code = (
        "from llm_gateway_nb import *\n"
        "from llm_gateway_nb.types import UserMessage\n"
        "from llm_gateway_nb.primitives import AsyncQueue\n"
        "print(AsyncQueue(), UserMessage(content='a'))\n"
        "show(AsyncQueue())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["AsyncQueue(length=0) role='user' content='a'", "AsyncQueue(length=0)"]


@tool
def twice(number: int) -> int:
    """Twice a number."""
    return 2 * number


def test_models_and_tools_keep_their_repr() -> None:
    assert repr(ScriptedLLM(["a"])) == "ScriptedLLM(provider='scripted', model='scripted')"
    assert repr(twice).startswith("ToolDefinition(name='twice'")
