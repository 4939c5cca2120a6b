"""What tools print stays with the tool."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from support.frontend import FrontEnd

from llm_gateway_nb.notebook.kernel import capturing


def text(outputs: list[dict[str, Any]]) -> str:
    return "".join(output["text"] for output in outputs)


def test_what_is_printed_goes_to_the_sink_in_jupyters_form(capsys: pytest.CaptureFixture[str]) -> None:
    outputs: list[dict[str, Any]] = []
    with capturing(outputs.append):
        print("a", "b")
        print("c", end="", file=sys.stderr)
    print("outside")
    assert outputs == [
        {"output_type": "stream", "name": "stdout", "text": "a"},
        {"output_type": "stream", "name": "stdout", "text": " "},
        {"output_type": "stream", "name": "stdout", "text": "b"},
        {"output_type": "stream", "name": "stdout", "text": "\n"},
        {"output_type": "stream", "name": "stderr", "text": "c"},
    ]
    assert capsys.readouterr() == ("outside\n", "")


def test_the_streams_are_exactly_as_before_afterwards() -> None:
    before = (type(sys.stdout), sys.stdout.write, dict(vars(sys.stdout)))
    with capturing(lambda output: None), capturing(lambda output: None):
        assert sys.stdout.write != before[1]
    assert (type(sys.stdout), sys.stdout.write, dict(vars(sys.stdout))) == before


async def test_two_tools_at_once_the_caller_and_threads_are_kept_apart(capsys: pytest.CaptureFixture[str]) -> None:
    both_in, outputs = asyncio.Barrier(3), {"a": [], "b": []}  # type: ignore[var-annotated]

    async def tool(name: str) -> None:
        with capturing(outputs[name].append):
            await both_in.wait()
            print(name, 1)
            await asyncio.to_thread(print, name, 2)
            await asyncio.create_task(asyncio.to_thread(print, name, 3))

    async with asyncio.TaskGroup() as group:
        group.create_task(tool("a"))
        group.create_task(tool("b"))
        await both_in.wait()
        print("caller")
    assert {name: text(of) for name, of in outputs.items()} == {"a": "a 1\na 2\na 3\n", "b": "b 1\nb 2\nb 3\n"}
    assert capsys.readouterr().out == "caller\n"


def test_the_inner_of_two_captures_takes_all() -> None:
    outer: list[dict[str, Any]] = []
    inner: list[dict[str, Any]] = []
    with capturing(outer.append):
        print("outer")
        with capturing(inner.append):
            print("inner")
        print("outer again")
    assert (text(outer), text(inner)) == ("outer\nouter again\n", "inner\n")


def test_a_sink_may_print_and_fail(capsys: pytest.CaptureFixture[str]) -> None:
    def sink(output: dict[str, Any]) -> None:
        print("sink:", output["text"].strip())
        raise LookupError

    with pytest.raises(LookupError), capturing(sink):
        print("text")
    print("after")
    assert capsys.readouterr().out == "sink: text\nafter\n"


async def test_a_task_that_outlives_its_capture_prints_as_if_there_were_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outputs: list[dict[str, Any]] = []
    go_on = asyncio.Event()

    async def late() -> None:
        await go_on.wait()
        print("late")

    with capturing(outputs.append):
        task = asyncio.create_task(late())
    with capturing(outputs.append):  # another one is open, so the patches are in place
        go_on.set()
        await task
    assert outputs == []
    assert capsys.readouterr().out == "late\n"


def test_who_wraps_the_stream_meanwhile_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with capturing(lambda output: None):
        ours = sys.stdout.write
        wrapper = lambda text: ours(text.upper())  # noqa: E731
        sys.stdout.write = wrapper  # type: ignore[method-assign]
    assert sys.stdout.write is wrapper
    print("after")
    assert capsys.readouterr().out == "AFTER\n"
    del sys.stdout.write


def test_writing_something_else_than_text_is_the_usual_error() -> None:
    with pytest.raises(TypeError), capturing(lambda output: None):
        sys.stdout.write(5)  # type: ignore[arg-type]


@pytest.mark.kernel
def test_in_a_kernel_tools_the_cell_and_threads_are_kept_apart(page: FrontEnd) -> None:
    page.execute("""
from IPython.display import HTML, clear_output, display
A, B = [], []
async def tool(name, sink):
    with capturing(sink.append):
        for number in range(2):
            print(name, number)
            await asyncio.sleep(0)
        handle = display(HTML(name), display_id=True)
        await asyncio.to_thread(display, HTML(name + " thread"))
        await asyncio.to_thread(print, name, "thread")
        handle.update(HTML(name + " updated"))
        clear_output(wait=True)
def short(outputs):
    return [(o["output_type"], o.get("text") or o.get("data", {}).get("text/html") or o.get("wait"))
            for o in outputs if o.get("text", "x").strip()]
""")
    cell = page.submit("""
print("cell 1")
shown = display(HTML("cell"), display_id=True)
tools = asyncio.gather(tool("a", A), tool("b", B))
await asyncio.sleep(0)
print("cell 2")
await tools
with capturing(A.append):
    shown.update(HTML("cell updated"))  # what stands outside is updated there
display(HTML("cell end"))
""")
    page.wait(lambda: cell.done, "end of the cell")
    assert cell.text == "cell 1\ncell 2"
    assert [(output["type"], output["data"]["text/html"]) for output in cell.outputs if "data" in output] == [
        ("display_data", "cell"),
        ("update_display_data", "cell updated"),
        ("display_data", "cell end"),
    ]
    for name in ("a", "b"):
        assert eval(page.evaluate(f"short({name.upper()})")) == [
            *[("stream", part) for number in range(2) for part in (name, str(number))],
            ("display_data", name),
            ("display_data", f"{name} thread"),
            ("stream", name),
            ("stream", "thread"),
            ("update_display_data", f"{name} updated"),
            ("clear_output", True),
        ]
    assert page.evaluate("'publish' in vars(get_ipython().display_pub), type(__import__('sys').stdout).__mro__[1]") == (
        "(False, <class 'io.TextIOBase'>)"
    )


@pytest.mark.kernel
def test_a_background_task_prints_into_its_sink_while_later_cells_print_into_themselves(page: FrontEnd) -> None:
    page.execute("""
outputs, turns = [], asyncio.Queue()
async def background():
    with capturing(outputs.append):
        while (turn := await turns.get()) is not None:
            print("background", turn)
            await asyncio.to_thread(print, "thread", turn)
task = asyncio.create_task(background())
""")
    for turn in range(3):
        cell = page.execute(f"""
print("cell {turn}")
turns.put_nowait({turn})
while sum("thread" in o["text"] for o in outputs) <= {turn}: await asyncio.sleep(0.001)
print("end {turn}")
""")
        assert cell.text == f"cell {turn}\nend {turn}"
    page.execute("turns.put_nowait(None); await task")
    assert page.evaluate("repr(''.join(o['text'] for o in outputs))") == repr(
        "".join(f"background {turn}\nthread {turn}\n" for turn in range(3))
    )


@pytest.mark.kernel
def test_a_synchronous_cell_neither_ends_a_capture_nor_leaves_one(page: FrontEnd) -> None:
    """IPython 9 sets `sys.stdout.write` itself around such a cell."""
    page.execute("""
import sys
def facts():
    return type(sys.stdout).__mro__, [w for w in [vars(sys.stdout).get("write")] if "llm_gateway_nb" in type(w).__module__]
before = facts()
outputs, turns = [], asyncio.Queue()
async def background():
    while await turns.get() != "begin": pass
    with capturing(outputs.append):
        print("one")
        await turns.get()
        print("two")
        await turns.get()
        print("three")
    finished.set()
finished = asyncio.Event()
async def send(turn):
    turns.put_nowait(turn)
    for _ in range(5): await asyncio.sleep(0)
task = asyncio.create_task(background())
""")
    # The capture begins in one synchronous cell, lives through the next, and ends in the third.
    for turn in ("begin", "go on", "end"):
        cell = page.execute(f"print('before {turn}'); hold(send({turn!r})); print('after {turn}')")
        assert cell.text == f"before {turn}\nafter {turn}"
    page.execute("print('pass')")
    assert page.evaluate("repr(''.join(o['text'] for o in outputs)), finished.is_set(), before == facts()") == (
        repr((repr("one\ntwo\nthree\n"), True, True))
    )
