"""A real Jupyter server and a real page: JupyterLab or Notebook 7 in headless Chromium, driven as a person would."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import nbformat
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support.ports import free_port

FrontEnd = Literal["lab", "notebook"]

_CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_NOT_OURS = ("reading 'schema'", "filebrowser:open-path", "ResizeObserver loop", "create_subshell_request")
"""What Notebook 7.6 and JupyterLab 4.6 raise by themselves: at their start, and where a kernel goes away."""
_START_SECONDS = 120
_NEWS = "@jupyterlab/apputils-extension:notification"


def chromium() -> str | None:
    """The browser of the system, if there is one."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


class Server:
    """A Jupyter server of its own: own folder, own settings, own token."""

    def __init__(self, folder: Path, url: str, token: str) -> None:
        self.folder = folder
        self.url = url
        self.token = token

    def write(self, cells: Sequence[str], *, kernel: str = "python3") -> str:
        """A new notebook with these cells; its name."""
        name = f"{uuid.uuid4().hex[:8]}.ipynb"
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
        nbformat.write(notebook, self.folder / name)
        return name


@contextmanager
def jupyter_server(
    folder: Path, *, settings: Mapping[str, str] | None = None, kernels: Mapping[str, Path] | None = None
) -> Iterator[Server]:
    """Starts it, waits until it answers, and ends it with all its kernels.

    `settings`: plugin id -> JSON of overrides. `kernels`: name -> the interpreter of its ipykernel, beside `python3`.
    """
    port = free_port()
    token = secrets.token_hex(16)
    root, home = folder / "root", folder / "home"
    root.mkdir(parents=True)
    for plugin, overrides in {_NEWS: '{"fetchNews": "false"}', **(settings or {})}.items():
        extension, _, name = plugin.rpartition(":")
        path = home / "config" / "lab" / "user-settings" / extension / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(overrides)
    for kernel, python in (kernels or {}).items():
        argv = [str(python), "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        path = home / "data" / "kernels" / kernel / "kernel.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"argv": argv, "display_name": kernel, "language": "python"}))
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "config" / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", f"--port={port}", "--port-retries=0",
        f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True", "--LabApp.news_url=None", "--ServerApp.terminals_enabled=False",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(process, f"{url}/api/status?token={token}", folder / "server.log")
        yield Server(root, url, token)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    ended = uuid.uuid4()
    for _ in range(_START_SECONDS * 5):
        try:
            urllib.request.urlopen(url, timeout=20).close()
        except OSError:
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"The Jupyter server ended: {log.read_text()[-2000:]}") from None
        else:
            return
    raise TimeoutError(f"The Jupyter server did not answer ({ended}): {log.read_text()[-2000:]}")


_launched: list[Browser] = []


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium, without a window: the one that this process has open, since Playwright can be started once in each."""
    if _launched:
        yield _launched[0]
        return
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=list(_CHROMIUM), headless=True)
        _launched.append(launched)
        try:
            yield launched
        finally:
            _launched.clear()
            launched.close()


class NotebookPage:
    """One notebook, open on a page. Cells are counted from 0."""

    def __init__(self, page: Page, server: Server, name: str, front_end: FrontEnd) -> None:
        self.page = page
        self.server = server
        self.name = name
        self._front_end = front_end
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self._on_error(str(error)))

    def _on_error(self, error: str) -> None:
        if not any(known in error for known in _NOT_OURS):
            self.errors.append(error)

    def load(self) -> None:
        """Open it, or open it again, and wait for its kernel."""
        query = f"token={self.server.token}"
        if self._front_end == "lab":
            workspace = uuid.uuid4().hex[:8]
            self.page.goto(f"{self.server.url}/lab/workspaces/{workspace}/tree/{self.name}?reset&{query}")
        else:
            self.page.goto(f"{self.server.url}/notebooks/{self.name}?{query}")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=_START_SECONDS * 1000)
        self.page.wait_for_function(_KERNEL_READY, timeout=_START_SECONDS * 1000)

    def replace(self, *cells: str) -> None:
        """Other cells in place of all that are there; the kernel stays as it is."""
        self.page.evaluate(_REPLACE, list(cells))
        self.page.wait_for_function(_COUNT, arg=len(cells))

    def run(self, cell: int) -> None:
        """Run a cell; does not wait."""
        self.page.evaluate(_RUN, cell)

    def execute(self, *cells: str, seconds: float = 90) -> list[str]:
        """Other cells in place of all, run one after the other to their ends; what each has printed."""
        self.replace(*cells)
        for number in range(len(cells)):
            self.run(number)
            self.wait_done(number, seconds)
        return [self.text(number) for number in range(len(cells))]

    def restart_kernel(self) -> None:
        """As the menu does it once the person has confirmed; waits until the kernel is back."""
        self.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.restartKernel() }")
        self.page.wait_for_function(_KERNEL_READY, timeout=_START_SECONDS * 1000)

    @property
    def application(self) -> str:
        """Its name and version, as the page itself knows them."""
        name = {"lab": "JupyterLab", "notebook": "Notebook"}[self._front_end]
        return f"{name} {self.page.evaluate('() => window.jupyterapp.version')}"

    def run_all(self) -> None:
        self.page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def wait_done(self, cell: int, seconds: float = 90) -> None:
        """Until the cell has its number: it has run to its end."""
        self.page.wait_for_function(_DONE, arg=cell, timeout=seconds * 1000)

    def interrupt(self) -> None:
        """The stop button of the toolbar."""
        self.page.evaluate("() => void window.jupyterapp.commands.execute('notebook:interrupt-kernel')")

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """As they stand in the document."""
        result: list[dict[str, Any]] = self.page.evaluate(_OUTPUTS, cell)
        return result

    def text(self, cell: int) -> str:
        """The cell's streams, plain texts and error names."""
        texts = []
        for output in self.outputs(cell):
            match output["output_type"]:
                case "stream":
                    texts.append(_joined(output["text"]))
                case "error":
                    texts.append(f"{output['ename']}: {output['evalue']}\n")
                case _:
                    texts.append(_joined(output["data"].get("text/plain", "")))
        return "".join(texts)

    def save(self) -> nbformat.NotebookNode:
        """Save it, and read what is in the file."""
        self.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.context.save() }")
        return nbformat.read(self.server.folder / self.name, as_version=4)

    def running(self, cell: int) -> bool:
        return not self.page.evaluate(_DONE, cell)

    def waiting(self, cell: int) -> bool:
        """Whether it stands in the kernel's queue, or runs: it has been sent, and has no number."""
        state: str = self.page.evaluate(_STATE, cell)
        return state == "[*]:"

    def close(self) -> None:
        self.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
        self.page.context.close()


def open_notebook(
    browser: Browser,
    server: Server,
    cells: Sequence[str],
    *,
    front_end: FrontEnd = "lab",
    kernel: str = "python3",
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
) -> NotebookPage:
    """A new notebook on a new page, its kernel started."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", device_scale_factor=2
    )
    context.set_default_timeout(60_000)
    notebook = NotebookPage(context.new_page(), server, server.write(cells, kernel=kernel), front_end)
    notebook.load()
    if dark:
        notebook.page.evaluate(
            "async () => { await window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'}) }"
        )
    return notebook


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


expect.set_options(timeout=60_000)

_CELL = "window.jupyterapp.shell.currentWidget.content.widgets[cell]"
_KERNEL_READY = """() => {
  const widget = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  const session = widget && widget.sessionContext && widget.sessionContext.session;
  const kernel = session && session.kernel;
  return kernel && kernel.connectionStatus === 'connected' && ['idle', 'busy'].includes(kernel.status);
}"""
_RUN = """(cell) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = cell; notebook.deselectAll(); notebook.mode = 'command';
  notebook.node.focus(); notebook.widgets[cell].node.scrollIntoView({block: 'nearest'});
  void window.jupyterapp.commands.execute('notebook:run-cell');
}"""
_REPLACE = """(sources) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const shared = notebook.model.sharedModel;
  const cells = sources.map((source) => ({cell_type: 'code', source, outputs: [], execution_count: null, metadata: {}}));
  shared.transact(() => {
    const before = shared.cells.length;
    shared.insertCells(0, cells);
    shared.deleteCellRange(cells.length, cells.length + before);
  });
}"""
_COUNT = "(count) => window.jupyterapp.shell.currentWidget.content.widgets.length === count"
_DONE = f"""(cell) => {{
  const model = {_CELL}.model;
  return model.executionState !== 'running' && model.executionCount !== null;
}}"""
_STATE = f"(cell) => {_CELL}.inputArea.promptNode.textContent"
_OUTPUTS = f"""(cell) => {{
  const outputs = {_CELL}.model.outputs; const all = [];
  for (let i = 0; i < outputs.length; i++) all.push(outputs.get(i).toJSON());
  return all;
}}"""
