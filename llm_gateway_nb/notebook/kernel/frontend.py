"""Who is there? Small probes of the place this code runs in.

They look at what is loaded already and import nothing: asking costs microseconds and never pulls IPython into a plain
script.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

__all__ = [
    "cell_and_execution",
    "cell_number",
    "cell_running",
    "current_kernel",
    "current_shell",
    "in_ipython_terminal",
    "in_kernel",
    "ipykernel_version",
    "stdin_allowed",
]


def current_shell() -> Any | None:
    """The `InteractiveShell` of this process, or None in plain Python."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()


def current_kernel() -> Any | None:
    """The Jupyter kernel of this process (ipykernel's, or another that IPython's shell points to), or None."""
    return getattr(current_shell(), "kernel", None)


def in_kernel() -> bool:
    """Whether this process is a Jupyter kernel."""
    return current_kernel() is not None


def in_ipython_terminal() -> bool:
    """Whether this process is IPython at a terminal."""
    return any(cls.__name__ == "TerminalInteractiveShell" for cls in type(current_shell()).__mro__)


def ipykernel_version() -> tuple[int, int] | None:
    """Major and minor version of the ipykernel that this process is, or None if it is none."""
    info = getattr(sys.modules.get("ipykernel"), "version_info", None)
    if info is None or not in_kernel():
        return None  # imported, perhaps, but nobody's kernel
    return int(info[0]), int(info[1])


def stdin_allowed() -> bool:
    """Whether the request that runs now may ask by `input()`: no under nbclient, nbval, papermill and Voila.

    Outside a kernel it is whether standard input is a terminal.
    """
    current = current_kernel()
    if current is not None:
        # Private, and the only place where it stands: `raw_input` of every ipykernel from 6 on decides by it.
        return bool(getattr(current, "_allow_stdin", False))
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def cell_number() -> int | None:
    """The `In [n]` that runs now or, in a quiet kernel, comes next; None in plain Python."""
    return getattr(current_shell(), "execution_count", None)


def cell_and_execution() -> tuple[str, str] | None:
    """The id of the page's cell that this code runs for, and of this execution of it; None where no page says so."""
    get_parent = getattr(current_kernel(), "get_parent", None)
    parent = get_parent("shell") if callable(get_parent) else None
    if not isinstance(parent, dict):
        return None
    cell_id = parent.get("metadata", {}).get("cellId")
    execution = parent.get("header", {}).get("msg_id")
    return (cell_id, execution) if cell_id and execution else None


def cell_running() -> bool:
    """Whether the kernel's main thread is handling a request, as a rule a cell; askable from any thread.

    An idle ipykernel ignores SIGINT, and takes it for the time of a request (`pre_handler_hook`), in 6 as in 7.
    """
    return in_kernel() and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
