"""Results as a Markdown page with plots, `docs/benchmarks/README.md`, and as the table of the project's README."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from frame import Figure, Result

__all__ = ["INTRO", "keep", "kept", "line", "write", "write_readme"]

_NUMBERS = "figures.json"
_PEERS = ["aiohttp", "anyio", "anthropic", "langchain", "langgraph", "openai", "openai-agents", "pydantic",
          "pydantic-ai-slim", "smolagents"]  # fmt: skip


def line(result: Result) -> str:
    """A figure on one line, for who waits at the terminal."""
    told = [f"{name} {result.median(name):,.4g}" for name in result.samples]
    mark = {True: "holds", False: "DOES NOT HOLD", None: ""}[result.holds]
    return f"{result.figure.title} ({result.figure.unit}): {', '.join(told)}  {mark}".rstrip()


def kept(figure: Figure, folder: Path) -> Result | None:
    """What was measured of a figure when the page was last written."""
    path = folder / _NUMBERS
    numbers = json.loads(path.read_text(encoding="utf-8")).get(figure.key) if path.exists() else None
    return None if numbers is None else Result(figure, **numbers)


def keep(results: Iterable[Result], folder: Path) -> None:
    """The numbers of a page, beside it, so that one part can be measured anew."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {
        result.figure.key: {
            "samples": {name: [float(f"{n:.6g}") for n in numbers] for name, numbers in result.samples.items()},
            "missing": result.missing,
            "versions": result.versions,
        }
        for result in results
    }
    (folder / _NUMBERS).write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


INTRO = (
    "# Figures\n\nMade by `make bench`. CPU time unless it says otherwise; medians of interleaved rounds; a ratio is "
    "ours of theirs, taken round by round, with the least and the most in brackets. Small is good.\n\n"
    "[What it costs a page to watch a run](watching.md) is measured by `make watching`."
)


def write(
    results: Iterable[Result], folder: Path, *, name: str = "README.md", intro: str = INTRO, more: str = ""
) -> None:
    """The whole page, and the pictures beside it. `more` stands behind the summary."""
    folder.mkdir(parents=True, exist_ok=True)
    results = list(results)
    rows = "\n".join(_summary(result) for result in results)
    parts = [intro, _machine(results), f"| figure | ours | to reach | |\n|---|---|---|---|\n{rows}", more]
    text = "\n\n".join(filter(None, parts)) + "\n\n" + "".join(map(_section, results))
    (folder / name).write_text(text, encoding="utf-8")
    for result in results:
        if len(result.samples) > 1:
            _plot(result, folder / f"{result.figure.key}.svg")


_BEGIN, _END = "<!-- figures -->\n", "<!-- /figures -->"


def write_readme(results: Iterable[Result], path: Path) -> None:
    """The table between the README's marks, anew."""
    rows = "\n".join(_short(result) for result in results if result.figure.in_readme)
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    table = f"| | here | beside it | to reach |\n|---|---|---|---|\n{rows}\n"
    path.write_text(f"{before}{_BEGIN}{table}{_END}{after}", encoding="utf-8")


def _short(result: Result) -> str:
    figure = result.figure
    if result.ours not in result.samples:
        return f"| {figure.title} | not measured | | |"
    peers = [peer for peer in result.samples if peer != result.ours]
    times = ", ".join(f"{peer} {_times(1 / result.ratio(peer)[0])}" for peer in peers)
    mark = {True: "✓", False: "✗", None: ""}[result.holds]
    return f"| {figure.title} | {result.median(result.ours):,.4g} {figure.unit} | {times} | {_aim(result)} {mark} |"


def _times(ratio: float) -> str:
    return f"×{ratio:.2f}" if ratio < 2 else f"×{ratio:.2g}"  # noqa: RUF001  (it is a times sign)


def _aim(result: Result) -> str:
    figure = result.figure
    aims = [f"at most {figure.at_most:g} of {_held_against(figure)}"] if figure.at_most is not None else []
    aims += [f"at most {figure.limit:g} {figure.unit}"] if figure.limit is not None else []
    return ", ".join(aims) or "told only"


def _held_against(figure: Figure) -> str:
    peers = figure.held_against
    return "each peer" if len(peers) == len(figure.contenders) - 1 > 1 else ", ".join(peers)


def _summary(result: Result) -> str:
    figure = result.figure
    ours = f"{result.median(result.ours):,.4g} {figure.unit}" if result.ours in result.samples else "none"
    mark = {True: "✓", False: "✗", None: ""}[result.holds]
    return f"| [{figure.title}](#{_anchor(figure.title)}) | {ours} | {_aim(result)} | {mark} |"


def _section(result: Result) -> str:
    figure = result.figure
    rows = []
    for name, numbers in result.samples.items():
        told = f"{result.median(name):,.4g}"
        spread = f"{min(numbers):,.4g} to {max(numbers):,.4g}"
        ratio = ""
        if name != result.ours and result.ours in result.samples:
            middle, least, most = result.ratio(name)
            ratio = f"{middle:.2f} ({least:.2f} to {most:.2f})"
        rows.append(f"| {name} | {told} | {spread} | {ratio} |")
    rows += [f"| {name} | not measured: {why} | | |" for name, why in result.missing.items()]
    note = f"{figure.note}\n\n" if figure.note else ""
    picture = f"\n![{figure.title}]({figure.key}.svg)\n" if len(result.samples) > 1 else ""
    rounds = len(next(iter(result.samples.values()), []))
    return (
        f"## {figure.title}\n\n{note}| {figure.unit}, {rounds} rounds | median | spread | ours of theirs |\n"
        "|---|---|---|---|\n" + "\n".join(rows) + f"\n{picture}\n"
    )


def _anchor(title: str) -> str:
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def _machine(results: list[Result]) -> str:
    elsewhere = {name: number for result in results for name, number in result.versions.items()}
    packages = [f"{name} {number}" for name, number in elsewhere.items()]
    for name in _PEERS:
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    cores = os.cpu_count()
    return f"Python {platform.python_version()} on {platform.system()}, {cores} cores; {', '.join(sorted(packages))}."


def _plot(result: Result, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "figures", "svg.fonttype": "none", "font.size": 10})
    names = list(result.samples)
    medians = [result.median(name) for name in names]
    spread = [
        [median - min(result.samples[name]) for name, median in zip(names, medians, strict=True)],
        [max(result.samples[name]) - median for name, median in zip(names, medians, strict=True)],
    ]
    figure, axes = plt.subplots(figsize=(7, 0.5 + 0.4 * len(names)), layout="constrained")
    colours = ["#2f79c7" if name == result.ours else "#9aa0a6" for name in names]
    axes.barh(names, medians, xerr=spread, color=colours, ecolor="#555555", capsize=2)
    axes.invert_yaxis()
    axes.set_xlabel(result.figure.unit)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
