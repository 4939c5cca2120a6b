"""LLM agents in Jupyter: live nested event panels, approval buttons in a running cell, notebooks that pass nbval.

Everything here is loaded when it is first used: importing the package loads no provider SDK, no IPython, no widgets.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llm_gateway_nb._display import register as _register

if TYPE_CHECKING:
    from llm_gateway_nb.harnesses import create_agent_harness, create_rlm_harness
    from llm_gateway_nb.notebook import chat, compare, doctor, run, run_sync, show, start
    from llm_gateway_nb.processing import Summarizer
    from llm_gateway_nb.providers import create_llm
    from llm_gateway_nb.sessions import BasicSession
    from llm_gateway_nb.tools import agent_tool, ask_user, bash_tool, patch_tool, python_tool, read_tool, tool
    from llm_gateway_nb.types import Permissions

__all__ = [
    "BasicSession",
    "Permissions",
    "Summarizer",
    "agent_tool",
    "ask_user",
    "bash_tool",
    "chat",
    "compare",
    "create_agent_harness",
    "create_llm",
    "create_rlm_harness",
    "doctor",
    "patch_tool",
    "python_tool",
    "read_tool",
    "run",
    "run_sync",
    "show",
    "start",
    "tool",
]

_HOMES = {
    "BasicSession": "sessions",
    "Permissions": "types",
    "Summarizer": "processing",
    "agent_tool": "tools",
    "ask_user": "tools",
    "bash_tool": "tools",
    "chat": "notebook",
    "compare": "notebook",
    "create_agent_harness": "harnesses",
    "create_llm": "providers",
    "create_rlm_harness": "harnesses",
    "doctor": "notebook",
    "load_ipython_extension": "notebook.magics",
    "patch_tool": "tools",
    "python_tool": "tools",
    "read_tool": "tools",
    "run": "notebook",
    "run_sync": "notebook",
    "show": "notebook",
    "start": "notebook",
    "tool": "tools",
    "unload_ipython_extension": "notebook.magics",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    """What Tab offers: the public names, and the parts that are loaded."""
    parts = {name for name, value in globals().items() if getattr(value, "__name__", "") == f"{__name__}.{name}"}
    return sorted({*__all__, *(part for part in parts if not part.startswith("_")), *_DUNDERS})


_DUNDERS = [name for name in globals() if name.startswith("__")]


_register()
