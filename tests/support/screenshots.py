"""The README's pictures: a real run of the local model in a real JupyterLab. `python tests/support/screenshots.py FOLDER`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.jupyter import browser, jupyter_server, open_notebook

SETUP = """from llm_gateway_nb import bash_tool, create_agent_harness, create_llm, run, tool

@tool
def count_lines(path: str) -> int:
    \"\"\"Count the lines of a text file.\"\"\"
    return len(open(path).readlines())

agent = create_agent_harness(create_llm("local"), max_iterations=4)"""
RUN = 'result = await run(agent, "Which Python version is installed here? Use bash.", tools=[bash_tool, count_lines])'
VIEWS = {"light": (1100, 690, False), "dark": (1100, 690, True), "narrow": (430, 820, False)}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, jupyter_server(Path(home)) as server, browser() as chromium:
        for name, (width, height, dark) in VIEWS.items():
            notebook = open_notebook(chromium, server, [SETUP, RUN], width=width, height=height, dark=dark)
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
            notebook.close()
            print(f"{name}: {notebook.text(1) if not page.is_closed() else 'taken'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/screenshots"))
