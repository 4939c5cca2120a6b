"""The README's pictures, of real runs in a real JupyterLab. `python tests/support/screenshots.py FOLDER`.

The local model asks for a permission in three views; subagents and a REPL are shown at work, with scripted models.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.jupyter import NotebookPage, browser, jupyter_server, open_notebook

SETUP = """from llm_gateway_nb import bash_tool, create_agent_harness, create_llm, run, tool

@tool
def count_lines(path: str) -> int:
    \"\"\"Count the lines of a text file.\"\"\"
    return len(open(path).readlines())

agent = create_agent_harness(create_llm("local"), max_iterations=4)"""
RUN = 'result = await run(agent, "Which Python version is installed here? Use bash.", tools=[bash_tool, count_lines])'
VIEWS = {"light": (1100, 690, False), "narrow": (430, 820, False), "dark": (1100, 690, True)}  # a theme stays set

SCRIPTED = """from pathlib import Path
from llm_gateway_nb import agent_tool, bash_tool, create_agent_harness, create_rlm_harness, start
from llm_gateway_nb.testing import ScriptedLLM, call

Path("sales.csv").write_text("day,price\\n" + "".join(f"2026-01-{n:02},{3 + n / 8:.2f}\\n" for n in range(1, 29)))
lead = ScriptedLLM([
    ["Two subagents, one for each question.",
     call("agent", task="How many rows has sales.csv?"), call("agent", task="Which day had the highest price?")],
    ["I count its lines.", call("bash", command="wc -l sales.csv")],
    ["I sort by price.", call("bash", command="sort -t, -k2 -n sales.csv | tail -1")],
    "`sales.csv` has **28 rows**.", "The highest price, **6.50**, was on 2026-01-28.", "All is known."])
analyst = ScriptedLLM(['''```python
import io, pandas as pd
frame = pd.read_csv(io.StringIO(context), parse_dates=["day"])
print(len(frame), "rows")
frame.describe()[["price"]].round(2)
```''', '''```python
%matplotlib inline
axes = frame.plot(x="day", y="price", figsize=(7, 2.2), legend=False)
```''', '''```python
FINAL(f"The price rose from {frame.price.iloc[0]} to {frame.price.iloc[-1]}.")
```'''])"""
NESTED = """r = start(create_agent_harness(lead), "What is in sales.csv?", title="Two subagents", tools=[agent_tool, bash_tool],
    permissions={"allowlist": ["agent", {"tool": "bash", "params": {"command": "wc *"}}]})"""
REPL = 's = start(create_rlm_harness(analyst), "How did the price change?", title="REPL", context=open("sales.csv").read())'


def asking(notebook: NotebookPage, folder: Path, name: str) -> None:
    page = notebook.page
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    notebook.run(0)
    notebook.wait_done(0)
    notebook.run(1)
    approve = page.get_by_role("button", name="Approve", exact=True)
    approve.wait_for(timeout=120_000)
    approve.scroll_into_view_if_needed()
    page.screenshot(path=folder / f"asking_{name}.png", animations="disabled")
    approve.click()
    notebook.wait_done(1, 120)
    page.screenshot(path=folder / f"done_{name}.png", animations="disabled")


def working(notebook: NotebookPage, folder: Path) -> None:
    page = notebook.page
    notebook.run(0)
    notebook.wait_done(0)
    notebook.run(1)
    page.locator(".lgnb-dock").get_by_role("button", name="Approve", exact=True).wait_for(timeout=60_000)
    page.locator(".lgnb-live").first.screenshot(path=folder / "subagents.png", animations="disabled")
    notebook.run(2)
    page.locator(".lgnb-live").last.locator(".lgnb-status", has_text="done").wait_for(timeout=120_000)
    page.locator(".lgnb-live").last.locator(".lgnb-body").evaluate("body => (body.style.maxHeight = 'none')")
    page.locator(".lgnb-live").last.screenshot(path=folder / "repl.png", animations="disabled")


def main(folder: Path, only: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, jupyter_server(Path(home)) as server, browser() as chromium:
        if "working" in only or not only:
            notebook = open_notebook(chromium, server, [SCRIPTED, NESTED, REPL], width=1100, height=1300)
            working(notebook, folder)
            notebook.close()
        for name, (width, height, dark) in VIEWS.items():
            if name in only or not only:
                notebook = open_notebook(chromium, server, [SETUP, RUN], width=width, height=height, dark=dark)
                asking(notebook, folder, name)
                notebook.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/screenshots"), sys.argv[2:])
