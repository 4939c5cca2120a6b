"""`%agent` and `%%agent`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from traitlets.config import Config

from llm_gateway_nb import create_agent_harness, create_llm, tool
from llm_gateway_nb.testing import ScriptedLLM, call


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@pytest.fixture
def shell() -> Iterator[Any]:
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "llm_gateway_nb")
    yield shell
    shell.run_line_magic("unload_ext", "llm_gateway_nb")


def test_a_cell_is_a_prompt_and_the_next_one_goes_on(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    llm = shell.user_ns["llm"] = ScriptedLLM([call("add", a=1, b=2), "It is 3.", "Gladly.", "Hello."])
    shell.user_ns["add"] = add
    shell.run_line_magic("agent", "llm --tools add --allow 'add(a=\"1\")' --system 'Be brief.' --setting seed=7")
    assert capsys.readouterr().out == 'agent: llm; tools: add; allow: add(a="1"); system: Be brief.; setting: seed=7\n'
    shell.run_cell_magic("agent", "", "Add 1 and 2.\n")
    assert shell.user_ns["_agent"].text == "It is 3."
    shell.run_cell_magic("agent", "--into thanks", "Thank you.\n")
    assert [message.role for message in shell.user_ns["thanks"].messages] == [
        *("system", "user", "assistant", "tool", "assistant", "user", "assistant")
    ]
    shell.run_cell_magic("agent", "--new", "Hello?\n")
    assert [message.role for message in shell.user_ns["_agent"].messages] == ["system", "user", "assistant"]
    assert llm.requests[0].settings == {"seed": 7}
    llm.assert_read()


def test_options_of_a_cell_hold_for_that_cell(shell: Any) -> None:
    shell.user_ns |= {"llm": ScriptedLLM([call("add", a=1, b=2), "No.", call("add", a=1, b=2), "Yes."]), "add": add}
    shell.run_line_magic("agent", "llm --tools add --approvals deny")
    shell.run_cell_magic("agent", "", "Add.")
    denied = shell.user_ns["_agent"].transcript()
    shell.run_cell_magic("agent", "--approvals allow", "Add.")
    assert ("✗ denied" in denied, "→ 3" in shell.user_ns["_agent"].transcript()) == (True, True)


def test_a_question_goes_to_a_function_of_the_notebook(shell: Any) -> None:
    shell.user_ns |= {
        "agent": create_agent_harness(ScriptedLLM([call("add", a=1, b=2), "Yes."])),
        "add": add,
        "small": lambda relay: relay.params["a"] < 10,
    }
    shell.run_cell_magic("agent", "agent --tools add --approvals small", "Add.")
    assert "→ 3" in shell.user_ns["_agent"].transcript()


def test_a_recording_is_made_and_used(shell: Any, tmp_path: Any) -> None:
    shell.user_ns["llm"] = ScriptedLLM(["Hello."])
    shell.run_cell_magic("agent", f"llm --record {tmp_path / 'run.jsonl'}", "Hi.")
    shell.run_cell_magic("agent", f"replay:{tmp_path / 'run.jsonl'} --new --into again", "Hi.")
    assert shell.user_ns["again"].text == "Hello."


def test_a_turn_that_failed_leaves_the_conversation_as_it_was(shell: Any) -> None:
    shell.user_ns["llm"] = ScriptedLLM(["One.", ValueError("overloaded"), "Two."])
    for _ in range(3):
        shell.run_cell_magic("agent", "llm", "Go.")
    assert len(shell.user_ns["_agent"].messages) == 4


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "There is no provider 'nonsense'"),
        ("number", "number is no harness"),
        ("llm --tools hammer", "there is no tool 'hammer'; there are"),
        ("llm --allow 'bash(ls)'", "a rule looks like bash, or"),
        ("llm --aprovals deny", "unrecognized arguments: --aprovals"),
        ("llm --title 'open", "No closing quotation"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_when_it_is_set_up(shell: Any, line: str, says: str) -> None:
    shell.user_ns |= {"llm": ScriptedLLM([]), "number": 3}
    with pytest.raises(UsageError) as caught:
        shell.run_line_magic("agent", line)
    assert says in str(caught.value)


def test_the_same_of_a_cell(shell: Any) -> None:
    shell.user_ns["llm"] = ScriptedLLM([])
    for line, says in (("--approvals nobody", "not 'nobody'"), ("--setting cold", "temperature=0")):
        with pytest.raises(UsageError, match=says):
            shell.run_cell_magic("agent", f"llm {line}", "Go.")


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("%agent --ap", {"%agent --approvals"}),
        ("%%agent --approvals r", {"%%agent --approvals recorded"}),
        ("%%agent --approvals d", {"%%agent --approvals deny", "%%agent --approvals decide"}),
        ("%%agent llm --tools ba", {"%%agent llm --tools bash", "%%agent llm --tools bash_tool"}),
        ("%agent --tools bash,ad", {"%agent --tools bash,add"}),
        ("%agent loc", {"%agent local"}),
        ("%agent ll", {"%agent llm"}),
        ("%%agent --allow re", {"%%agent --allow read"}),
    ],
)
def test_tab_completes_options_and_their_values(shell: Any, text: str, offered: set[str]) -> None:
    shell.user_ns |= {"llm": create_llm("scripted", turns=[]), "add": add, "decide": lambda relay: True}
    with provisionalcompleter():
        found = {text[: each.start] + each.text for each in shell.Completer.completions(text, len(text))}
    assert offered <= found


@pytest.mark.kernel
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
def test_in_a_kernel_the_cell_holds_the_run_and_tab_completes_there(tmp_path: Any) -> None:
    cells = [
        "%load_ext llm_gateway_nb\nfrom llm_gateway_nb.testing import ScriptedLLM, call\n"
        "llm = ScriptedLLM([call('bash', command='echo hi'), 'Said.'])",
        "%agent llm --tools bash",
        "%%agent --allow 'bash(command=\"echo *\")'\nSay hi.",
        "_agent.text",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}})
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        reply = client.wait_for_reply(client.kc.complete("%%agent --app\nSay hi.", 13))
    _, _, run, text = (cell.outputs for cell in notebook.cells)
    assert "→ hi" in run[1].data["text/plain"]
    assert text[0].data["text/plain"] == "'Said.'"
    assert reply["content"]["matches"] == ["--approvals"]
