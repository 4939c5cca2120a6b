"""A run as a notebook, and as Markdown."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from markdown_it import MarkdownIt
from nbclient import NotebookClient

from llm_gateway_nb import bash_tool, create_agent_harness, python_tool, run
from llm_gateway_nb.graph import fold
from llm_gateway_nb.notebook.cells import as_markdown, as_notebook
from llm_gateway_nb.notebook.plain_markdown import fenced, plain_markdown
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.testing.strategies import event_streams
from llm_gateway_nb.types import (
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReplInputEvent,
    ReplOutputEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UserEvent,
)

PIXELS = base64.b64encode(b"\x89PNG").decode()


def session() -> list[HarnessEvent]:
    mime = [{"image/png": PIXELS, "text/plain": "<Figure>"}, {"text/html": "<b onclick=x()>1</b><script>x()</script>"}]
    return [
        UserEvent(run_id="u", content="How many?"),
        HarnessStartEvent(run_id="r"),
        ReplInputEvent(run_id="r", id="1", code="n = 6 * 7\nprint(n)", iteration=0),
        ReplOutputEvent(run_id="r", id="1", stdout="42\n", done=False, mime=mime),
        ReplInputEvent(run_id="r", id="2", code="print(n + 1)\n1 / 0", iteration=1),
        ReplOutputEvent(
            run_id="r", id="2", stdout="43\n", error="Traceback\nZeroDivisionError: division by zero", done=False
        ),
        ToolCallEvent(run_id="r", id="r/3", name="python", input={"code": "n - 2"}),
        ToolResultEvent(run_id="r", id="r/3", name="python", output="40", status="ok"),
        ToolCallEvent(run_id="r", id="r/4", name="read", input={"path": "a.txt"}),
        ToolResultEvent(run_id="r", id="r/4", name="read", output="1 one\n", status="ok"),
        TextEvent(run_id="r", id="t", content="It is **42**."),
        HarnessEndEvent(run_id="r", reason="final"),
    ]


def test_what_ran_as_python_is_a_code_cell_with_its_outputs_and_the_rest_is_markdown() -> None:
    notebook = as_notebook(fold(session()), title="Counting")
    nbformat.validate(nbformat.from_dict(notebook))
    assert [cell["cell_type"][0] for cell in notebook["cells"]] == list("mmcccmm")
    first, second, third = (cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert first["source"] == "n = 6 * 7\nprint(n)"
    assert first["outputs"][0] == {"output_type": "stream", "name": "stdout", "text": "42\n"}
    assert first["outputs"][1]["data"] == {"image/png": PIXELS, "text/plain": "<Figure>"}
    assert first["outputs"][2]["data"] == {"text/html": "<b>1</b>"}
    assert second["outputs"][1]["ename"] == "ZeroDivisionError"
    assert (third["source"], third["outputs"][0]["text"]) == ("n - 2", "40")
    assert [cell["execution_count"] for cell in (first, second, third)] == [1, 2, 3]


@pytest.mark.kernel
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
def test_the_notebook_runs_and_gives_again_what_it_gave() -> None:
    notebook = nbformat.from_dict(as_notebook(fold(session())))
    before = [[o.get("text", o.get("ename")) for o in cell.outputs if "data" not in o] for cell in code_cells(notebook)]
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    after = [[o.get("text", o.get("ename")) for o in cell.outputs if "data" not in o] for cell in code_cells(notebook)]
    assert after[:2] == before[:2]
    assert code_cells(notebook)[2].outputs[0].data["text/plain"] == "40"


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


async def test_a_shell_call_is_a_cell_that_can_be_run_and_says_who_allowed_it(tmp_path: Path) -> None:
    agent = create_agent_harness(ScriptedLLM([call("bash", command="echo hi"), call("bash", command="rm x"), "Done."]))
    result = await run(
        agent,
        "Say hi.",
        tools=[bash_tool],
        approvals=lambda relay: {"approved": relay.params["command"] == "echo hi", "reason": "Only looking."},
        title="Hi",
    )
    result.to_notebook(tmp_path / "run.ipynb")
    notebook = nbformat.read(tmp_path / "run.ipynb", as_version=4)
    nbformat.validate(notebook)
    (ran,) = code_cells(notebook)
    assert (ran.source, ran.outputs[0].text.strip()) == ("%%bash\necho hi", "hi")
    (approval,) = ran.metadata.llm_gateway_nb.approvals
    assert (approval.answer, approval.by, approval.reason) == ("approved", "policy", "Only looking.")
    denied = next(cell for cell in notebook.cells if "rm x" in cell.source)
    assert denied.cell_type == "markdown", "what was not allowed is nothing to run"
    assert "denied by policy: Only looking." in denied.source
    markdown = result.to_markdown()
    assert markdown.startswith("# Hi\n\n**You:** Say hi.\n\n```bash\necho hi\n```\n\n*asked: approved by policy")
    assert markdown.endswith("Done.\n")


@pytest.mark.kernel
async def test_a_python_call_is_one_cell_with_its_own_output_and_its_approval() -> None:
    agent = create_agent_harness(ScriptedLLM([call("python", code="n = 6 * 7\nprint(n)"), "It is 42."]))
    notebook = (await run(agent, "Compute.", tools=[python_tool], approvals="allow")).to_notebook()
    nbformat.validate(nbformat.from_dict(notebook))
    _, ran, said = notebook["cells"]
    assert (ran["cell_type"], ran["source"], ran["outputs"][0]["text"]) == ("code", "n = 6 * 7\nprint(n)", "42\n")
    (approval,) = ran["metadata"]["llm_gateway_nb"]["approvals"]
    assert (approval["answer"], approval["by"]) == ("approved", "policy")
    assert said["source"] == "It is 42."


ATTACKS = [
    "<script>alert(1)</script>",
    "![x](https://evil.example/leak.png)",
    "![x][y]\n\n[y]: https://evil.example/leak.png",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "[click]( JaVaScRiPt:alert(1))",
    "[click][z]\n\n[z]: javascript:alert(1)",
    "<details ontoggle=alert(1)>",
    "</details><script>x()</script>",
    "`code` <b>bold</b> ``a`b`` ![x](y)",
    "    <indented> is code",
    "```\n<fenced> is code ![](x)\n```",
    "~~~\n<also>",
    "> <quoted> ![](x)\n> ```\n> <code>\n",
    "- ```\n  <code>\n  ```\n  ![](x)",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_a_models_markdown_runs_nothing_and_fetches_nothing_where_it_is_rendered(text: str) -> None:
    """By a renderer that passes HTML through, as a trusted notebook's does."""
    html = MarkdownIt("commonmark", {"html": True}).render(plain_markdown(text))
    assert re.findall(r"<(?:script|img|details|b|quoted)\b|href=\"\s*javascript", html, re.IGNORECASE) == []


def test_prose_and_code_stay_as_they_were() -> None:
    text = "# Title\n\nSome *prose*, a [link](https://x.example), `a < b`:\n\n```python\nif a < b and c & d: pass\n```\n\n1. one"
    assert plain_markdown(text) == text


def test_a_fence_holds_what_has_fences_in_it() -> None:
    assert fenced("```\nx\n```") == "````\n```\nx\n```\n````"


@given(event_streams())
def test_any_run_is_a_valid_notebook(events: list[HarnessEvent]) -> None:
    tree = fold(events)
    nbformat.validate(nbformat.from_dict(as_notebook(tree, title="x")))
    assert as_markdown(tree)
