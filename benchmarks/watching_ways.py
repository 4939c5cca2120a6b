"""What is watched: one run of deltas of five characters with a tool call each hundred, shown in each way there is.

Code of cells, in text: it runs in a real kernel under a real JupyterLab. `watching.py` measures.
"""

from __future__ import annotations

__all__ = ["COMMON", "LONG", "LONG_NODES", "PER_SECOND", "RUN", "WAYS"]

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
    "the panel's bytes, an empty widget": """
from llm_gateway_nb.notebook.panel import RunPanel
RunPanel._esm = "export default { initialize({ model }) { model.send({ k: 'ready' }); } }"
RunPanel._css = ""
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

# The same bytes to a widget that does nothing with them: what JupyterLab itself costs.
WAYS["the panel's bytes, an empty widget"] += WAYS["the panel"]

LONG_NODES = 10_000
LONG = f"""
import asyncio
from llm_gateway_nb import start
from llm_gateway_nb.types import *
async def events():
    yield HarnessStartEvent(run_id="r", model="m")
    for number in range({LONG_NODES // 2}):
        yield TextEvent(run_id="r", id=f"t{{number}}", content=f"text {{number}} " + "word " * 20)
        yield ToolResultEvent(run_id="r", id=f"c{{number}}", name="bash", output=str(number), status="ok")
        if number % 200 == 0:
            await asyncio.sleep(0.05)
    await asyncio.Event().wait()
r = start(events())
"""
"""A run of many nodes that is still going."""
