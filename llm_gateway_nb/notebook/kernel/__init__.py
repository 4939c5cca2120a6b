"""The kernel's side of the notebook: how a click gets in, how a call waits, where output goes, who is there."""

from llm_gateway_nb.notebook.kernel.bridge import Bridge
from llm_gateway_nb.notebook.kernel.clicks import let_through
from llm_gateway_nb.notebook.kernel.console import ask_line
from llm_gateway_nb.notebook.kernel.frontend import (
    cell_and_execution,
    cell_number,
    cell_running,
    current_kernel,
    current_shell,
    in_ipython_terminal,
    in_kernel,
    ipykernel_version,
    stdin_allowed,
)
from llm_gateway_nb.notebook.kernel.hold import Way, hold, nest_patch, until, way_to_hold
from llm_gateway_nb.notebook.kernel.interrupts import counts_sigint
from llm_gateway_nb.notebook.kernel.loops import call_in, check_loop, kept
from llm_gateway_nb.notebook.kernel.reentrant import obstacle, run_reentrant
from llm_gateway_nb.tools.capture import Output, capturing

__all__ = [
    "Bridge",
    "Output",
    "Way",
    "ask_line",
    "call_in",
    "capturing",
    "cell_and_execution",
    "cell_number",
    "cell_running",
    "check_loop",
    "counts_sigint",
    "current_kernel",
    "current_shell",
    "hold",
    "in_ipython_terminal",
    "in_kernel",
    "ipykernel_version",
    "kept",
    "let_through",
    "nest_patch",
    "obstacle",
    "run_reentrant",
    "stdin_allowed",
    "until",
    "way_to_hold",
]
