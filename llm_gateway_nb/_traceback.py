"""What a cell shows of an error of ours: the person's own lines, and the message. An SDK's hundred frames say no more."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from types import FrameType, TracebackType

__all__ = ["render"]

_HERE = str(Path(__file__).parent)
_STDLIB = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})


def render(error: BaseException) -> list[str]:
    """The traceback of `error` as IPython shows it, cut where our code begins.

    Nothing of the person's is hidden: where their code was called from ours, or failed below this error, all of it is
    shown. `traceback.print_exception(error)` has the rest; `%xmode Verbose` has not, because it would print the values of
    our arguments, and a key is one.
    """
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)
    shell = get_ipython()
    if shell is None:
        return traceback.format_exception(error)
    formatter = shell.InteractiveTB
    above = _above_ours(error)
    if above is None:
        whole: list[str] = formatter.structured_traceback(type(error), error, error.__traceback__, tb_offset=1)
        return whole
    lines: list[str] = formatter.structured_traceback(type(error), copy(error), above, tb_offset=0)
    return lines


def _above_ours(error: BaseException) -> TracebackType | None:
    """The person's frames above the first of ours; None where there are none, or where there are some below it."""
    steps = list(_steps(error.__traceback__))
    first = next((index for index, step in enumerate(steps) if _is_ours(step.tb_frame)), len(steps))
    above = [step for step in steps[:first] if _is_theirs(step.tb_frame)]
    below = steps[first:] + [step for cause in _causes(error) for step in _steps(cause.__traceback__)]
    if any(_is_theirs(step.tb_frame) for step in below):
        return None
    cut: TracebackType | None = None
    for step in reversed(above):
        cut = TracebackType(cut, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return cut


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    cause = error
    while (under := cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)) is not None:
        if id(under) in seen:
            return
        seen.add(id(under))
        yield under
        cause = under


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_HERE)


def _is_theirs(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    library = name.startswith((_HERE, "<frozen", *_STDLIB)) or "/site-packages/" in name or "/dist-packages/" in name
    return not library
