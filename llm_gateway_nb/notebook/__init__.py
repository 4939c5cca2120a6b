"""What a person sees: runs in cells, live panels, buttons, and what the saved notebook keeps."""

from llm_gateway_nb._display import register as _register
from llm_gateway_nb.notebook.chat import chat
from llm_gateway_nb.notebook.compare import Comparison, compare
from llm_gateway_nb.notebook.conversation import Chat
from llm_gateway_nb.notebook.doctor import Diagnosis, doctor
from llm_gateway_nb.notebook.live_run import Run
from llm_gateway_nb.notebook.magics import load_ipython_extension
from llm_gateway_nb.notebook.panel import RunPanel
from llm_gateway_nb.notebook.result import RunResult
from llm_gateway_nb.notebook.show import show
from llm_gateway_nb.notebook.start import run, run_sync, start

__all__ = [
    "Chat",
    "Comparison",
    "Diagnosis",
    "Run",
    "RunPanel",
    "RunResult",
    "chat",
    "compare",
    "doctor",
    "load_ipython_extension",
    "run",
    "run_sync",
    "show",
    "start",
]

_register()
