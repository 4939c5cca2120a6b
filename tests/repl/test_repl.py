"""A REPL, driven through `Repl.execute` with a real kernel."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.processes import alive, below, gone

from llm_gateway_nb.errors import ReplError
from llm_gateway_nb.repl import Piece, Repl, kernel, without_ansi
from llm_gateway_nb.repl.process import _sweep
from llm_gateway_nb.repl.spare import Spares

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_variables_stay_from_turn_to_turn(repl: Repl) -> None:
    assert (await repl.execute("x = 20")).mime == []
    assert (await repl.execute("x + 1")).mime == [{"text/plain": "21"}]


async def test_await_works_at_the_top_level(repl: Repl) -> None:
    result = await repl.execute("import asyncio\nprint(await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)))")
    assert (result.stdout, result.error) == ("[1, 2]\n", None)


async def test_output_comes_as_it_is_printed_and_the_streams_are_told_apart(repl: Repl) -> None:
    seen: list[Piece] = []
    gate = Path((await repl.execute("import os; print(os.getcwd())")).stdout.strip()) / "gate"

    def look(piece: Piece) -> None:
        seen.append(piece)
        if piece.text == "first\n":
            gate.touch()  # what follows is printed only once the first line has been seen

    code = (
        "import sys, time, os\nprint('first', flush=True)\nwhile not os.path.exists('gate'): time.sleep(0.01)\n"
        "print('warn', file=sys.stderr)\nprint('last', 1, 2)"
    )
    result = await repl.execute(code, timeout=100, on_output=look)
    assert (result.stdout, result.stderr, result.error) == ("first\nlast 1 2\n", "warn\n", None)
    assert seen[0] == Piece("stdout", "first\n")
    assert "".join(piece.text for piece in seen if piece.kind == "stderr") == "warn\n"


async def test_subprocesses_print_into_the_turn(repl: Repl) -> None:
    assert "from a shell" in (await repl.execute("import os\nos.system('echo from a shell')")).stdout


async def test_a_table_and_a_plot_come_as_the_bundles_that_a_cell_would_show(repl: Repl) -> None:
    code = (
        "import pandas as pd, matplotlib.pyplot as plt\n"
        "df = pd.DataFrame({'a': [1, 2]})\ndisplay(df)\nplt.plot([1, 2]);"
    )
    table, plot = (await repl.execute(code)).mime
    assert "<table" in table["text/html"]
    assert "text/plain" in table
    assert base64.b64decode(plot["image/png"]).startswith(b"\x89PNG")


async def test_a_display_that_is_updated_or_cleared_is_there_once(repl: Repl) -> None:
    code = "h = display(1, display_id=True)\nh.update(2)\nfrom IPython.display import clear_output"
    assert [bundle["text/plain"] for bundle in (await repl.execute(code)).mime] == ["2"]
    shown = await repl.execute("for i in range(5):\n    clear_output(wait=True)\n    display(i)")
    assert [bundle["text/plain"] for bundle in shown.mime] == ["4"]


async def test_an_error_is_a_traceback_with_what_was_printed_before_it(repl: Repl) -> None:
    result = await repl.execute("print('before')\n1/0")
    assert result.stdout == "before\n"
    assert "\x1b[" in str(result.error)
    assert "ZeroDivisionError: division by zero" in without_ansi(str(result.error))
    assert "SyntaxError" in without_ansi(str((await repl.execute("def f(:")).error))
    assert (await repl.execute("1")).error is None


async def test_nobody_can_be_asked_by_input_and_exit_ends_nothing(repl: Repl) -> None:
    assert "StdinNotImplementedError" in str((await repl.execute("input('? ')")).error)
    assert (await repl.execute("x = 7\nexit()")).restarted is False
    assert (await repl.execute("import sys; sys.exit(3)")).restarted is False
    assert (await repl.execute("x")).mime == [{"text/plain": "7"}]


async def test_much_output_keeps_its_beginning_and_its_end(repl: Repl) -> None:
    result = await repl.execute("for i in range(100_000): print(i)")
    assert result.truncated
    assert result.stdout.startswith("0\n1\n")
    assert result.stdout.endswith("99998\n99999\n")
    assert "characters left out" in result.stdout
    assert len(result.stdout) < 2_200
    assert (await repl.execute("print(1)")).truncated is False


async def test_an_endless_flood_ends_at_the_limit_and_costs_no_memory(repl: Repl) -> None:
    result = await repl.execute("while True: print('x' * 10_000)", timeout=0.5)
    assert "longer than 0.5 seconds" in str(result.error)
    assert len(result.stdout) < 2_200
    assert not result.restarted


async def test_what_is_too_large_to_show_is_cut_or_named(repl: Repl) -> None:
    shown = await repl.execute("'x' * 10_000_000")
    assert len(shown.mime[0]["text/plain"]) < 21_000
    many = await repl.execute("for i in range(500): display(i)")
    assert len(many.mime) == 101
    assert "400 displays left out" in many.mime[-1]["text/plain"]
    html = await repl.execute("from IPython.display import HTML\nHTML('y' * 5_000_000)")
    assert "too large to show" in html.mime[0]["text/plain"]
    error = await repl.execute("raise ValueError('z' * 100_000_000)", timeout=60)
    assert "ValueError" in str(error.error)
    assert "longer than" not in str(error.error)
    assert len(str(error.error)) < 60_000


async def test_an_endless_loop_is_interrupted_and_the_variables_stay(repl: Repl) -> None:
    await repl.execute("kept = 'still here'")
    result = await repl.execute("while True: pass", timeout=0.3)
    assert "longer than 0.3 seconds" in str(result.error)
    assert "KeyboardInterrupt" in str(result.error)
    assert (await repl.execute("kept")).mime == [{"text/plain": "'still here'"}]


async def test_an_interrupt_that_goes_unseen_is_sent_again(repl: Repl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_AGAIN_SECONDS", 0.2)
    code = (
        "import time\nfor n in range(2):\n    try:\n        time.sleep(1000)\n"
        "    except KeyboardInterrupt:\n        print('seen', n)"
    )
    result = await repl.execute(code, timeout=0.3)
    assert result.stdout == "seen 0\nseen 1\n"
    assert not result.restarted


async def test_a_sleeping_await_is_interrupted_too(repl: Repl) -> None:
    result = await repl.execute("await asyncio.sleep(1000)", timeout=0.3)
    assert "longer than 0.3 seconds" in str(result.error)
    assert not result.restarted


async def test_threads_go_on_printing_into_the_turn_that_runs(repl: Repl) -> None:
    await repl.execute(
        "import threading\ngo, done = threading.Event(), threading.Event()\n"
        "def work():\n    go.wait()\n    print('from a thread', flush=True)\n    done.set()\n"
        "thread = threading.Thread(target=work); thread.start()"
    )
    result = await repl.execute("go.set(); done.wait(60); thread.join()", timeout=90)
    assert result.error is None


async def test_two_turns_at_once_run_one_after_the_other(repl: Repl) -> None:
    first, second = await asyncio.gather(repl.execute("n = 1\nn"), repl.execute("n += 1\nn"))
    assert (first.mime[0]["text/plain"], second.mime[0]["text/plain"]) == ("1", "2")


async def test_a_cancelled_turn_is_interrupted_and_the_repl_goes_on(repl: Repl) -> None:
    started = asyncio.Event()
    turn = asyncio.create_task(
        repl.execute("before = 1\nprint('on it', flush=True)\nwhile True: pass", on_output=lambda _: started.set())
    )
    await asyncio.wait_for(started.wait(), 30)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert (await repl.execute("before")).mime == [{"text/plain": "1"}]


# -- what the process may do -----------------------------------------------------------------------------------------


async def test_no_secret_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@h/db")
    async with Repl(env={"GREETING": "hello"}) as repl:
        environment = (await repl.execute("import os\nprint(dict(os.environ))")).stdout
    assert "secret" not in environment
    assert "postgres" not in environment
    assert "'GREETING': 'hello'" in environment
    assert "'PATH'" in environment


async def test_its_folder_is_its_own_or_the_one_that_is_given(repl: Repl, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("42")
    async with Repl(cwd=tmp_path) as other:
        assert (await other.execute("print(open('data.txt').read())")).stdout == "42\n"
        own = Path((await repl.execute("import os; print(os.getcwd())")).stdout.strip())
        mode = (await repl.execute("print(oct(os.stat('..').st_mode & 0o777))")).stdout.strip()
    assert own not in {Path.cwd(), tmp_path}
    assert mode == "0o700"


async def test_memory_beyond_the_bound_is_an_error_in_the_code() -> None:
    async with Repl(memory_bytes=1024**3) as repl:
        result = await repl.execute("x = 1\nb = bytearray(3 * 1024**3)")
        assert "MemoryError" in str(result.error)
        assert (await repl.execute("x")).mime == [{"text/plain": "1"}]


# -- when the process is lost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import os; os._exit(3)", "exit code 3"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
async def test_a_process_that_dies_is_replaced_and_the_loss_is_told(code: str, cause: str) -> None:
    async with Repl(variables={"context": "the text"}) as repl:
        await repl.execute(
            "import math\nnumbers = [1, 2.5, float('inf'), {'a': (1, {2})}]\nf = lambda: 1\nhuge = 'x' * 10**6"
        )
        result = await repl.execute(code)
        assert result.restarted
        assert cause in str(result.error)
        assert "Lost variables: f, huge." in str(result.error)
        assert "context, math, numbers" in str(result.error)
        again = await repl.execute("context, numbers, math.pi")
        assert again.mime[0]["text/plain"] == "('the text', [1, 2.5, inf, {'a': (1, {2})}], 3.141592653589793)"


async def test_code_that_ignores_the_interrupt_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_GRACE_SECONDS", 0.5)
    async with Repl() as repl:
        await repl.execute("a = 1")
        first = repl.pid
        assert first is not None
        result = await repl.execute(
            "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", timeout=0.2
        )
        assert result.restarted
        assert "was killed" in str(result.error)
        assert await gone(first)
        assert (await repl.execute("a")).mime == [{"text/plain": "1"}]


async def test_a_process_that_dies_between_turns_is_noticed() -> None:
    async with Repl() as repl:
        await repl.execute("import os, threading, signal\nlost = open(os.devnull)")
        pid = repl.pid
        assert pid is not None
        await repl.execute("threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()")
        assert await gone(pid)
        result = await repl.execute("1")
        assert "SIGKILL" in str(result.error)
        assert "Lost variables: lost." in str(result.error)
        assert (await repl.execute("1")).error is None


async def test_what_the_code_started_is_gone_with_it_in_other_sessions_too() -> None:
    async with Repl() as repl:
        code = (
            "import subprocess, os\n"
            "a = subprocess.Popen(['sleep', '1000'])\n"
            "b = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
            "c = subprocess.run('setsid sleep 1000 & echo $!', shell=True, capture_output=True, text=True)\n"
            "print(a.pid, b.pid, c.stdout)"
        ).replace("setsid sleep 1000 &", "setsid sleep 1000 >/dev/null 2>&1 &")
        pids = [int(pid) for pid in (await repl.execute(code)).stdout.split()]
        assert all(map(alive, pids))
    for pid in pids:
        assert await gone(pid)


async def test_a_kernel_that_never_starts_is_an_error_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("llm_gateway_nb.repl.repl.SPARES", Spares())
    before = below()
    for content, words in (
        ("raise SystemExit('no luck')", "no luck"),
        ("import time\ntime.sleep(1000)", "0.5 seconds"),
    ):
        (tmp_path / "child.py").write_text(content)
        monkeypatch.setattr("llm_gateway_nb.repl.process.CHILD", tmp_path / "child.py")
        async with Repl(start_timeout=0.5 if "time" in content else 60) as repl:
            with pytest.raises(ReplError, match=words):
                await repl.execute("1")
    assert below() <= before


async def test_a_folder_that_is_not_there_is_told_at_the_first_turn() -> None:
    async with Repl(cwd="/nowhere/at/all") as repl:
        with pytest.raises(ReplError, match="/nowhere/at/all"):
            await repl.execute("1")


async def test_a_closed_repl_says_so(repl: Repl) -> None:
    other = Repl()
    with pytest.raises(ReplError, match="closed"):
        await other.execute("1")
    async with other:
        pass
    with pytest.raises(ReplError, match="closed"):
        await other.execute("1")


async def test_closing_while_a_turn_runs_leaves_nothing() -> None:
    async with Repl() as repl:
        await repl.execute("1")
        pid, started = repl.pid, asyncio.Event()
        turn = asyncio.create_task(
            repl.execute("print(1, flush=True)\nwhile True: pass", on_output=lambda _: started.set())
        )
        await asyncio.wait_for(started.wait(), 30)
        await repl.aclose()
        assert pid is not None
        assert await gone(pid)
        result = await asyncio.wait_for(turn, 30)
        assert result.error is not None


def left_in(folder: str) -> list[Path]:
    return list(Path(folder).glob("lgnb-repl-*"))


_PARENT = """
import asyncio, os, signal, threading
from llm_gateway_nb.repl import Repl

async def tell(pid):
    print(pid, flush=True)
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGKILL]).start()

async def main():
    async with Repl(functions={"tell": tell}) as repl:
        print(repl.pid, flush=True)
        await repl.execute(
            "import subprocess, re\\nawait tell(subprocess.Popen(['sleep', '1000']).pid)\\n"
            "re.match('(a+)+$', 'a' * 60 + 'b')"
        )

asyncio.run(main())
"""


async def test_a_parent_that_is_killed_takes_its_repls_along(tmp_path: Path) -> None:
    """Even while the code holds the interpreter's lock, so that no thread of its process could see it."""
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    with TemporaryDirectory(prefix="p-", dir="/tmp") as folder:  # a socket's path is short
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), stdout=asyncio.subprocess.PIPE, env={**os.environ, "TMPDIR": folder}
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        pids = [int(pid) for pid in out.split()]
        assert len(pids) == 2
        for pid in pids:
            assert await gone(pid)
        assert left_in(folder) != []
        _sweep.__wrapped__(Path(folder))  # what the next process does first
        assert left_in(folder) == []


async def test_many_are_open_at_once_and_the_spare_goes_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_gateway_nb.repl.repl.SPARES", Spares())
    before = below()

    async def use(number: int) -> str:
        async with Repl() as repl:
            await repl.execute(f"n = {number}")
            return str((await repl.execute("n")).mime[0]["text/plain"])

    assert await asyncio.gather(*(use(number) for number in range(4))) == ["0", "1", "2", "3"]
    assert below() <= before


async def test_a_spare_stands_by_once_a_turn_has_run_and_is_what_the_next_repl_gets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llm_gateway_nb.repl.repl.SPARES", Spares())
    async with Repl() as first:
        before = below()
        await first.execute("1")
        (spare,) = below() - before
        async with Repl() as second:
            assert second.pid == spare


async def test_a_repl_says_what_it_is() -> None:
    assert repr(Repl()) == "Repl('kernel', closed)"
