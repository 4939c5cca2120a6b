"""How a run goes, beyond what it is asked; `start` tells of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llm_gateway_nb.notebook.approvals import Approvals
from llm_gateway_nb.orchestrator.orchestrator import Executor
from llm_gateway_nb.recording.recorder import Recorder

__all__ = ["RunOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The same for a run and for each turn of a conversation, whose turns share one recorder."""

    approvals: Approvals = "ask"
    relay_timeout: float | None = None
    executor: Executor | None = None
    record: str | Path | Recorder | None = None
    title: str | None = None
