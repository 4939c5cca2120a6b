"""What IPython is told of our types, by their names: nothing of ours is loaded until one of them is shown.

Lower layers know of no notebook. This only says where the views are; a terminal keeps its plain text.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import CoroutineType
from typing import Any

__all__ = ["LIVING", "STATIC", "register"]

LIVING = {
    "harnesses.replay": ("Replay",),
    "primitives.async_queue": ("AsyncQueue",),
    "primitives.deferred": ("Deferred",),
    "primitives.passthrough": ("Passthrough",),
    "types.permissions": ("Permissions",),
    "types.tools": ("ToolDefinition",),
}
"""Module -> classes whose view changes, or answers."""

STATIC = {
    "graph.tree": ("RunTree",),
    "harnesses.agent": ("AgentHarness",),
    "adapters.base": ("AdaptedHarness",),
    "harnesses.replay": ("Replay",),
    "harnesses.rlm": ("RlmHarness",),
    "harnesses.wrapped": ("_Wrapped",),
    "orchestrator.orchestrator": ("AgentOrchestrator",),
    "processing.summarizer": ("Summary",),
    "providers.response": ("GenerateResponse",),
    "server.remote": ("RemoteHarness",),
    "notebook.result": ("RunResult",),
    "permissions.grants": ("Grants",),
    "providers.base": ("LLM",),
    "sessions.session": ("BasicSession",),
    "types.wire": ("WireModel",),
}
"""Module -> classes whose view is HTML; those below them, too."""


def register() -> None:
    """Tell the kernel's IPython, if this process is one. Doing it again changes nothing."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell: Any = get_ipython() if get_ipython is not None else None
    if shell is None:
        return
    formatter = shell.display_formatter
    plain = formatter.formatters["text/plain"]
    if CoroutineType not in plain:
        plain.for_type(CoroutineType, _coroutine)
    if getattr(shell, "kernel", None) is None:
        return
    for module, names in LIVING.items():
        for name in names:
            formatter.ipython_display_formatter.for_type_by_name(f"{__package__}.{module}", name, _show_living)
    html = formatter.formatters["text/html"]
    for module, names in STATIC.items():
        for name in names:
            html.for_type_by_name(f"{__package__}.{module}", name, _html)
    before = html.lookup_by_type(list) if list in html else None
    if not isinstance(before, _ListHtml):
        html.for_type(list, _ListHtml(before))


def _show_living(thing: Any) -> None:
    import_module(f"{__package__}.notebook.show").show_living(thing)


def _html(thing: Any) -> Any:
    return import_module(f"{__package__}.notebook.show").html_of(thing)


def _coroutine(thing: CoroutineType[Any, Any, Any], printer: Any, _cycle: bool) -> None:
    """`run(agent, "…")` as the last line of a cell, its `await` forgotten: nothing happens, and this says why."""
    printer.text(repr(thing))
    if thing.cr_code.co_filename.startswith(_FOLDER):
        printer.text("\nNothing has run yet: put `await` in front of the call.")


_FOLDER = __file__.removesuffix("_display.py")


class _ListHtml:
    """A list of messages, events or tools has a view; of any other, whoever came before us has the say."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, things: list[Any]) -> Any:
        if things and type(things[0]).__module__.startswith(f"{__package__}.types."):
            return _html(things)
        return None if self._before is None else self._before(things)
