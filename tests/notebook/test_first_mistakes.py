"""What a newcomer does wrong, and the sentence that stands below the cell: what it was, and the next step."""

from __future__ import annotations

import sys
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from llm_gateway_nb import agent_tool, bash_tool, create_agent_harness, create_llm, run, run_sync, start
from llm_gateway_nb.adapters import from_langgraph, from_openai_agents, from_pydantic_ai, from_smolagents
from llm_gateway_nb.errors import ConfigurationError, GatewayError, ScriptError, UnknownProviderError
from llm_gateway_nb.processing import gather_with_progress
from llm_gateway_nb.repl import without_ansi
from llm_gateway_nb.testing import ScriptedLLM
from llm_gateway_nb.types import Permissions


def agent() -> Any:
    return create_agent_harness(ScriptedLLM(["Hello."]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tools": bash_tool}, "tools is a list of tools, not one tool: tools=[…] around 'bash'."),
        ({"tools": ["bash"]}, "tools holds tools, not 'bash'; decorate a function with @tool to make one of it."),
        ({"permissions": ["bash"]}, "permissions is a dict such as {'allowlist': ['bash']}, not ['bash']."),
        (
            {"permissions": {"denylist": ["bash"]}},
            "permissions has no 'denylist'; it has 'allowlist', 'allow_once' and 'deny'.",
        ),
        ({"permissions": Permissions(allow=["bash"])}, "permissions has no 'allow'; it has"),  # type: ignore[call-arg]
        (
            {"approvals": "yes"},
            "approvals is 'ask', 'allow', 'deny', 'recorded' or a function of the relay, not 'yes'.",
        ),
        ({"context": 42}, "context is a text, not a int."),
        ({"budget": 5}, "budget is a dict of limits, of 'tokens', 'usd', 'seconds' and 'calls'"),
    ],
)
async def test_an_option_of_the_wrong_shape_is_told_before_anything_runs(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        await run(agent(), "hi", panel=False, **options)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("OpenAI", "Did you mean 'openai'?"),
        ("gpt-4o", "If it is a model, name its provider first: create_llm('openai', 'gpt-4o')."),
        ("claude-sonnet-4-5", "create_llm('anthropic', 'claude-sonnet-4-5')"),
        ("qwen3:4b", "create_llm('ollama', 'qwen3:4b')"),
    ],
)
def test_a_model_in_the_place_of_its_provider_is_recognized(name: str, says: str) -> None:
    with pytest.raises(UnknownProviderError) as raised:
        create_llm(name)
    assert says in str(raised.value)


def test_a_tool_is_not_called_like_a_function_and_says_which_options_it_has() -> None:
    with pytest.raises(TypeError, match="tool 'bash' is not called like a function"):
        bash_tool("ls")
    with pytest.raises(
        TypeError, match="tool 'agent' has no option 'timeout'; it has name, description, timeout_seconds"
    ):
        agent_tool(timeout=3)


def test_a_prompt_is_not_what_a_harness_is_invoked_with() -> None:
    with pytest.raises(TypeError, match="invoke takes GeneratorInvokeParams, or messages="):
        agent().invoke("hi")


async def test_a_script_that_is_read_says_that_its_cell_has_to_run_again() -> None:
    llm = ScriptedLLM(["One."])
    await llm.agenerate("a")
    with pytest.raises(ScriptError, match=r"A script is read once: make the model anew \(run its cell again\)"):
        await llm.agenerate("b")


async def test_one_call_in_the_place_of_a_list_is_told_and_leaves_nothing_behind() -> None:
    with pytest.raises(ConfigurationError, match="takes a list of awaitables, not one"):
        await gather_with_progress(ScriptedLLM(["One."]).agenerate("a"))  # type: ignore[arg-type]


@pytest.mark.parametrize("adapter", [from_langgraph, from_openai_agents, from_pydantic_ai, from_smolagents])
def test_an_adapter_says_what_it_takes(adapter: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{adapter.__name__} takes .*, not 'agent'"):
        adapter("agent")


def test_help_has_what_a_person_looks_up() -> None:
    for function in (run, run_sync, start):
        assert "approvals: who answers questions" in str(function.__doc__)
        assert str(function.__doc__).count("Raises:") == 1
    assert "    command: The command, as typed into bash." in bash_tool.getdoc()
    assert "max_output: characters of output that the model reads" in bash_tool.getdoc()


CELLS = [
    """\
from llm_gateway_nb import create_agent_harness, create_llm, run, start
from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.testing import ScriptedLLM
nobody = create_llm("ollama", "m", base_url="http://127.0.0.1:1/v1", max_retries=0)""",
    "def ask():\n    return nobody.generate('Is anybody there?')\n\nask()",
    "def mine():\n    return {}['key']\n\ntry:\n    mine()\nexcept KeyError as error:\n    raise ToolError('no') from error",
    "run(nobody, 'hi')",
    "async def theirs():\n    pass\n\ntheirs()",
    "result = await run(create_agent_harness(ScriptedLLM(['Hello.'])), 'hi')\nresult",
    "result",
    "live = start(create_agent_harness(ScriptedLLM(['Hello.'])), 'hi')\nawait live",
]


@pytest.mark.kernel
def test_below_a_cell_stands_what_a_person_can_use() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    _, unreachable, own, forgotten, theirs, twice, later, started = (cell.outputs for cell in notebook.cells)

    trace = without_ansi("\n".join(unreachable[-1].traceback))
    assert len(trace.splitlines()) < 20  # an SDK's are four hundred
    assert "site-packages" not in trace
    assert "return nobody.generate" in trace  # the person's own line
    assert trace.rstrip().endswith("Is the server running there?")
    assert "mine()" in without_ansi("\n".join(own[-1].traceback))  # nothing of the person's is left out

    assert forgotten[-1].data["text/plain"].endswith("Nothing has run yet: put `await` in front of the call.")
    assert "Nothing has run" not in theirs[-1].data["text/plain"]

    assert twice[-1].output_type == "execute_result"
    assert "text/html" not in twice[-1].data  # it stands above already
    assert "text/html" in later[-1].data
    assert "text/html" not in started[-1].data


def test_outside_of_ipython_a_traceback_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(GatewayError) as raised:
        create_llm("opnai")
    assert "create.py" in "".join(raised.value._render_traceback_())
