"""`python_tool`, driven by an agent; in the person's own namespace inside a real kernel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.clock import jump
from support.processes import below

import llm_gateway_nb
from llm_gateway_nb.errors import ConfigurationError, ToolError
from llm_gateway_nb.graph import fold
from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.repl import Repl, check_sandbox
from llm_gateway_nb.repl.spare import SPARES
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import python_tool
from llm_gateway_nb.types import (
    HarnessEvent,
    Permissions,
    RelayEvent,
    ReplInputEvent,
    ReplOutputEvent,
    ReplProgressEvent,
    ToolCallEvent,
    ToolContext,
    ToolResultEvent,
    UserMessage,
)

MAY = Permissions(allowlist=["python"])


@pytest.fixture(autouse=True)
def no_process_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    if "notebook" in request.fixturenames:
        yield
        return
    before = below()
    yield
    assert below() - before - {SPARES.pid} == set()


async def collect(*turns: Any, tool: Any = python_tool, permissions: Permissions | None = MAY) -> list[HarnessEvent]:
    with ScriptedLLM(list(turns)) as llm:
        agent = create_agent_harness(llm)
        params = {"messages": [UserMessage(content="go")], "tools": [tool], "permissions": permissions}
        events = []
        async with aclosing(agent.invoke(**params)) as stream:
            async for event in stream:
                events.append(event)
                if isinstance(event, RelayEvent):
                    event.respond({"approved": True})
                if isinstance(event, ReplProgressEvent) and event.chunk == "for ever\n":
                    jump(60)
    return events


def of(kind: type[Any], events: list[HarnessEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def py(code: str) -> Any:
    return call("python", code=code)


async def test_variables_stay_through_a_run_and_the_model_reads_output_and_value() -> None:
    events = await collect(py("x = 20\nprint('set')"), py("x + 1"), "21.")
    assert [(event.status, event.output) for event in of(ToolResultEvent, events)] == [("ok", "set"), ("ok", "21")]


async def test_it_asks_before_it_runs_anything() -> None:
    events = await collect(py("1"), "ok", permissions=None)
    (relay,) = of(RelayEvent, events)
    assert relay.params == {"code": "1"}
    assert events.index(relay) < events.index(of(ReplInputEvent, events)[0])


async def test_what_runs_shows_as_a_cell_inside_the_call() -> None:
    events = await collect(py("import pandas as pd\nprint('p')\npd.DataFrame({'a': [1]})"), "ok")
    called = of(ToolCallEvent, events)[0]
    (begin,), (end,) = of(ReplInputEvent, events), of(ReplOutputEvent, events)
    assert begin.parent_id == called.id
    assert begin.id == end.id
    assert [event.chunk for event in of(ReplProgressEvent, events)] == ["p\n"]
    assert "<table" in end.mime[0]["text/html"]
    assert events.index(end) < events.index(of(ToolResultEvent, events)[0])
    node = fold(events).find(begin.id)
    assert node is not None
    above = node.parent
    while above is not None and above.kind != "tool":
        above = above.parent
    assert above is not None
    assert above.id == called.id


async def test_an_error_is_an_error_result_in_plain_text() -> None:
    events = await collect(py("print('before')\n1/0"), "oh")
    (result,) = of(ToolResultEvent, events)
    assert result.status == "error"
    assert result.output.startswith("before\n")
    assert "ZeroDivisionError" in result.output
    assert "\x1b" not in result.output


async def test_two_calls_in_one_turn_run_one_after_the_other_in_one_repl() -> None:
    events = await collect([py("n = 1"), py("n += 1\nn")], "ok")
    assert sorted(str(event.output) for event in of(ToolResultEvent, events)) == ["2", "[no output]"]


async def test_over_its_time_the_code_is_stopped_and_the_variables_stay() -> None:
    tool = python_tool(timeout=60)
    endless = py("print('for ever', flush=True)\nwhile True: pass")
    events = await collect(py("kept = 1\n"), endless, py("kept"), "ok", tool=tool)
    outputs = [str(event.output) for event in of(ToolResultEvent, events)]
    assert "longer than 60 seconds" in outputs[1]
    assert outputs[2] == "1"


async def test_each_run_has_its_own_repl_unless_one_is_given() -> None:
    await collect(py("x = 1"), "ok")
    events = await collect(py("x"), "ok")
    assert "NameError" in of(ToolResultEvent, events)[0].output
    async with Repl() as repl:
        await collect(py("x = 1"), "ok", tool=python_tool(repl=repl))
        events = await collect(py("x"), "ok", tool=python_tool(repl=repl))
        assert of(ToolResultEvent, events)[0].output == "1"


async def test_it_starts_in_the_notebooks_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.csv").write_text("42")
    monkeypatch.chdir(tmp_path)
    events = await collect(py("print(open('data.csv').read())"), "ok")
    assert of(ToolResultEvent, events)[0].output == "42"


async def test_a_plot_goes_to_the_model_too_where_it_is_asked_for() -> None:
    plot = py("import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    events = await collect(plot, "ok", tool=python_tool(images=True))
    text, image = of(ToolResultEvent, events)[0].output
    assert text["type"] == "text"
    assert (image["type"], image["mediaType"]) == ("image", "image/png")
    events = await collect(plot, "ok")
    assert of(ToolResultEvent, events)[0].output == "<Figure size 640x480 with 1 Axes>"


async def test_a_cancel_leaves_nothing() -> None:
    agent = create_agent_harness(ScriptedLLM([py("print(1, flush=True)\nwhile True: pass")]))
    there = asyncio.Event()

    async def read() -> None:
        async with aclosing(
            agent.invoke(messages=[UserMessage(content="go")], tools=[python_tool], permissions=MAY)
        ) as events:
            async for event in events:
                if isinstance(event, ReplProgressEvent):
                    there.set()

    before = asyncio.all_tasks()
    task = asyncio.create_task(read())
    await asyncio.wait_for(there.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    assert asyncio.all_tasks() == before


async def test_called_by_hand_it_has_a_repl_for_that_call() -> None:
    given = python_tool.schema_(code="1 + 1")  # type: ignore[operator]
    assert python_tool.execute is not None
    assert (await python_tool.execute(given, ToolContext())).context == "2"


async def test_in_a_sandbox_always_covers_any_code() -> None:
    try:
        check_sandbox()
    except ConfigurationError as error:
        pytest.skip(str(error))
    events = await collect(py("open('/etc/mine', 'w')"), "no", tool=python_tool(repl="sandbox"), permissions=None)
    assert of(RelayEvent, events)[0].rule == {"tool": "python"}
    assert "Read-only file system" in of(ToolResultEvent, events)[0].output


def test_options_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no sandbox to it"):
        python_tool(namespace="user", repl="sandbox")
    with pytest.raises(ConfigurationError, match="'own' or 'user'"):
        python_tool(namespace="mine")
    with pytest.raises(ConfigurationError, match="'docker'"):
        python_tool(repl="docker")
    assert python_tool(name="py")(timeout=3).name == "py"


async def test_the_persons_namespace_needs_a_notebook() -> None:
    tool = python_tool(namespace="user")
    assert tool.execute is not None
    with pytest.raises(ToolError, match="this is none"):
        await tool.execute(tool.schema_(code="1"), ToolContext())  # type: ignore[operator]


# -- namespace="user", in a notebook: our own REPL is a kernel like any other ------------------------------------------

SETUP = """
import asyncio
from llm_gateway_nb import Permissions, create_agent_harness, python_tool, run, run_sync
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.types import ReplOutputEvent, ReplProgressEvent, ToolResultEvent, RelayEvent
tool = python_tool(namespace="user", timeout=60)
MAY = {"allowlist": ["python"]}
def agent(*codes):
    return create_agent_harness(ScriptedLLM([*(call("python", code=code) for code in codes), "done"]))
async def results(*codes, **options):
    options = {"tools": [tool], "permissions": MAY, "panel": False, **options}
    global last
    last = await run(agent(*codes), "go", **options)
    return [event.output for event in last.events if isinstance(event, ToolResultEvent)]
def cells():
    return [event for event in last.events if isinstance(event, ReplOutputEvent)]
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def notebook() -> AsyncIterator[Repl]:
    root = str(Path(llm_gateway_nb.__file__).parents[1])
    async with Repl(env={"MPLBACKEND": "module://matplotlib_inline.backend_inline"}) as repl:
        result = await repl.execute(f"import sys; sys.path.insert(0, {root!r})\n{SETUP}")
        assert result.error is None
        yield repl


async def in_cell(notebook: Repl, code: str) -> str:
    result = await notebook.execute(code, timeout=60)
    assert result.error is None, result.error
    return result.stdout


in_notebook = pytest.mark.asyncio(loop_scope="module")


@in_notebook
async def test_it_works_on_the_persons_own_variables(notebook: Repl) -> None:
    code = (
        "import pandas as pd\ndf = pd.DataFrame({'a': [1, 2]})\n"
        "out = await results(\"df['b'] = df.a * 10\\nprint('ok')\\ndf.b.sum()\")\nprint(out[0])\nprint(list(df.columns))"
    )
    assert (await in_cell(notebook, code)).split("\n")[:3] == ["ok", "np.int64(30)", "['a', 'b']"]


@in_notebook
async def test_there_it_asks_every_time_and_always_is_not_offered(notebook: Repl) -> None:
    code = (
        "out = await results('x = 5', 'x', permissions=None, approvals=lambda relay: True)\nprint(out)\n"
        "print([event.rule for event in last.events if isinstance(event, RelayEvent)])"
    )
    assert await in_cell(notebook, code) == "['[no output]', '5']\n[None, None]\n"


@in_notebook
async def test_there_a_plot_and_a_table_are_what_a_cell_shows_and_the_cell_itself_shows_none(notebook: Repl) -> None:
    code = (
        "import pandas as pd\ndf = pd.DataFrame({'a': [1]})\n"
        "out = await results('import matplotlib.pyplot as plt\\nplt.plot([1, 2]);', 'df')\n"
        "print([sorted(bundle) for cell in cells() for bundle in cell.mime])"
    )
    result = await notebook.execute(code, timeout=60)
    assert result.error is None
    assert result.stdout == "[['image/png', 'text/plain'], ['text/html', 'text/plain']]\n"
    assert result.mime == []


@in_notebook
async def test_there_await_errors_and_semicolons_are_as_in_a_cell(notebook: Repl) -> None:
    code = (
        "out = await results('await asyncio.sleep(0, 7)', '7;', 'def f():\\n    return 1/0\\nf()', 'x ='"
        ", 'import sys; sys.exit(1)')\n"
        "print(out[0], out[1], 'ZeroDivisionError' in out[2] and 'Cell In[ ], line 3' in out[2], 'python_cell' in out[2], 'return 1/0' in out[2],"
        " 'SyntaxError' in out[3], 'SystemExit' in out[4])\nprint([cell.error is None for cell in cells()])"
    )
    assert await in_cell(notebook, code) == (
        "7 [no output] True False True True True\n[True, True, False, False, False]\n"
    )


@in_notebook
async def test_there_an_endless_loop_and_an_endless_await_are_stopped(notebook: Repl) -> None:
    code = (
        "quick = python_tool(namespace='user', timeout=0.3)\n"
        "out = await results('while True: pass', 'import time; time.sleep(100)', 'await asyncio.sleep(100)',"
        " 'while True: await asyncio.sleep(0)', tools=[quick])\n"
        "print(['longer than 0.3' in each for each in out], *await results('1'))\n"
        "import signal\nprint(signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL))"
    )
    assert await in_cell(notebook, code) == "[True, True, True, True] 1\n0 (0.0, 0.0)\n"


@in_notebook
async def test_there_prints_of_others_stay_out(notebook: Repl) -> None:
    code = (
        "async def noise():\n    for _ in range(5):\n        print('noise')\n        await asyncio.sleep(0.01)\n"
        "other = asyncio.create_task(noise())\n"
        "out = await results('for i in range(3):\\n    print(i)\\n    await asyncio.sleep(0.02)')\nawait other\nprint(out)"
    )
    assert await in_cell(notebook, code) == "noise\n" * 5 + "['0\\n1\\n2']\n"


@in_notebook
async def test_there_the_stop_button_ends_code_that_holds_the_kernel(notebook: Repl) -> None:
    code = (
        "import threading, os, signal\n"
        "started = threading.Event()\n"
        "def stop():\n    started.wait(60)\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=stop).start()\n"
        "live = None\n"
        "try:\n    await results('started.set()\\nwhile True: pass')\n"
        "except BaseException as error:\n    print(type(error).__name__)"
    )
    result = await notebook.execute(code, timeout=100)
    assert "KeyboardInterrupt" in result.stdout + str(result.error) or "CancelledError" in result.stdout
    assert not result.restarted
    assert await in_cell(notebook, "print(await results('1'))") == "['1']\n"


@in_notebook
async def test_there_run_sync_works_too(notebook: Repl) -> None:
    code = (
        "result = run_sync(agent('y = await asyncio.sleep(0, 3)', 'y'), 'go', tools=[tool], permissions=MAY, panel=False)\n"
        "print([event.output for event in result.events if isinstance(event, ToolResultEvent)], y)"
    )
    assert await in_cell(notebook, code) == "['[no output]', '3'] 3\n"
