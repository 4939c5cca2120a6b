"""`doctor`: what works here, and why."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from llm_gateway_nb.notebook.kernel import Bridge, in_ipython_terminal, in_kernel, stdin_allowed, way_to_hold
from llm_gateway_nb.notebook.outputs import page_possible
from llm_gateway_nb.notebook.panel import RunPanel

__all__ = ["Diagnosis", "doctor"]

Rung = Literal["bridge", "console", "nobody"]


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis:
    """What `doctor` found.

    Attributes:
        rung: how a question of a run is answered here, the best way that there is: `bridge`, a click that reaches the run
            through the kernel's shell stream while its cell runs; `console`, a question by `input()`; `nobody`.
        why: the reason for this rung, in a sentence.
        pages: how many times a page has said in this kernel that it shows a panel; reloads count again. Only this proves
            that somebody can click, and it is 0 until the first run.
        place: where this code runs.
        run_sync: how synchronous code waits here, and why so.
        versions: of what the notebook side is made of.
    """

    rung: Rung
    why: str
    pages: int
    place: str
    run_sync: str
    versions: dict[str, str]

    @property
    def can_click(self) -> bool:
        """Whether a page could show the panel's buttons; see `pages` for whether one has."""
        return self.rung == "bridge"

    def __repr__(self) -> str:
        lines = [
            f"place     {self.place}",
            f"approvals {self.rung}: {self.why}",
            f"pages     {self._pages()}",
            f"run_sync  {self.run_sync}",
            f"versions  {', '.join(f'{name} {number}' for name, number in self.versions.items())}",
            "tested    JupyterLab 4, Notebook 7, nbclient, nbval on Linux; not yet VS Code, Colab, Voila, macOS, Windows",
        ]
        return "\n".join(lines)

    def _pages(self) -> str:
        if not self.can_click:
            return "none can show a panel here"
        if not self.pages:
            return "none has shown a panel yet; if none does within 5 s of a question, it is asked by input()"
        return f"a panel was shown {self.pages} time{'s' if self.pages > 1 else ''}"


def doctor() -> Diagnosis:
    """Look at this place and say how questions are answered and how `run_sync` waits here."""
    rung, why = _rung()
    way = way_to_hold()
    return Diagnosis(
        rung=rung,
        why=why,
        pages=RunPanel.pages_of_all,
        place=_place(),
        run_sync=f"{way.name}: {way.reason}",
        versions={name: number for name in _PACKAGES if (number := _version(name))},
    )


_PACKAGES = ("llm-gateway-nb", "ipykernel", "ipywidgets", "anywidget")
"""What is in this process. The server may be another environment with another JupyterLab, which nobody here can see."""


def _rung() -> tuple[Rung, str]:
    if page_possible():
        if Bridge.current() is not None:
            return "bridge", (
                "the panel's messages are taken from the kernel's shell stream while a cell runs, and its buttons work in "
                "`await run`, `run_sync` and `start`"
            )
        return "console", (
            "this kernel has no shell stream to stand at, so clicks wait for the end of a cell: a run that holds its cell "
            "asks by input(), one of `start` by its buttons between cells"
        )
    if stdin_allowed():
        return "console", "no page can show a panel here, but input() reaches a person"
    if in_kernel():
        return "nobody", "the front end takes no input: approvals='ask' denies at once and names the rule to add"
    return "nobody", "standard input is no terminal: approvals='ask' denies at once and names the rule to add"


def _place() -> str:
    if not in_kernel():
        return "IPython at a terminal" if in_ipython_terminal() else "plain Python"
    if "google.colab" in sys.modules:
        return "a Jupyter kernel in Colab"
    if "VSCODE_PID" in os.environ or "VSCODE_CWD" in os.environ:
        return "a Jupyter kernel in VS Code"
    return "a Jupyter kernel" if stdin_allowed() else "a Jupyter kernel without a person (nbclient, nbval, papermill)"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
