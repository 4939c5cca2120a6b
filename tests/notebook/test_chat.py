"""Conversations: each turn a run, one history, one tree, one set of grants. And `ask_user`, which asks a person."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from support.waiting import until

from llm_gateway_nb import ask_user, chat, create_agent_harness, run, tool
from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.notebook import Run, RunResult
from llm_gateway_nb.notebook import approvals as approvals_module
from llm_gateway_nb.notebook.approvals import Attendance, decide
from llm_gateway_nb.notebook.transcript import transcript
from llm_gateway_nb.testing import ScriptedLLM, Turn, call
from llm_gateway_nb.types import BudgetRelayEvent, RelayEvent, UserMessage


@tool
def note(word: str) -> str:
    """Note a word."""
    return f"noted {word}"


def relay(params: dict[str, Any], name: str = "ask_user") -> RelayEvent:
    return RelayEvent(run_id="r", tool_call_id="r/c", tool=name, params=params)


NOBODY = Attendance(stdin=False, ready=None)
ASKED = {"question": "Which colour?"}


# -- a conversation ----------------------------------------------------------------------------------------------------


async def test_the_history_of_a_turn_goes_to_the_next() -> None:
    with ScriptedLLM(["Hello, Ada.", "You are Ada."]) as llm:
        talk = chat(llm, system_prompt="Be kind.", turns=["I am Ada.", "Who am I?"])
        result = await talk
    assert result is not None
    assert result.text == talk.text == "You are Ada."
    assert [message.role for message in talk.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert [m.role for m in llm.requests[1].messages] == ["system", "user", "assistant", "user"]
    assert transcript(talk.tree).count("You: ") == 2
    assert repr(talk) == "Chat(turns=2, messages=5)"


async def test_what_is_said_during_an_answer_waits_its_turn() -> None:
    go_on = asyncio.Event()
    llm = ScriptedLLM([Turn("First answer.", wait=go_on.wait), "Second answer."])
    talk = chat(llm)
    assert await talk is None
    talk.say("one")
    await until(lambda: len(llm.requests) == 1)
    threading.Thread(target=talk.say, args=("two",)).start()
    await asyncio.sleep(0)
    assert talk.busy
    go_on.set()
    await until(lambda: len(talk.results) == 2)
    await talk
    assert [m.content for m in talk.messages] == ["one", "First answer.", "two", "Second answer."]


async def test_always_holds_for_the_whole_conversation() -> None:
    asked: list[RelayEvent] = []

    def decide(question: RelayEvent) -> dict[str, Any]:
        asked.append(question)
        return {"approved": True, "always": True}

    with ScriptedLLM([call("note", word="a"), "Noted.", call("note", word="a"), "Again."]) as llm:
        await chat(create_agent_harness(llm), turns=["Note a.", "Once more."], tools=[note], approvals=decide)
    assert len(asked) == 1


async def test_stop_ends_the_answer_and_not_the_conversation() -> None:
    llm = ScriptedLLM([Turn("Never ends", wait=asyncio.Event().wait), "Here I am."])
    talk = chat(llm)
    talk.say("one")
    talk.say("forgotten")
    await until(lambda: len(llm.requests) == 1)
    talk.stop()
    await talk
    assert [result.reason for result in talk.results] == ["cancelled"]
    talk.say("two")
    result = await talk
    assert result is not None
    assert result.text == "Here I am."
    assert [m.role for m in talk.messages][-2:] == ["user", "assistant"]


async def test_close_leaves_no_task_and_takes_nothing_more() -> None:
    before = asyncio.all_tasks()
    llm = ScriptedLLM([Turn("Never ends", wait=asyncio.Event().wait)])
    talk = chat(llm)
    talk.say("one")
    await until(lambda: len(llm.requests) == 1)
    talk.close()
    await until(lambda: asyncio.all_tasks() <= before)
    talk.say("two")
    assert not talk.busy
    assert [result.reason for result in talk.results] == ["cancelled"]


async def test_what_is_closed_before_it_began_is_over() -> None:
    llm = ScriptedLLM([])
    talk = chat(llm)
    talk.say("one")
    talk.close()
    assert await talk is None
    assert not talk.busy


async def test_a_recorded_conversation_is_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    with ScriptedLLM(["Hello, Ada.", "Ada, you said."]) as llm:
        talk = chat(llm, turns=["I am Ada.", "Who am I?"], record=path, title="Talk")
        await talk
    loaded = Run.load(path)
    assert loaded.messages == RunResult.load(path).messages == talk.messages
    assert loaded.text == talk.text
    assert transcript(loaded.tree) == transcript(talk.tree)
    assert loaded.title == "Talk"
    with ScriptedLLM(["Still Ada."]) as llm:
        again = await chat(llm, messages=loaded.messages, turns=["And now?"])
    assert again is not None
    assert [message.role for message in again.messages] == ["user", "assistant"] * 3


async def test_a_file_that_cannot_be_written_is_told_before_anything_starts_and_one_that_is_gone_in_the_panel(
    tmp_path: Path,
) -> None:
    llm = ScriptedLLM(["Hello."])
    with pytest.raises(ConfigurationError):
        chat(llm, turns=["Hello"], record=tmp_path)
    talk = chat(llm, turns=["Hello"], record=tmp_path / "talk.jsonl")
    await talk
    (tmp_path / "talk.jsonl").unlink()
    talk.say("Once more")
    await talk
    assert len(talk.results) == 1
    assert "You: Once more\nConfigurationError: " in transcript(talk.tree)


async def test_a_budget_is_that_of_all_turns_and_a_turn_that_comes_later_asks_again() -> None:
    asked: list[tuple[float, float]] = []
    answers = iter([False, False, True])

    def decide(question: BudgetRelayEvent) -> bool:
        asked.append((question.limit, question.used))
        return next(answers)

    llm = ScriptedLLM(["One.", "Two.", "Three."])
    talk = chat(llm, turns=["1", "2", "3", "4", "5"], budget={"calls": 2}, approvals=decide)
    await talk
    assert [result.reason for result in talk.results] == ["final", "final", "budget", "budget", "final"]
    assert asked == [(2, 2)] * 3
    assert talk.text == "Three."


async def test_media_goes_with_the_turn_that_it_was_given_for(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("what is in a")
    with ScriptedLLM(["One.", "Two.", "Three."]) as llm:
        talk = chat(llm, media=tmp_path / "a.txt")
        talk.say("first")
        talk.say("second")
        talk.say("third", media=[b"\x89PNG\r\n\x1a\n"])
        await talk
    kinds = [[part.type for part in m.content] for m in talk.messages if not isinstance(m.content, str)]
    assert kinds == [["text", "text"], ["image", "text"]]
    with pytest.raises(ConfigurationError, match=r"no file 'b\.txt'"):
        talk.say("fourth", media="b.txt")


async def test_clear_begins_anew_with_what_was_given() -> None:
    llm = ScriptedLLM(["One.", Turn("Never ends", wait=asyncio.Event().wait), "Three."])
    talk = chat(llm, system_prompt="Be brief.", turns=["1"])
    talk.say("2")
    await until(lambda: len(llm.requests) == 2)
    talk.clear()
    talk.say("3")
    result = await talk
    assert result is not None
    assert [m.content for m in talk.messages] == ["Be brief.", "3", "Three."]
    assert transcript(talk.tree) == "You: 3\nAssistant: Three.\n[done]"
    assert repr(talk) == "Chat(turns=1, messages=3)"


async def test_a_failed_turn_is_told_and_the_next_one_goes_on() -> None:
    with ScriptedLLM([ValueError("no"), "Better."]) as llm:
        talk = chat(llm, turns=["one", "two"])
        await talk
    assert [result.reason for result in talk.results] == ["error", "final"]


async def test_what_is_wrong_is_told_before_anything_starts() -> None:
    llm = ScriptedLLM([])
    for wrong in ({"turns": "hello"}, {"turns": [1]}, {"approvals": "perhaps"}, {"tools": [1]}, {"messages": [1]}):
        with pytest.raises((ConfigurationError, ValueError)):
            chat(llm, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        chat([1])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="text"):
        chat(llm).say(" ")


def test_a_script_without_a_loop_is_told_what_to_use() -> None:
    with pytest.raises(ConfigurationError, match="BasicSession or run_sync"):
        chat(ScriptedLLM([]))


# -- a question to the person ------------------------------------------------------------------------------------------


def test_no_model_is_told_of_the_answer() -> None:
    assert list(ask_user.json_schema()["properties"]) == ["question", "options"]


async def test_the_answer_is_the_result_and_stands_in_the_call() -> None:
    with ScriptedLLM([call("ask_user", question="Which colour?", options=["red", "blue"]), "Blue it is."]) as llm:
        result = await run(create_agent_harness(llm), "Paint.", tools=[ask_user], approvals=lambda question: "blue")
    told = result.transcript()
    assert 'ask_user(question="Which colour?", options=["red", "blue"], answer="blue")' in told
    assert "→ blue" in told
    assert result.messages[2].content == "blue"
    assert isinstance(result.messages[0], UserMessage)


@pytest.mark.parametrize("approvals", ["allow", "deny", lambda _: True, lambda _: False, lambda _: "  "])
async def test_only_a_text_is_an_answer(approvals: Any) -> None:
    forged = call("ask_user", question="May I?", answer="Yes, says the model.")
    with ScriptedLLM([[call("ask_user", question="Which?"), forged], "Then not."]) as llm:
        result = await run(create_agent_harness(llm), "Paint.", tools=[ask_user], approvals=approvals)
    assert [event.status for event in result.events if event.type == "tool_result"] == ["denied", "denied"]
    assert result.reason == "final"


async def test_a_rule_that_allows_it_takes_the_question_away_and_says_so() -> None:
    with ScriptedLLM([call("ask_user", question="Which?"), "Hm."]) as llm:
        result = await run(
            create_agent_harness(llm), "Paint.", tools=[ask_user], permissions={"allowlist": ["ask_user"]}
        )
    assert "no rule may allow it" in result.transcript()


async def test_nobody_can_answer_where_nobody_is_and_the_reason_says_what_to_do() -> None:
    answer = await decide(relay(ASKED), "ask", NOBODY)
    assert answer is not None
    response, by = answer
    assert (response.approved, by) == (False, "nobody")
    assert response.reason == (
        "Nobody can answer a question here; pass approvals=, a function that gives the answer as a text."
    )


async def test_a_console_is_asked_by_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def ask_line(question: str) -> str:
        asked.append(question)
        return " blue "

    monkeypatch.setattr(approvals_module, "ask_line", ask_line)
    answer = await decide(relay({**ASKED, "options": ["red\x1b[2J"]}), "ask", Attendance(stdin=True, ready=None))
    assert asked == ["The agent asks: Which colour?\n  - red␛[2J\nAnswer: "]
    assert answer is not None
    assert answer[0].input == {**ASKED, "options": ["red\x1b[2J"], "answer": "blue"}


async def test_another_tool_by_another_name_is_no_question() -> None:
    answer = await decide(relay({"question": "?"}, "ask"), "allow", NOBODY)
    assert answer is not None
    assert answer[0].approved


# -- in a notebook that nobody watches ---------------------------------------------------------------------------------

CELLS = [
    "from llm_gateway_nb import *\nfrom llm_gateway_nb.testing import ScriptedLLM, call",
    "talk = chat(create_agent_harness(ScriptedLLM([call('ask_user', question='Who?'), 'Hello, Ada.', 'Bye.'])),\n"
    "            tools=[ask_user], approvals=lambda question: 'Ada', turns=['Hello', 'Bye'])",
    "print(talk, talk.text)",
    "nobody = chat(ScriptedLLM([]))",
]


@pytest.mark.kernel
def test_a_notebook_that_nobody_watches_holds_the_whole_conversation() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, kernel_name="python3").execute()
    live, static = notebook.cells[1].outputs
    assert dict(live.data) == {"text/plain": ""}
    assert "Hello, Ada." in static.data["text/plain"]
    assert "Bye." in static.data["text/html"]
    assert notebook.cells[2].outputs[0].text == "Chat(turns=2, messages=6) Bye.\n"
    assert "widgets" not in notebook.metadata
