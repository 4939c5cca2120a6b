"""A notebook with runs is a test, in the hands of every tool that runs notebooks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from nbclient import NotebookClient

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning"),
]

CELLS = [
    "names = ['notes.txt']",
    """from llm_gateway_nb import bash_tool, create_agent_harness, run, run_sync, start, tool
from llm_gateway_nb.testing import ScriptedLLM, call

@tool
def stamp(name: str) -> object:
    \"\"\"Stamp a file.\"\"\"
    print("stamping", object())
    return {"at": repr(object())}

def agent():
    return create_agent_harness(ScriptedLLM([["Let me.", call("stamp", name=names[0]), call("bash", command="rm x")], "Done."]))""",
    'result = await run(agent(), "Stamp it.", tools=[stamp, bash_tool], permissions={"allowlist": ["stamp"]})',
    'print("before"); run_sync(agent(), "Stamp it.", tools=[stamp, bash_tool], approvals="allow"); print("after")',
    'live = start(agent(), "Stamp it.", tools=[stamp, bash_tool], approvals="deny"); (await live).text',
    'live = start(agent(), "Stamp it.", tools=[stamp, bash_tool], approvals="deny")',
    "(await live).text",
    'await run(agent(), "Stamp it.", tools=[stamp, bash_tool], approvals="deny", record="run.jsonl")\nresult',
]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook as its author saved it."""
    folder = tmp_path_factory.mktemp("author")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    nbformat.write(notebook, folder / "runs.ipynb")
    return folder / "runs.ipynb"


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Pytest as a person calls it: in another folder, with nothing of this project's configuration."""
    slow = ("hypothesispytest", "langsmith_plugin") + (() if "--nbmake" in arguments else ("nbmake",))
    without = [word for name in ("cacheprovider", *slow) for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "--color=no", *without, *arguments]
    # Where CI is set, pytest's last summary tells a failure a second time.
    twice = ("CI", "BUILD_NUMBER")
    environment = {k: v for k, v in os.environ.items() if k not in twice and not k.startswith("PYTEST_")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


def test_it_passes_twice_in_a_row_and_in_parallel(executed: Path, tmp_path: Path) -> None:
    shutil.copy(executed, tmp_path / "one.ipynb")
    done = pytest_in(tmp_path, "--nbval")
    assert f"{len(CELLS)} passed" in done.stdout, done.stdout
    shutil.copy(executed, tmp_path / "two.ipynb")
    done = pytest_in(tmp_path, "--nbval", "-n", "2")
    assert f"{2 * len(CELLS)} passed" in done.stdout, done.stdout


def test_a_changed_transcript_fails_with_a_diff_that_can_be_read(executed: Path, tmp_path: Path) -> None:
    notebook = json.loads(executed.read_text())
    told = notebook["cells"][2]["outputs"][1]["data"]
    told["text/plain"] = [line.replace("rm x", "rm y") for line in told["text/plain"]]
    notebook["cells"][3]["outputs"][-1]["text"] = ["afterwards\n"]
    (tmp_path / "changed.ipynb").write_text(json.dumps(notebook))
    done = pytest_in(tmp_path, "--nbval")
    assert f"2 failed, {len(CELLS) - 2} passed" in done.stdout
    assert starting(done.stdout, "-bash") == ['-bash(command="rm y")']
    assert starting(done.stdout, "+bash") == ['+bash(command="rm x")']
    assert "-afterwards\n+after\n" in done.stdout
    assert "<div" not in done.stdout


def test_what_a_person_has_clicked_through_is_a_test_like_what_a_function_has_decided(
    executed: Path, tmp_path: Path
) -> None:
    saved = executed.read_text()
    assert "asked: approved by policy" in saved
    assert "asked: denied by policy" in saved
    clicked = saved.replace("asked: approved by policy", "asked: approved by you")
    (tmp_path / "clicked.ipynb").write_text(clicked)
    done = pytest_in(tmp_path, "--nbval")
    assert f"{len(CELLS)} passed" in done.stdout, done.stdout
    (tmp_path / "clicked.ipynb").write_text(clicked.replace("asked: approved by you", "asked: denied by you"))
    done = pytest_in(tmp_path, "--nbval")
    assert f"1 failed, {len(CELLS) - 1} passed" in done.stdout, done.stdout


def starting(output: str, start: str) -> list[str]:
    return [line for line in output.split("\n") if line.startswith(start)]


def test_nbmake_runs_it(executed: Path, tmp_path: Path) -> None:
    shutil.copy(executed, tmp_path)
    done = pytest_in(tmp_path, "--nbmake", "runs.ipynb")
    assert "1 passed" in done.stdout, done.stdout


def test_papermill_runs_it_with_other_parameters_and_the_runs_are_in_its_output(executed: Path, tmp_path: Path) -> None:
    result: Any = papermill.execute_notebook(
        str(executed),
        str(tmp_path / "out.ipynb"),
        parameters={"names": ["shopping.txt"]},
        cwd=str(tmp_path),
        progress_bar=False,
    )
    assert 'stamp(name="shopping.txt")' in result.cells[3].outputs[1].data["text/plain"]
    assert "widgets" not in result.metadata
    assert (tmp_path / "run.jsonl").exists()


def test_the_plugin_costs_other_projects_nothing() -> None:
    code = "import sys, llm_gateway_nb.testing.nbval; assert not {'pydantic', 'IPython'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=150)
