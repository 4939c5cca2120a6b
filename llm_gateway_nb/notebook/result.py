"""What a run came to: kept as data, so that it can be shown, compared, saved, and gone on from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llm_gateway_nb.errors import ProviderAPIError
from llm_gateway_nb.graph import RunTree, fold_event, last_text, project_messages
from llm_gateway_nb.graph.tree import Node
from llm_gateway_nb.notebook.cells import as_markdown, as_notebook
from llm_gateway_nb.notebook.static_html import static_html
from llm_gateway_nb.notebook.steps import steps_html
from llm_gateway_nb.notebook.transcript import transcript
from llm_gateway_nb.providers.structured import parse_answer
from llm_gateway_nb.recording import Recording
from llm_gateway_nb.recording.recorder import Recorder
from llm_gateway_nb.recording.tap import Request
from llm_gateway_nb.types import EndReason, ErrorEvent, HarnessEndEvent, HarnessEvent, Message, TotalUsage

__all__ = ["RunResult", "last_run", "missing_ends", "own_error", "result_of", "root_of"]


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
    response_model: type[BaseModel] | None = field(default=None)

    @property
    def cost(self) -> float | None:
        """US dollars of the run and all its children; None where a model has no known price, or nothing was counted."""
        root = root_of(self.tree)
        return None if root is None else root.props.get("cost")

    @property
    def output(self) -> Any:
        """The answer as an instance of the run's `response_model`; None where none was asked for.

        Raises:
            BaseException: the run failed; this is its error.
            ProviderAPIError: the answer does not fit; it says why, and the answer is its `partial_text`.
        """
        if self.response_model is None:
            return None
        if self.error is not None:
            raise self.error
        found, problem = parse_answer(self.text, self.response_model)
        if found is None:
            raise ProviderAPIError(
                f"The answer is no {self.response_model.__name__}: {problem}.", partial_text=self.text
            )
        return found

    def save(self, path: str | Path) -> None:
        """Write it as a recording, without keys or tokens: `RunResult.load(path)` reads it, `replay(path)` plays it.

        Raises:
            ConfigurationError: the file can't be written.
        """
        given = self.messages[: len(self.messages) - len(project_messages(self.tree))]
        recorder = Recorder(path).invoked(Request(None, given), title=self.title)
        try:
            for event in self.events:
                recorder.event(event)
        finally:
            recorder.close()

    @classmethod
    def load(cls, path: str | Path, *, response_model: type[BaseModel] | None = None) -> RunResult:
        """What `save`, or `start(…, record=path)`, wrote. A recording that was cut off is a run that was cancelled there.

        Raises:
            RecordingError: the file can't be read, or is no recording.
        """
        recording = Recording.read(path)
        tree, events = RunTree(), list[HarnessEvent]()
        for _, event in recording.events:
            events.append(event.model_copy(update={"seq": len(events)}))
            fold_event(tree, event)
        for event in missing_ends(tree, "cancelled"):
            events.append(event.model_copy(update={"seq": len(events)}))
            fold_event(tree, event)
        invokes = recording.invokes
        return result_of(
            tree,
            events,
            given=invokes[-1].messages if invokes else [],
            title=invokes[0].title if invokes else None,
            response_model=response_model,
            history_of=last_run(tree) if len(invokes) > 1 else None,
        )

    def to_html(self, *, details: bool = False, steps: bool = False) -> str:
        """The run as HTML without script, as it stands in the saved notebook.

        Args:
            details: with times and tokens.
            steps: a page of its own instead, to go through the run step by step, with the arrow keys and still no script.
        """
        if steps:
            return steps_html(self.events, title=self.title)
        return static_html(self.tree, title=self.title, details=details)

    def to_markdown(self) -> str:
        """The run as a Markdown document, code and outputs as code blocks. Nothing in it is fetched when it is read."""
        return as_markdown(self.tree, title=self.title)

    def to_notebook(self, path: str | Path | None = None) -> dict[str, Any]:
        """The run as a notebook: REPL turns, Python and shell calls are code cells with their outputs, what was said is
        Markdown, approvals are in the metadata of the cell they allowed.

        Args:
            path: where to write it; None writes nothing.

        Returns:
            The notebook as JSON of nbformat 4.5; `nbformat.from_dict` makes a notebook node of it.

        Raises:
            OSError: it can't be written.
        """
        notebook = as_notebook(self.tree, title=self.title)
        if path is not None:
            Path(path).write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return notebook

    def transcript(self) -> str:
        """The run as plain text: no ids, times or tokens, so that it compares."""
        return transcript(self.tree)

    def __repr__(self) -> str:
        error = f", error={self.error!r}" if self.error is not None else ""
        text = self.text if len(self.text) <= 200 else self.text[:199] + "…"
        return f"RunResult({self.reason!r}, {text!r}{error})"


def root_of(tree: RunTree) -> Node | None:
    """The run itself, among the nodes at the top."""
    return next((node for node in tree.roots if node.kind in {"run", "turn"}), None)


def last_run(tree: RunTree) -> str | None:
    """The id of the last run at the top."""
    return next((node.id for node in reversed(tree.roots) if node.kind in {"run", "turn"}), None)


def result_of(
    tree: RunTree,
    events: Sequence[HarnessEvent],
    *,
    given: Sequence[Message],
    title: str | None = None,
    response_model: type[BaseModel] | None = None,
    history_of: str | None = None,
) -> RunResult:
    """What has come of a run. `given` are the messages that it was started with. A recorded conversation has several runs,
    each asked with all that was said before it: there `history_of` is the id of the last."""
    root = root_of(tree) if history_of is None else tree.find(history_of)
    props = root.props if root is not None else {}
    reason: EndReason = props.get("status", "cancelled")
    error = own_error(events, root.id if root is not None else None) if reason == "error" else None
    return RunResult(
        text=last_text(tree, history_of),
        messages=[*given, *project_messages(tree, history_of)],
        usage=TotalUsage(input_tokens=props.get("inputTokens", 0), output_tokens=props.get("outputTokens", 0)),
        reason=reason,
        error=error,
        events=list(events),
        tree=tree,
        title=title,
        response_model=response_model,
    )


def own_error(events: Sequence[HarnessEvent], root_id: str | None) -> BaseException | None:
    """This run's failure, or that of a model call in it; a subagent's is its caller's to judge."""
    for event in reversed(events):
        if isinstance(event, ErrorEvent) and event.tool_call_id is None and root_id in {event.run_id, event.parent_id}:
            return event.error
    return None


def missing_ends(tree: RunTree, reason: EndReason) -> list[HarnessEndEvent]:
    """The ends that nobody has said, of runs that were cut off: the innermost first."""
    ends = []
    for node in reversed(tree.nodes):
        if node.kind == "run" and node.status == "running":
            parent = node.parent.id if node.parent is not None else None
            ends.append(HarnessEndEvent(run_id=node.id, parent_id=parent, reason=reason))
        elif node.kind == "turn" and node.parent is None and node.status is None:
            ends.append(HarnessEndEvent(run_id=node.id, reason=reason))
    return ends
