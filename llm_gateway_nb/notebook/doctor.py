"""`doctor`: what works here, and why."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from llm_gateway_nb.notebook.kernel import Bridge, in_ipython_terminal, in_kernel, stdin_allowed, way_to_hold
from llm_gateway_nb.notebook.outputs import page_possible

__all__ = ["Diagnosis", "doctor"]


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis:
    """What `doctor` found.

    Attributes:
        can_click: a page can show the panel's buttons. Only a page that has drawn one proves it.
        place: where this code runs.
        clicks: how a click reaches a run that holds its cell.
        run_sync: how synchronous code waits here, and why so.
        versions: of what the notebook side is made of.
    """

    can_click: bool
    place: str
    clicks: str
    run_sync: str
    versions: dict[str, str]

    def __repr__(self) -> str:
        lines = [
            f"place     {self.place}",
            f"clicks    {self.clicks}",
            f"run_sync  {self.run_sync}",
            f"versions  {', '.join(f'{name} {number}' for name, number in self.versions.items())}",
            "tested    JupyterLab 4, Notebook 7, nbclient, nbval on Linux; not yet VS Code, Colab, Voila, macOS, Windows",
        ]
        return "\n".join(lines)


def doctor() -> Diagnosis:
    """Look at this place and say how approvals and `run_sync` work here."""
    can_click = page_possible() and Bridge.current() is not None
    if can_click:
        clicks = "buttons: our panel's messages are taken from the kernel's shell stream while a cell runs"
    elif stdin_allowed():
        clicks = "a question by input(): no page can show buttons here"
    else:
        clicks = "nobody can answer: approvals='ask' denies at once and names the rule to add"
    if in_kernel():
        place = (
            "a Jupyter kernel" if stdin_allowed() else "a Jupyter kernel without a person (nbclient, nbval, papermill)"
        )
    else:
        place = "IPython at a terminal" if in_ipython_terminal() else "plain Python"
    way = way_to_hold()
    return Diagnosis(
        can_click=can_click,
        place=place,
        clicks=clicks,
        run_sync=f"{way.name}: {way.reason}",
        versions={name: number for name in _PACKAGES if (number := _version(name))},
    )


_PACKAGES = ("llm-gateway-nb", "ipykernel", "ipywidgets", "anywidget", "jupyterlab", "notebook")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
