"""Runs as steps that can be put side by side: what a run said, the calls it made, the code it ran.

Steps of two runs belong together where they are the same, or stand in the same place between such that are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.notebook.result import RunResult, root_of
from llm_gateway_nb.notebook.text import call, printed
from llm_gateway_nb.notebook.words import outcome

__all__ = ["Case", "Figures", "Step", "align", "figures_of", "steps_of"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a run did. Steps with the same `kind` and `head` are the same; `body` is what came of it."""

    kind: str
    head: str
    body: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run took, its subagents included; None is unknown."""

    calls: int
    tokens: int
    seconds: float | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt, and what each of the compared came to. `scores` are those of `check`."""

    prompt: str
    results: list[RunResult]
    scores: list[float | None] = field(default_factory=list)
    given: Any = None
    """The item of the data set."""

    def rows(self) -> list[list[Step | None]]:
        """The steps of all runs, aligned: a row a step, a column a run."""
        return align([steps_of(result.tree) for result in self.results])


def figures_of(result: RunResult) -> Figures:
    """What a run took."""
    root = root_of(result.tree)
    begun, ended = (root.props.get("startedAt"), root.props.get("endedAt")) if root is not None else (None, None)
    return Figures(
        calls=sum(node.kind in ("tool", "repl") for node in result.tree.nodes),
        tokens=result.usage.input_tokens + result.usage.output_tokens,
        seconds=ended - begun if begun is not None and ended is not None else None,
        cost=result.cost,
    )


def steps_of(tree: RunTree) -> list[Step]:
    """What a run did, one thing after the other; what a subagent did is in the step that it served."""
    root = root_of(tree)
    return [step for node in _walked(root) if (step := _step(node)) is not None] if root is not None else []


def _walked(root: Node) -> Iterable[Node]:
    for child in root.children:
        if child.kind == "turn":  # a model call of an agent: its text is the agent's
            yield from _walked(child)
        else:
            yield child


def _step(node: Node) -> Step | None:
    match node.kind:
        case "text":
            return Step("text", printed(node.text()).strip())
        case "tool":
            status = "" if node.status == "ok" else f"[{node.status}] "
            return Step("tool", call(str(node.props.get("name")), node.props.get("input")), status + outcome(node))
        case "repl":
            output = "\n".join(filter(None, [printed(node.text("stdout")), str(node.props.get("error") or "")]))
            return Step("code", str(node.props.get("code", "")), output)
        case "run":
            return Step("agent", "a subagent", printed(_last_text(node)))
        case "error":
            return Step("error", printed(node.text()))
        case _:
            return None


def _last_text(run: Node) -> str:
    texts = [node.text() for node in run.walk() if node.kind == "text"]
    return texts[-1] if texts else ""


def align(runs: Sequence[Sequence[Step]]) -> list[list[Step | None]]:
    """Rows of steps that belong together; None where a run has no such step. Each run's steps keep their order."""
    rows: list[list[Step | None]] = [[step] for step in runs[0]] if runs else []
    for width, steps in enumerate(runs[1:], start=1):
        rows = _with_column(rows, list(steps), width)
    return rows


def _with_column(rows: list[list[Step | None]], steps: list[Step], width: int) -> list[list[Step | None]]:
    known = [_key(row) for row in rows]
    matcher = SequenceMatcher(None, known, [(step.kind, step.head) for step in steps], autojunk=False)
    out: list[list[Step | None]] = []
    for tag, low, high, first, last in matcher.get_opcodes():
        if tag == "equal":
            out += [[*row, step] for row, step in zip(rows[low:high], steps[first:last], strict=True)]
            continue
        # Between two places that agree: the same kinds in the same order belong together.
        left, right = rows[low:high], steps[first:last]
        kinds = [key[0] for key in known[low:high]], [step.kind for step in right]
        for inner, a, b, c, d in SequenceMatcher(None, *kinds, autojunk=False).get_opcodes():
            if inner == "equal":
                out += [[*row, step] for row, step in zip(left[a:b], right[c:d], strict=True)]
            else:
                out += [[*row, None] for row in left[a:b]]
                out += [[*[None] * width, step] for step in right[c:d]]
    return out


def _key(row: Sequence[Step | None]) -> tuple[str, str]:
    step = next(step for step in row if step is not None)
    return step.kind, step.head
