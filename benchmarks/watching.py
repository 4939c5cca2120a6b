"""What it costs to watch a run: our panel beside what else a notebook offers. `python benchmarks/watching.py [EVENTS]`.

The same events (deltas of five characters, a tool call with its result each hundred) are shown in a real JupyterLab in
headless Chromium, in four ways: the panel, a tree of ipywidgets, HTML written again by `update_display` ten times a second,
and rich.live. Of each is told: the kernel's CPU an event, KB on the wire, seconds from the last event until it is on the
page (or that it never was), the sum of browser tasks over 50 ms, and what the page's heap grew by.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.jupyter import NotebookPage, browser, jupyter_server, open_notebook

EVENTS = [10_000, 50_000]
PER_SECOND = 2_500

COMMON = """
import asyncio, html, time

async def paced(count, per_second):
    began = time.perf_counter()
    for number in range(count):
        yield number
        ahead = (number + 1) / per_second - (time.perf_counter() - began)
        if ahead > 0.004 or number % 25 == 0:
            await asyncio.sleep(max(0, ahead))

def word(number):
    return "line\\n" if number % 12 == 0 else "word "

LAST = "the-very-last"
"""

WAYS = {
    "the panel": """
from llm_gateway_nb import start
from llm_gateway_nb.types import *
async def events(count, per_second):
    yield HarnessStartEvent(run_id="r", model="m")
    async for number in paced(count, per_second):
        if number % 100 == 99:
            yield ToolCallEvent(run_id="r", id=f"c{number}", name="bash", input={"command": f"echo {number}"})
            yield ToolResultEvent(run_id="r", id=f"c{number}", name="bash", output=str(number), status="ok")
        yield TextEvent(run_id="r", id=f"t{number // 100}", content=word(number))
    yield TextEvent(run_id="r", id="end", content=LAST)
    yield HarnessEndEvent(run_id="r", reason="final")
async def watch(count, per_second):
    await start(events(count, per_second))
""",
    "a tree of ipywidgets": """
import ipywidgets as w
from IPython.display import display
async def watch(count, per_second):
    box, text, value = w.VBox(), None, ""
    display(box)
    async for number in paced(count, per_second):
        if number % 100 == 0:
            text, value = w.HTML(), ""
            box.children = (*box.children, text)
        if number % 100 == 99:
            box.children = (*box.children, w.Accordion([w.HTML(f"<pre>echo {number}\\n{number}</pre>")], titles=["bash"]))
        value += word(number)
        text.value = f"<pre>{html.escape(value)}</pre>"
    box.children = (*box.children, w.HTML(LAST))
""",
    "update_display, 10 a second": """
from IPython.display import display, HTML
async def watch(count, per_second):
    parts, handle, next_time = [], display(HTML(""), display_id=True), 0
    async for number in paced(count, per_second):
        if number % 100 == 99:
            parts.append(f"</pre><details open><summary>bash echo {number}</summary><pre>{number}</pre></details><pre>")
        parts.append(html.escape(word(number)))
        if time.perf_counter() >= next_time:
            handle.update(HTML("<pre>" + "".join(parts) + "</pre>"))
            next_time = time.perf_counter() + 0.1
    handle.update(HTML("<pre>" + "".join(parts) + "</pre>" + LAST))
""",
    "rich.live, 10 a second": """
from rich.live import Live
from rich.text import Text
async def watch(count, per_second):
    text = Text()
    with Live(text, refresh_per_second=10) as live:
        async for number in paced(count, per_second):
            text.append(word(number))
            if number % 100 == 99:
                text.append(f"\\nbash echo {number}\\n{number}\\n")
        text.append(LAST)
        live.refresh()
""",
}

RUN = """
before = time.process_time()
await watch({count}, {per_second})
print("CPU", time.process_time() - before)
"""

SEEN = """(last) => [...document.querySelectorAll('.jp-OutputArea-output')].some((one) => one.textContent.includes(last))"""


def measure(notebook: NotebookPage, way: str, count: int) -> str:
    page = notebook.page
    received = [0]

    def on_socket(socket: object) -> None:
        socket.on("framereceived", lambda frame: received.__setitem__(0, received[0] + len(frame)))  # type: ignore[attr-defined]

    page.on("websocket", on_socket)
    notebook.load()  # a new page with sockets that are counted, and a heap without the last way
    notebook.restart_kernel()
    notebook.replace(COMMON + WAYS[way], RUN.format(count=count, per_second=PER_SECOND))
    notebook.run(0)
    notebook.wait_done(0, 60)
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    page.evaluate(
        "() => { window.long = []; new PerformanceObserver((l) => l.getEntries().forEach((e) => long.push(e.duration)))"
        ".observe({ type: 'longtask' }); }"
    )
    received[0] = 0
    notebook.run(1)
    try:
        notebook.wait_done(1, 120 + count / PER_SECOND)
    except Exception:  # noqa: BLE001  (one that never ends is a finding, too)
        notebook.interrupt()
        return f"| {count:,} | {way} | the cell did not end in {120 + count / PER_SECOND:.0f} s | | | | | |"
    ended = time.monotonic()
    try:
        page.wait_for_function(SEEN, arg="the-very-last", timeout=40_000, polling=20)
        lag = f"{time.monotonic() - ended:.2f}"
    except Exception:  # noqa: BLE001  (a page that never shows it is a finding, not a failure)
        lag = "never"
    long = page.evaluate("[long.length, long.reduce((a, b) => a + b, 0), Math.max(0, ...long)]")
    session.send("HeapProfiler.collectGarbage")
    grown = (page.evaluate("performance.memory.usedJSHeapSize") - heap) / 1e6
    printed = notebook.text(1)
    cpu = float(printed.split("CPU")[-1].split()[0]) if "CPU" in printed else float("nan")
    page.remove_listener("websocket", on_socket)
    return (
        f"| {count:,} | {way} | {1e6 * cpu / count:.1f} | {received[0] / 1000:,.0f} | {lag} "
        f"| {long[1]:,.0f} | {long[2]:,.0f} | {grown:.1f} |"
    )


def main(counts: list[int]) -> None:
    print(
        "| events | way | CPU µs/event | KB received | last event seen after s | long tasks ms | longest ms | heap MB |"
    )
    print("|--:|---|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as home, jupyter_server(Path(home)) as server, browser() as chromium:
        notebook = open_notebook(chromium, server, ["pass"])
        for count in counts:
            for way in WAYS:
                print(measure(notebook, way, count), flush=True)
        notebook.close()


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or EVENTS)
