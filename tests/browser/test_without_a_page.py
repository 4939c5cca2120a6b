"""Nobody to click: a console is asked, a pipe is not, and no cell waits for somebody who cannot answer."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pexpect
import pytest
from nbclient import NotebookClient
from support.frontend import Cell, FrontEnd, open_front_end
from support.kernels import KERNELS, kernel_python

from llm_gateway_nb.notebook.approvals import _READY_SECONDS

pytestmark = pytest.mark.kernel

SETUP = """
import asyncio, threading
from llm_gateway_nb import *
from llm_gateway_nb.testing import ScriptedLLM, call
LOG = []
@tool
def note(word: str) -> str:
    "Note a word."
    LOG.append(word)
    return word
def asking(*words):
    LOG.clear()
    return create_agent_harness(ScriptedLLM([[call("note", word=word) for word in words], "All is noted."]))
def asked_by():
    return [thread.name for thread in threading.enumerate() if "llm_gateway_nb" in thread.name]
"""
READY = "import sys; sys.modules['llm_gateway_nb.notebook.approvals']._READY_SECONDS = {}"
TIME_PASSES = """
import os
from tests.support.clock import jump
async def time_passes():
    while not os.path.exists({!r}): await asyncio.sleep(0.01)
    jump(60)
passing = asyncio.create_task(time_passes())
"""
GIVEN = "'Note it.', tools=[note]"
SAY = "print(r.text, LOG)"
ASKS = 'note wants to run: {"word": "one"}\nApprove? [y/N] '


@pytest.fixture(scope="module", params=KERNELS)
def console_kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    with open_front_end(kernel_python(request.param), tmp_path_factory.mktemp("cwd")) as console:
        yield console


@pytest.fixture
def console(console_kernel: FrontEnd) -> FrontEnd:
    """A front end that takes input and shows no widget, as jupyter_console does."""
    console_kernel.execute(f"%reset -f\n{SETUP}\n{READY.format(0.1)}")
    console_kernel.questions.clear()
    return console_kernel


def asked(console: FrontEnd, times: int = 1) -> None:
    console.wait(lambda: len(console.questions) >= times, "question by input()")


def ended(console: FrontEnd, cell: Cell) -> str:
    console.wait(lambda: cell.done, f"the end of {cell.code!r}")
    return cell.text


def test_a_console_is_asked_by_input_once_no_page_has_come_for_five_seconds(console: FrontEnd) -> None:
    assert _READY_SECONDS == 5
    console.execute(READY.format(1.0))
    cell = console.submit(f"r = await run(asking('one'), {GIVEN})\n{SAY}")
    started = time.monotonic()
    asked(console)
    assert time.monotonic() - started > 0.9
    assert console.questions == [ASKS]
    console.answer("y")
    assert ended(console, cell) == "All is noted. ['one']"


@pytest.mark.parametrize("way", [f"await run(asking('one'), {GIVEN})", f"run_sync(asking('one'), {GIVEN})"])
@pytest.mark.parametrize(
    ("line", "says"), [("y", "All is noted. ['one']"), ("n", "All is noted. []"), ("", "All is noted. []")]
)
def test_the_answer_at_a_console_counts(console: FrontEnd, way: str, line: str, says: str) -> None:
    cell = console.submit(f"r = {way}\n{SAY}")
    asked(console)
    console.answer(line)
    assert ended(console, cell) == says
    console.execute("while asked_by(): await asyncio.sleep(0.01)")


def test_a_console_is_asked_one_question_after_the_other(console: FrontEnd) -> None:
    cell = console.submit(f"r = await run(asking('one', 'two'), {GIVEN})\n{SAY}")
    asked(console)
    console.answer("y")
    asked(console, 2)
    console.answer("y")
    assert ended(console, cell) == "All is noted. ['one', 'two']"
    assert len(set(console.questions)) == 2


def test_a_started_run_asks_the_console_in_the_cell_that_is_running(console: FrontEnd) -> None:
    console.execute(f"live = start(asking('one'), {GIVEN})")
    cell = console.submit("r = await live\n" + SAY)
    asked(console)
    console.answer("y")
    assert ended(console, cell) == "All is noted. ['one']"


@pytest.mark.parametrize("how", ["timeout", "interrupt"])
def test_a_withdrawn_question_takes_no_line_that_was_meant_for_another(
    console: FrontEnd, how: str, tmp_path: Path
) -> None:
    timeout = ", relay_timeout=60" if how == "timeout" else ""
    console.execute(TIME_PASSES.format(str(tmp_path / "now")))
    cell = console.submit(f"r = await run(asking('one'), {GIVEN}{timeout})\n{SAY}")
    asked(console)
    (tmp_path / "now").touch()
    if how == "interrupt":
        console.interrupt()
    ended(console, cell)
    assert cell.error == ("KeyboardInterrupt" if how == "interrupt" else None)
    if how == "timeout":
        assert console.evaluate("'Nobody answered within 60 seconds' in r.transcript()") == "True"
    console.execute("while asked_by(): await asyncio.sleep(0.01)")
    cell = console.submit("print('mine is', input('Yours? '))")
    asked(console, 2)
    console.answer("this")
    assert ended(console, cell).endswith("mine is this")


def test_a_kernel_that_is_asking_shuts_down(tmp_path: Path) -> None:
    with open_front_end(kernel_python("ipykernel-newest"), tmp_path) as console:
        console.execute(f"{SETUP}\n{READY.format(0.1)}")
        console.submit(f"r = await run(asking('one'), {GIVEN})")
        asked(console)
        manager = console._manager
        manager.shutdown_kernel(now=False)  # asks it to, and waits
        assert not manager.is_alive()


def test_doctor_in_a_kernel_without_a_page_says_what_is_known(console: FrontEnd) -> None:
    said = console.evaluate("doctor()")
    assert "approvals bridge: the panel's messages are taken from the kernel's shell stream" in said
    assert "none has shown a panel yet; if none does within 5 s of a question, it is asked by input()" in said
    assert re.search(r"run_sync +reentrant", said)


CELLS = [
    SETUP + READY.format(3600.0),
    f"r = await run(asking('one'), {GIVEN})\n{SAY}",
    f"r = run_sync(asking('one'), {GIVEN}, relay_timeout=3600)\n{SAY}",
    f"r = await start(asking('one'), {GIVEN})\n{SAY}",
    "print(doctor())",
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
def test_nbclient_is_told_no_at_once_and_which_rule_would_make_it_yes(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    rule = 'permissions={\'allowlist\': [{"tool": "note", "params": {"word": "one"}}]}'
    for cell in notebook.cells[1:4]:
        shown = "".join(
            output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in cell.outputs
        )
        assert "All is noted. []" in shown
        if "start(" not in cell.source:
            assert rule in shown
    assert "approvals nobody: the front end takes no input" in notebook.cells[-1].outputs[0].text


# -- plain Python, and IPython at a terminal ---------------------------------------------------------------------------

WAYS = {
    "plain": f"r = run_sync(asking('one'), {GIVEN})",
    "in a running loop": f"async def main():\n    return run_sync(asking('one'), {GIVEN})\nr = asyncio.run(main())",
    "in a worker thread": (
        f"def work():\n    global r\n    r = run_sync(asking('one'), {GIVEN})\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()"
    ),
    "after nest_asyncio": (
        "import nest_asyncio; nest_asyncio.apply()\n"
        f"async def main():\n    return run_sync(asking('one'), {GIVEN})\nr = asyncio.run(main())"
    ),
    "awaited": f"r = asyncio.run(run(asking('one'), {GIVEN}))",
}
UNPATCHED = "\nprint('patched:', hasattr(asyncio, '_nest_patched'))"


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., pexpect.spawn]]:
    """Starts a program at a terminal of its own, and ends it."""
    spawned = []

    def start(*arguments: str) -> pexpect.spawn:
        child = pexpect.spawn(
            sys.executable, list(arguments), cwd=str(tmp_path), encoding="utf-8", timeout=100, echo=False
        )
        spawned.append(child)
        return child

    yield start
    for child in spawned:
        child.close(force=True)


def script(tmp_path: Path, code: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(SETUP + code)
    return str(path)


@pytest.mark.parametrize("way", WAYS)
def test_a_script_at_a_terminal_is_asked(tmp_path: Path, spawn: Callable[..., pexpect.spawn], way: str) -> None:
    child = spawn(script(tmp_path, f"{WAYS[way]}\n{SAY}{UNPATCHED}"))
    child.expect_exact("Approve? [y/N] ")
    child.sendline("y")
    child.expect_exact("All is noted. ['one']")
    child.expect_exact(f"patched: {way == 'after nest_asyncio'}")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_script_whose_question_is_withdrawn_reads_on_and_ends(
    tmp_path: Path, spawn: Callable[..., pexpect.spawn]
) -> None:
    code = f"""
r = run_sync(asking('one'), {GIVEN}, relay_timeout=0.2)
{SAY}
print("mine is", input("Yours? "))
r = run_sync(asking('one', 'two'), {GIVEN}, relay_timeout=0.2)
print(asked_by())
"""
    child = spawn(script(tmp_path, code))
    child.expect_exact("All is noted. []")
    child.expect_exact("Yours? ")
    child.sendline("this")
    child.expect_exact("mine is this")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.signalstatus) == (0, None)


def test_ctrl_c_at_the_question_stops_a_script_cleanly(tmp_path: Path, spawn: Callable[..., pexpect.spawn]) -> None:
    child = spawn(
        script(tmp_path, f"try:\n    run_sync(asking('one'), {GIVEN})\nexcept KeyboardInterrupt:\n    print('out')")
    )
    child.expect_exact("Approve? [y/N] ")
    child.sendintr()
    child.expect_exact("out")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.signalstatus) == (0, None)


def test_a_script_in_a_pipe_is_told_no_at_once(tmp_path: Path) -> None:
    path = script(tmp_path, f"r = run_sync(asking('one'), {GIVEN})\n{SAY}\nprint(r.transcript())\nprint(doctor())")
    done = subprocess.run([sys.executable, path], input="y\n", capture_output=True, text=True, timeout=100, check=True)
    assert "All is noted. []" in done.stdout
    assert "permissions={'allowlist': [" in done.stdout
    assert "approvals nobody: standard input is no terminal" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("way", [f"r = run_sync(asking('one'), {GIVEN})", f"r = await run(asking('one'), {GIVEN})"])
def test_ipython_at_a_terminal_is_asked(tmp_path: Path, spawn: Callable[..., pexpect.spawn], way: str) -> None:
    ipython = (
        "-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit", "--colors=NoColor",
        f"--ipython-dir={tmp_path}", "-i", script(tmp_path, ""),
    )  # fmt: skip
    child = spawn(*ipython)
    child.expect(r"In \[1\]: ")
    child.sendline(way)
    child.expect_exact("Approve? [y/N] ")
    child.sendline("y")
    child.expect(r"In \[2\]: ")
    child.sendline(SAY)
    child.expect_exact("All is noted. ['one']")
    child.expect(r"In \[3\]: ")
    child.sendline("print(doctor())")
    child.expect("approvals console: no page can show a panel here, but input")
    child.sendline("import asyncio; print('patched:', hasattr(asyncio, '_nest_patched'))")
    child.expect_exact("patched: False")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
