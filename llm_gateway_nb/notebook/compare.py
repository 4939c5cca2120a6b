"""`compare`: two or more runs side by side, step by step, with what they took; or many prompts over several models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.graph import RunTree
from llm_gateway_nb.notebook.compare_html import comparison_html, comparison_text
from llm_gateway_nb.notebook.compare_steps import Case, Figures, figures_of
from llm_gateway_nb.notebook.live_run import Run
from llm_gateway_nb.notebook.result import RunResult, root_of
from llm_gateway_nb.notebook.start import start
from llm_gateway_nb.processing import gather_with_progress

__all__ = ["Comparison", "compare"]

Check = Callable[[RunResult, Any], Any]


class Comparison:
    """What `compare` gives; shown as the last line of a cell.

    Attributes:
        labels: what each of the compared is called.
        cases: one for each prompt.
    """

    def __init__(self, labels: Sequence[str], cases: Sequence[Case]) -> None:
        self.labels = list(labels)
        self.cases = list(cases)

    def records(self) -> list[dict[str, Any]]:
        """A flat dict for each run, for a table: `pandas.DataFrame(comparison.records())`."""
        return [
            {
                "prompt": case.prompt,
                "label": label,
                "text": result.text,
                "reason": result.reason,
                "score": score,
                **{name: getattr(figures_of(result), name) for name in Figures.__slots__},
            }
            for case in self.cases
            for label, result, score in zip(self.labels, case.results, case.scores, strict=True)
        ]

    def __repr__(self) -> str:
        return comparison_text(self.labels, self.cases)

    def to_html(self) -> str:
        """As it stands in the notebook, without script."""
        return comparison_html(self.labels, self.cases)

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.to_html()}


async def compare(
    *compared: Any,
    prompt: str | None = None,
    prompts: Iterable[Any] | None = None,
    labels: Sequence[str] | None = None,
    check: Check | None = None,
    limit: int | None = 4,
    progress: bool = True,
    approvals: Any = "deny",
    **options: Any,
) -> Comparison:
    """Runs side by side in one cell: `await compare(small, large, prompt="…")`; of runs that are over: `compare(a, b)`.

    Args:
        compared: harnesses, which are asked `prompt` or each of `prompts`; or runs and results. A dict names them:
            `{"small": agent, "large": other}`.
        prompts: a data set: texts, or dicts with a `prompt` and anything else, which `check` is handed.
        labels: what each is called.
        check: `check(result, item)` says how good an answer is: a number, or True and False; it may be a coroutine.
        limit: how many runs at once.
        progress: a bar while they run.
        approvals: as for `run`. Nobody sees a panel here, so what no rule allows is denied.
        options: as for `run`, the same for all: `tools=`, `permissions=`, `budget=`, …

    Raises:
        ConfigurationError: fewer than two to compare, or nothing to ask them.
    """
    names, things = _named(compared, labels)
    if all(isinstance(thing, RunResult | Run) for thing in things):
        results = [thing if isinstance(thing, RunResult) else await thing for thing in things]
        return Comparison(names, [Case(_asked(results[0]), results, await _scores(check, results, None))])
    if any(isinstance(thing, RunResult | Run) for thing in things):
        raise ConfigurationError("compare takes harnesses, or runs that have been asked already, and not some of each.")
    items = list(prompts) if prompts is not None else [prompt] if prompt is not None else []
    if not items or (prompt is not None and prompts is not None):
        raise ConfigurationError("compare asks harnesses something: give it `prompt=`, or `prompts=` for a data set.")
    asked = [_prompt_of(item) for item in items]

    async def one(thing: Any, text: str) -> RunResult:
        return await start(thing, text, panel=False, approvals=approvals, **options)

    runs = [one(thing, text) for text in asked for thing in things]
    done = await gather_with_progress(runs, limit, progress=progress and prompts is not None, description="compare")
    cases = []
    for at, (item, text) in enumerate(zip(items, asked, strict=True)):
        results = done[at * len(things) : (at + 1) * len(things)]
        cases.append(Case(text, results, await _scores(check, results, item), item))
    return Comparison(names, cases)


def _named(compared: Sequence[Any], labels: Sequence[str] | None) -> tuple[list[str], list[Any]]:
    if len(compared) == 1 and isinstance(compared[0], Mapping):
        labels, things = list(compared[0]), list(compared[0].values())
    else:
        things = list(compared)
    if len(things) < 2:
        raise ConfigurationError("compare takes two or more harnesses or runs.")
    if labels is None:
        names = [str(_model_of(thing) or "run") for thing in things]
        labels = names if len(set(names)) == len(names) else [f"{chr(65 + at)}: {n}" for at, n in enumerate(names)]
    if len(labels) != len(things):
        raise ConfigurationError(f"compare has {len(things)} runs and {len(labels)} labels.")
    return list(labels), things


def _model_of(thing: Any) -> str | None:
    tree = getattr(thing, "tree", None)
    if isinstance(tree, RunTree):
        root = root_of(tree)
        return getattr(thing, "title", None) or (root.props.get("model") if root is not None else None)
    inner = getattr(thing, "_harness", None)
    return getattr(thing, "model", None) or getattr(inner, "model", None)


def _prompt_of(item: Any) -> str:
    text = item.get("prompt") if isinstance(item, Mapping) else item
    if not isinstance(text, str):
        raise ConfigurationError(f"a data set holds texts, or dicts with a text as their `prompt`, not {item!r}.")
    return text


def _asked(result: RunResult) -> str:
    node = next((node for node in result.tree.roots if node.kind == "user"), None)
    return node.text() if node is not None else ""


async def _scores(check: Check | None, results: Sequence[RunResult], item: Any) -> list[float | None]:
    scores: list[float | None] = []
    for result in results:
        score = check(result, item) if check is not None else None
        if inspect.isawaitable(score):
            score = await score
        scores.append(None if score is None else float(score))
    return scores
