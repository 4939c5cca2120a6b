"""The pytest plugin that lets notebooks with runs pass `pytest --nbval` as they are. Loaded by pytest itself.

Runs are deterministic by themselves: no ids, times or costs in what is saved. What is left is what Python prints by itself,
such as addresses; it is sanitized by `sanitize.cfg` unless the command line names a file of its own. Under pytest-xdist the
cells of a notebook stay together. A display that is updated is compared as it is at the end, which nbval alone does not do.
A cell whose outputs differ is told as a diff of its text. Of a run it is the transcript that counts: a release that draws
the same run another way breaks no notebook.
"""

from __future__ import annotations

import copy
import difflib
import queue
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

__all__ = ["SANITIZE_FILE", "pytest_configure", "pytest_itemcollected"]

SANITIZE_FILE = Path(__file__).with_name("sanitize.cfg")
"""For `--nbval-sanitize-with`, where it is to be joined with rules of one's own."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Name our sanitize file, where nbval runs and nobody named one; hand xdist whole notebooks."""
    option = config.option
    if not (getattr(option, "nbval", False) or getattr(option, "nbval_lax", False)):
        return
    if not (option.nbval_sanitize_with or option.sanitize_with):
        option.nbval_sanitize_with = str(SANITIZE_FILE)
    if getattr(option, "dist", "no") in {"load", "worksteal"}:
        # A cell needs the ones before it, in the same kernel.
        option.dist = "loadfile"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Teach nbval's cells two things: outputs that were updated, and to tell what differs in a way that can be read."""
    compare = getattr(item, "compare_outputs", None)
    if compare is None or type(item).__name__ != "IPyNbCell":
        return
    cell: Any = item
    displays = _Displays.of(cell.parent)

    def compare_outputs(test: Sequence[Any], ref: Sequence[Any], skip_compare: Any = None) -> bool:
        test, ref = ([_without_looks(each) for each in outputs] for outputs in (displays.brought_up_to_date(test), ref))
        same: bool = compare(test, ref, skip_compare)
        if not same:
            told = _difference([_text(each, cell.sanitize) for each in (ref, test)])
            if told:
                cell.comparison_traceback = [told]
        return same

    cell.compare_outputs = compare_outputs


class _Displays:
    """What became of the displays of a notebook. nbval passes over updates; a started run is told in them.

    An output that says that its run is going on is waited for; one that waits for a later cell stays as it is.
    """

    def __init__(self, file: Any) -> None:
        self._receive = file.get_kernel_message
        self._cell: list[str | None] = []  # the display ids of the cell at hand, one for each of its outputs
        self._now: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        file.get_kernel_message = self.receive

    @classmethod
    def of(cls, file: Any) -> _Displays:
        found: _Displays | None = getattr(file, "_llm_gateway_nb_displays", None)
        if found is None:
            found = file._llm_gateway_nb_displays = cls(file)
        return found

    def receive(self, timeout: float | None = None, stream: str = "iopub") -> Any:
        """The kernel's next message, looked at on its way to nbval."""
        message = self._receive(timeout=timeout, stream=stream)
        kind, content = message["msg_type"], message["content"]
        display_id = (content.get("transient") or {}).get("display_id")
        if kind == "execute_input":
            self._cell = []
        elif kind in {"display_data", "execute_result"}:
            self._cell.append(display_id)
        if display_id is not None and "data" in content:
            self._now[display_id] = content["data"], content.get("metadata", {})
        return message

    def brought_up_to_date(self, outputs: Sequence[Any]) -> list[Any]:
        """The outputs of the cell at hand, as they are now."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while any(self._is_going_on(display_id) for display_id in self._cell) and time.monotonic() < end:
            try:
                self.receive(timeout=end - time.monotonic())
            except queue.Empty:
                break
        shown = iter(self._cell)
        return [self._as_it_is_now(output, shown) for output in outputs]

    def _is_going_on(self, display_id: str | None) -> bool:
        _, metadata = self._now.get(display_id or "", ({}, {}))
        return "run" in metadata.get("llm_gateway_nb", {})

    def _as_it_is_now(self, output: Any, shown: Iterator[str | None]) -> Any:
        if output["output_type"] not in {"display_data", "execute_result"}:
            return output
        display_id = next(shown, None)
        if display_id not in self._now:
            return output
        newer = copy.copy(output)
        newer["data"] = self._now[display_id][0]
        return newer


def _without_looks(output: Any) -> Any:
    """A run without its HTML, which says the same as the transcript beside it."""
    data = output.get("data", {})
    if not data.get("text/plain") or not str(data.get("text/html")).startswith('<div data-lgnb="run"'):
        return output
    plain = copy.copy(output)
    plain["data"] = {kind: value for kind, value in data.items() if kind != "text/html"}
    return plain


_PATIENCE_SECONDS = 10.0
"""How long a started run may take to end after its cell; a run that waits for a later cell is compared as it is."""


def _difference(texts: Sequence[list[str]]) -> str:
    """What is missing (`-`) and what is new (`+`). Empty where the texts are the same, and something else differs."""
    stored, now = texts
    return "\n".join(difflib.unified_diff(stored, now, "stored in the notebook", "now", n=3, lineterm=""))


def _text(outputs: Sequence[Mapping[str, Any]], sanitize: Any) -> list[str]:
    """The outputs as lines, printed text first, as nbval compares it: joined, wherever it was cut."""
    lines: list[str] = []
    for stream in ("stdout", "stderr"):
        printed = "".join(
            each["text"] for each in outputs if each["output_type"] == "stream" and each["name"] == stream
        )
        lines += sanitize(printed).split("\n") if printed else []
    for each in outputs:
        lines += [line for text in _shown(each) for line in sanitize(text).split("\n")]
    return lines


def _shown(output: Mapping[str, Any]) -> Iterator[str]:
    if output["output_type"] == "error":
        yield f"{output['ename']}: {output['evalue']}"
    data = output.get("data", {})
    if data.get("text/plain"):
        yield str(data["text/plain"])
    elif "text/html" in data:
        yield re.sub(r"\s*<", "\n<", str(data["text/html"]))
