"""What it costs to watch a run: `python benchmarks/watching.py [EVENTS…] [--rounds N] [--out FOLDER]`, or `make watching`.

The same run is shown in a real JupyterLab in headless Chromium in each way that a notebook offers (`watching_ways.py`), in
rounds, interleaved. Then what only the panel does: a person's hand on the whole of it, a page that is opened anew in the
middle of a run of 10,000 nodes, 200 panels at once.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from frame import Contender, Figure, Result  # noqa: E402
from playwright.sync_api import Error, WebSocket  # noqa: E402
from report import line, write  # noqa: E402
from support.jupyter import NotebookPage, browser, jupyter_server, open_notebook  # noqa: E402
from support.many_panels import (  # noqa: E402
    AGENTS,
    assert_nothing_is_lost,
    question,
    show_all,
    wait_until_all_are_over,
)
from watching_trace import Trace  # noqa: E402
from watching_ways import COMMON, LONG, LONG_NODES, PER_SECOND, RUN, WAYS  # noqa: E402

EVENTS = [10_000, 50_000]
PATIENCE_MS = 300_000
OURS = "the panel"
NOTE = "“{empty}” gets what the panel gets and does nothing with it: what JupyterLab itself costs, and no peer."

INTRO = (
    f"# What it costs to watch a run\n\nMade by `make watching`: the same run ({PER_SECOND:,} events a second, deltas of "
    "five characters, a tool call with its result each hundred) in a real JupyterLab in headless Chromium; medians of "
    "interleaved rounds. A task is told in CPU time of the page's main thread, by Chromium's own trace: by the clock any "
    "task is long on a machine that is busy with something else. Small is good."
)

Samples = dict[str, dict[str, list[float]]]
"""Numbers by what is measured and whose they are."""

MEASURES = {
    "longest": ("longest task of the page", "ms of CPU", 50.0),
    "clock": ("longest task of the page, by the clock", "ms", None),
    "busy": ("the page in all", "s of CPU", None),
    "kernel": ("the kernel, an event, the run itself included", "µs of CPU", None),
    "wire": ("on the wire", "KB", None),
    "lag": ("from the end of the cell until the last word is on the page", "s", None),
    "heap": ("the page's heap grows by", "MB", None),
}

SEEN = """(last) => [...document.querySelectorAll('.jp-OutputArea-output')].some((one) => one.textContent.includes(last))"""
DRAWN = f"document.querySelectorAll('.lgnb-live .lgnb-tool').length >= {LONG_NODES // 2}"
MARKED = """new MutationObserver((_, observer) => {
  if (!document.querySelector('.lgnb-live')) return;
  performance.mark('there');
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });"""


def watch(notebook: NotebookPage, way: str, count: int) -> dict[str, float]:
    """One way, once: a new page with a new kernel."""
    page, received = notebook.page, [0]

    def on_socket(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: received.append(len(frame)))

    page.on("websocket", on_socket)
    notebook.load()
    notebook.restart_kernel()
    notebook.replace(COMMON + WAYS[way], RUN.format(count=count, per_second=PER_SECOND))
    notebook.run(0)
    notebook.wait_done(0, 60)
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    received.clear()
    with Trace(page) as trace:
        notebook.run(1)
        notebook.wait_done(1, 120 + count / PER_SECOND)
        ended = time.monotonic()
        page.wait_for_function(SEEN, arg="the-very-last", timeout=60_000, polling=20)
        lag = time.monotonic() - ended
        page.wait_for_timeout(1_000)  # what JupyterLab does a little later belongs to it
    session.send("HeapProfiler.collectGarbage")
    page.remove_listener("websocket", on_socket)
    return {
        "longest": trace.longest,
        "clock": trace.clock,
        "busy": trace.busy,
        "kernel": 1e6 * float(notebook.text(1).split("CPU")[-1].split()[0]) / count,
        "wire": sum(received) / 1000,
        "lag": lag,
        "heap": (page.evaluate("performance.memory.usedJSHeapSize") - heap) / 1e6,
    }


def handle(notebook: NotebookPage) -> dict[str, float]:
    """What a person does with the run that is on the page: the longest task of each."""
    page, told = notebook.page, dict[str, float]()

    def press(title: str) -> None:
        box = page.locator(f".lgnb-live [title='{title}']").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def wheel(by: int) -> None:
        box = page.locator(".lgnb-live .lgnb-body").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 200, box["y"] + 100)
        for _ in range(20):
            page.mouse.wheel(0, by)
            page.wait_for_timeout(30)

    def measured(what: str, act: Callable[[], object]) -> None:
        with Trace(page) as trace:
            act()
            page.wait_for_timeout(300)
        told[f"longest task, {what}"] = trace.longest

    page.locator(".lgnb-live .lgnb-head").evaluate("(head) => head.scrollIntoView()")
    measured("scrolling with the wheel", lambda: wheel(-600))
    measured("a jump to the top", lambda: page.evaluate("document.querySelector('.lgnb-body').scrollTop = 0"))
    measured("fold all", lambda: press("Fold or unfold all"))
    measured("unfold all", lambda: press("Fold or unfold all"))
    measured("search opens", lambda: press("Search"))
    measured("a letter is typed into it", lambda: page.keyboard.type("w"))
    measured("the next one is shown", lambda: page.keyboard.press("Enter"))
    return told


def reopen(notebook: NotebookPage) -> dict[str, float]:
    """A page is loaded anew while a run of many nodes is still going."""
    page = notebook.page
    page.context.add_init_script(MARKED)
    notebook.load()
    notebook.restart_kernel()
    notebook.replace(LONG)
    notebook.run(0)
    page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
    notebook.save()
    with Trace(page, since="there") as trace:
        notebook.load()
        page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
        took = page.evaluate("(performance.now() - performance.getEntriesByName('there')[0].startTime) / 1000")
    return {"longest task from when the panel is there": trace.longest, "seconds until all of it is drawn": took}


def many(notebook: NotebookPage) -> dict[str, float]:
    """Two hundred agents that work until one of them has its answer."""
    page = notebook.page
    notebook.load()
    notebook.restart_kernel()
    began = time.monotonic()
    show_all(notebook)
    drawn = time.monotonic() - began
    page.wait_for_timeout(2_000)
    with Trace(page) as trace:
        page.wait_for_timeout(3_000)
    approve = question(notebook)
    approve.evaluate("(button) => button.scrollIntoView({ block: 'center' })")
    page.wait_for_timeout(500)
    box = approve.bounding_box()
    assert box is not None
    clicked = time.monotonic()
    page.mouse.click(box["x"] + 8, box["y"] + 8)
    page.wait_for_function("document.querySelector('.lgnb-answer')", timeout=PATIENCE_MS, polling=20)
    answered = time.monotonic() - clicked
    wait_until_all_are_over(notebook)
    over = time.monotonic() - clicked
    assert_nothing_is_lost(notebook)
    return {
        "seconds until all panels are drawn": drawn,
        "longest task while all of them run": trace.longest,
        "the page, a second while all of them run, ms": trace.busy / 3 * 1000,
        "seconds from a click to its answer on the page": answered,
        "seconds from the click until all are over, on the page": over,
    }


def results_of(samples: Samples, count: int, missing: dict[str, str]) -> list[Result]:
    empty = next(way for way in WAYS if "empty" in way)
    found = []
    for key, (title, unit, limit) in MEASURES.items():
        contenders = [Contender(way, _together) for way in WAYS]
        figure = Figure(
            f"watching-{key}-{count}", f"{count:,} events: {title}", unit, contenders,
            limit=limit, note=NOTE.format(empty=empty) if key == "longest" else "",
        )  # fmt: skip
        found.append(Result(figure, samples[key], missing))
    return found


def _together() -> float:
    """All figures of a way come of one watching."""
    raise NotImplementedError


def table(title: str, samples: dict[str, list[float]], limit: str) -> str:
    rows = [
        f"| {what} | {sorted(numbers)[len(numbers) // 2]:.3g} | {min(numbers):.3g} to {max(numbers):.3g} |"
        for what, numbers in samples.items()
    ]
    return (
        f"## {title}\n\n{limit}\n\n| ms of CPU unless it says otherwise | median | spread |\n|---|--:|--:|\n"
        + "\n".join(rows)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", nargs="*", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where to write the page; without it only lines are printed")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    results: list[Result] = []
    by_hand: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ("hand", "reopen", "many")}

    with tempfile.TemporaryDirectory() as home, jupyter_server(Path(home)) as server, browser() as chromium:
        notebook = open_notebook(chromium, server, ["pass"])
        for count in given.events:
            samples: Samples = {key: defaultdict(list) for key in MEASURES}
            missing: dict[str, str] = {}
            for _ in range(given.rounds):
                for way in random.sample(list(WAYS), len(WAYS)):
                    try:
                        for key, number in watch(notebook, way, count).items():
                            samples[key][way].append(number)
                    except Error as error:  # a page that never shows it is a finding, not a failure
                        missing[way] = str(error).splitlines()[0]
                    if way == OURS and count == max(given.events):
                        _add(by_hand["hand"], handle(notebook))
            kept = [way for way in WAYS if way not in missing]
            samples = {key: {way: of[way] for way in kept} for key, of in samples.items()}
            results += results_of(samples, count, missing)
            print(*map(line, results[-len(MEASURES) :]), sep="\n", flush=True)
        for _ in range(max(1, given.rounds // 2)):  # these take minutes
            for name, measure in (("reopen", reopen), ("many", many)):
                try:
                    _add(by_hand[name], measure(notebook))
                except Error as error:
                    print(f"{name} was not measured: {error}", flush=True)
        notebook.close()

    tables = "\n\n".join(
        (
            table(
                f"A person's hand on {max(given.events):,} events", by_hand["hand"], "To reach: an answer in 100 ms."
            ),
            table(f"Opened anew in a run of {LONG_NODES:,} nodes", by_hand["reopen"], "To reach: no task over 50 ms."),
            table(
                f"{AGENTS} agents with panels in one kernel",
                by_hand["many"],
                "Nothing is lost, in the kernel or on the page.",
            ),
        )
    )
    print(tables)
    if given.out is not None:
        write(results, given.out, name="watching.md", intro=INTRO + _load(load), more=tables)


def _load(before: float) -> str:
    """By the clock a page is as slow as its machine is busy; whoever reads the figures should know."""
    return f"\n\nThe machine's load was {before:.0f} before, {os.getloadavg()[0]:.0f} after, on {os.cpu_count()} cores."


def _add(samples: dict[str, list[float]], numbers: dict[str, float]) -> None:
    for what, number in numbers.items():
        samples[what].append(number)


if __name__ == "__main__":
    main()
