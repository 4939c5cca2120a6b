"""What a run came to: kept as data, so that it can be shown, compared, and gone on from."""

from __future__ import annotations

from dataclasses import dataclass, field

from llm_gateway_nb.graph import RunTree
from llm_gateway_nb.notebook.static_html import static_html
from llm_gateway_nb.notebook.transcript import transcript
from llm_gateway_nb.types import EndReason, HarnessEvent, Message, TotalUsage

__all__ = ["RunResult"]


@dataclass(frozen=True, slots=True, repr=False)
class RunResult:
    """The end of a run.

    Attributes:
        text: the last text of the model: the answer.
        messages: a valid history, to go on from: `run(agent, "And now?", messages=result.messages)`.
        usage: tokens of the run and all its children.
        reason: `final`, `max_iterations`, `error`, `cancelled`, `budget`.
        error: the exception of a run that failed, else None.
        events: everything that happened, in order.
    """

    text: str
    messages: list[Message]
    usage: TotalUsage
    reason: EndReason
    error: BaseException | None
    events: list[HarnessEvent]
    tree: RunTree
    title: str | None = field(default=None)

    def to_html(self, *, details: bool = False) -> str:
        """The run as HTML without script, as it stands in the saved notebook; with times and tokens if asked."""
        return static_html(self.tree, title=self.title, details=details)

    def transcript(self) -> str:
        """The run as plain text: no ids, times or tokens, so that it compares."""
        return transcript(self.tree)

    def __repr__(self) -> str:
        error = f", error={self.error!r}" if self.error is not None else ""
        text = self.text if len(self.text) <= 200 else self.text[:199] + "…"
        return f"RunResult({self.reason!r}, {text!r}{error})"
