"""A comparison as text that is the same every time, and as HTML without script: columns, figures, words that differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher

from llm_gateway_nb.notebook.compare_steps import Case, Figures, Step, figures_of
from llm_gateway_nb.notebook.markdown import LINE
from llm_gateway_nb.notebook.paint import BAD, DIM, FINE, QUIET, escape
from llm_gateway_nb.notebook.static_html import static_html
from llm_gateway_nb.notebook.static_parts import folded, text_of
from llm_gateway_nb.notebook.text import cut

__all__ = ["comparison_html", "comparison_text"]

_CELL = (
    "text-align:left;vertical-align:top;padding:6px 10px;white-space:normal;max-width:none;overflow-wrap:anywhere;"
    f"border:0;border-top:1px solid {LINE}"
)
_NEW, _GONE = "background-color:rgba(38,135,74,0.16)", "background-color:rgba(210,60,65,0.14)"
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_CLIP = 200

_FIGURES: dict[str, Callable[[Figures], str]] = {
    "calls": lambda figures: str(figures.calls),
    "tokens": lambda figures: f"{figures.tokens:,}",
    # A page is compared with its stored form (nbval), and times differ: the sanitize file knows this element.
    "time": lambda figures: f"<time>{_seconds(figures.seconds)}</time>",
    "cost": lambda figures: "unknown" if figures.cost is None else f"${figures.cost:.4f}",
}


def comparison_text(labels: Sequence[str], cases: Sequence[Case]) -> str:
    """What was done and said, without times, tokens and costs."""
    lines: list[str] = []
    for case in cases:
        lines += ["", _clip(case.prompt)] if lines else [_clip(case.prompt)]
        for row in case.rows():
            if all(step == row[0] for step in row):
                lines.append(f"  = {_line(row[0])}")
                continue
            marks = zip(labels, row, strict=True)
            lines += [f"  {label}: {_line(step)}" for label, step in marks if step is not None]
        for label, result, score in zip(labels, case.results, case.scores, strict=True):
            told = f" (score {score:g})" if score is not None else ""
            if told or result.reason != "final":
                lines.append(f"  {label}: {result.reason}{told}")
    return "\n".join(lines)


def comparison_html(labels: Sequence[str], cases: Sequence[Case]) -> str:
    """One case step by step; of several, a row each with the answers, and the steps in a fold."""
    one = len(cases) == 1
    body = _steps(cases[0]) if one else "".join(_answers(case) for case in cases)
    head = "".join(f'<th style="{_CELL};border-top:0">{text_of(label)}</th>' for label in labels)
    prompt = f'<p style="margin:0;padding:8px 12px;{DIM}">{text_of(cases[0].prompt)}</p>' if one else ""
    first = f'<td style="{_CELL};border-top:0;width:{"76px" if one else "20%"}"></td>'
    return (
        f'<div data-lgnb="run" style="border:1px solid {LINE};border-radius:10px;margin:2px 0;font-size:14px;'
        f'overflow:auto">'
        f'{prompt}<table style="border-collapse:collapse;width:100%;table-layout:fixed;margin:0">'
        f'<thead><tr style="background:transparent">{first}{head}</tr></thead>'
        f"<tbody>{body}{_totals(labels, cases)}</tbody></table></div>"
    )


def _steps(case: Case) -> str:
    rows = "".join(
        _row(row[0].kind if row[0] else next(s.kind for s in row if s), _compared(row)) for row in case.rows()
    )
    runs = [folded("The whole run", static_html(result.tree)) for result in case.results]
    return f"{rows}{_row('', runs)}"


def _answers(case: Case) -> str:
    cells = []
    texts = [Step("text", result.text.strip()) for result in case.results]
    for result, painted, score in zip(case.results, _compared(texts), case.scores, strict=True):
        told = f'<div style="{DIM};font-size:12px">score {score:g}</div>' if score is not None else ""
        cells.append(painted + told + folded("The whole run", static_html(result.tree)))
    return _row(_clip(case.prompt), cells)


def _totals(labels: Sequence[str], cases: Sequence[Case]) -> str:
    columns = [[figures_of(case.results[at]) for case in cases] for at in range(len(labels))]
    sums = [
        Figures(
            calls=sum(each.calls for each in column),
            tokens=sum(each.tokens for each in column),
            seconds=_sum([each.seconds for each in column]),
            cost=_sum([each.cost for each in column]),
        )
        for column in columns
    ]
    rows = [_row(name, [show(figures) for figures in sums]) for name, show in _FIGURES.items()]
    ends = [", ".join(sorted({case.results[at].reason for case in cases})) for at in range(len(labels))]
    colours = [FINE if end == "final" else BAD for end in ends]
    rows.append(
        _row("ended", [f'<span style="color:{c}">{text_of(end)}</span>' for end, c in zip(ends, colours, strict=True)])
    )
    scores = [[case.scores[at] for case in cases] for at in range(len(labels))]
    if any(score is not None for column in scores for score in column):
        rows.append(_row("score", [_mean(column) for column in scores]))
    return "".join(rows)


def _row(name: str, cells: Sequence[str]) -> str:
    inside = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
    if not name:  # an empty heading is none
        return f'<tr style="background:transparent"><td style="{_CELL}"></td>{inside}</tr>'
    style = f"{_CELL};font-weight:400;font-size:12px;{DIM}"
    return f'<tr style="background:transparent"><th scope="row" style="{style}">{text_of(name)}</th>{inside}</tr>'


def _compared(row: Sequence[Step | None]) -> list[str]:
    """The cells of a row: what is the same is dim, and words that differ from the first are marked."""
    first = next(step for step in row if step is not None)
    if all(step == first for step in row):
        return [f'<div style="{DIM}">{_painted(first)}</div>' for _ in row]
    return [
        f'<span style="color:{QUIET}">not here</span>'
        if step is None
        else _painted(step)
        if step is first
        else _painted(step, against=first)
        for step in row
    ]


def _painted(step: Step, *, against: Step | None = None) -> str:
    mono = "" if step.kind == "text" else "font-family:var(--jp-code-font-family,monospace);font-size:13px;"
    head = _marked(step.head, against.head if against is not None else step.head)
    body = _marked(step.body, against.body if against is not None else step.body)
    told = f'<div style="{mono}white-space:pre-wrap;{DIM}">{body}</div>' if step.body else ""
    return f'<div style="{mono}white-space:pre-wrap">{head}</div>{told}'


def _marked(text: str, against: str) -> str:
    """`text` as HTML with what is not in `against` marked, and what is missing struck out."""
    text, against = cut(text), cut(against)
    if text == against or len(text) + len(against) > 20_000:
        return escape(text)
    old, new = _WORDS.findall(against), _WORDS.findall(text)
    parts: list[str] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append(escape("".join(new[c:d])))
            continue
        if a < b:
            parts.append(f'<del style="{_GONE}">{escape("".join(old[a:b]))}</del>')
        if c < d:
            parts.append(f'<ins style="{_NEW}">{escape("".join(new[c:d]))}</ins>')
    return "".join(parts)


def _line(step: Step | None) -> str:
    assert step is not None
    head = _clip(step.head) if step.kind != "code" else f"code: {_clip(step.head)}"
    return f"{head} → {_clip(step.body)}" if step.body else head


def _clip(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CLIP else f"{line[:_CLIP]}…"


def _seconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds:.1f} s"


def _sum(values: Sequence[float | None]) -> float | None:
    known = list(_known(values))
    return sum(known) if len(known) == len(values) else None


def _mean(values: Sequence[float | None]) -> str:
    known = list(_known(values))
    return f"{sum(known) / len(known):.2f} of {len(known)}" if known else "none"


def _known(values: Sequence[float | None]) -> Iterator[float]:
    return (value for value in values if value is not None)
