"""A progress bar that is right in a saved notebook, too: in a kernel an output that is written again, else tqdm's line.

tqdm's own bar for notebooks is a widget. What is left of it in the file says 0 %, or that a model was not found.
"""

from __future__ import annotations

import html
import io
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tqdm.std import tqdm

if TYPE_CHECKING:
    _Tqdm = tqdm[Any]
else:
    _Tqdm = tqdm

__all__ = ["progress_bar"]


def progress_bar(total: int | None, description: str | None = None, *, shown: bool = True, **options: Any) -> tqdm[Any]:
    """A bar of tqdm: `update(n)`, `close()`, a context manager.

    Args:
        options: as tqdm's, such as `unit="B", unit_scale=True`.
    """
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython is not None else None
    kind = tqdm if getattr(shell, "kernel", None) is None else _KernelBar
    bar: tqdm[Any] = kind(total=total, desc=description, disable=not shown, **options)
    return bar


class _KernelBar(_Tqdm):
    """Its text has no times or rates, so that it compares; its HTML has them while it runs."""

    monitor_interval = 0  # no thread that redraws a bar in which nothing happens

    def __init__(self, **options: Any) -> None:
        self._output: Any = None
        super().__init__(None, file=io.StringIO(), **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        bundle = {"text/plain": self._words(), "text/html": self._html()}
        if self._output is None:
            self._output = import_module("IPython.display").display(bundle, raw=True, display_id=True)
        else:
            self._output.update(bundle, raw=True)

    @property
    def _over(self) -> bool:
        return bool(self.disable)  # `close` sets it before it draws for the last time

    def _count(self) -> str:
        written = [
            self.format_sizeof(n) + self.unit if self.unit_scale else str(n) for n in (self.n, self.total or self.n)
        ]
        cut = ", stopped" if self._over and self.total is not None and self.n < self.total else ""
        return f"{written[0]} of {written[1]}{cut}" if self.total is not None else f"{written[0]}{cut}"

    def _words(self) -> str:
        return f"{self.desc.removesuffix(': ')}: {self._count()}" if self.desc else self._count()

    def _html(self) -> str:
        share = 100 if not self.total else min(100.0, 100 * self.n / self.total)
        count = self._count()
        colour = "#d23c41" if count.endswith("stopped") else "#26874a" if self._over else "#2f79c7"
        name = html.escape(self.desc.removesuffix(": ")) if self.desc else ""
        return (
            '<div style="display:flex;flex-wrap:wrap;align-items:center;gap:4px 12px;font-size:13px">'
            f'<span>{name}</span><span style="flex:0 1 240px;{_LINE};background:rgba(127,127,127,0.25)">'
            f'<span style="display:block;{_LINE};width:{share:.0f}%;background:{colour}"></span></span>'
            f'<span style="font-variant-numeric:tabular-nums">{count}</span>{self._left()}</div>'
        )

    def _left(self) -> str:
        rate = self.format_dict["rate"]
        if self._over or not rate or not self.total:
            return ""
        return f'<span style="opacity:0.7">{self.format_interval((self.total - self.n) / rate)} left</span>'


_LINE = "height:6px;border-radius:3px"
