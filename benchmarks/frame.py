"""How everything is measured: side by side, in rounds, interleaved, in CPU time, with the spread told.

A figure has contenders; each lives in a process of its own, in the environment that its packages need, and gives a
number when it is asked. Each round asks all of them once, in an order drawn anew, so that a busy machine slows all alike. A
ratio is taken within each round, and the median over the rounds is told with the least and the most.

A benchmark is a module beside this one with `FIGURES`, a list of `Figure`, and the functions that they name:

    def ours() -> float: ...          # one measurement, in the figure's unit
    FIGURES = [Figure("queue", "AsyncQueue, buffered", "ns a value", [Contender("ours", ours), …], at_most=1.0)]
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Contender", "Figure", "Result", "measure"]

ROOT = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("worker.py")
_SECONDS = 300


@dataclass(frozen=True)
class Contender:
    """`function` gives one measurement. `packages` are installed into an environment of their own; none is this one."""

    name: str
    function: Callable[[], float]
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """Something measured. The first contender is ours, the others are peers.

    Attributes:
        at_most: what ours may be of each peer's; None is only told.
        limit: what ours may be by itself, in `unit`.
        note: what the reader should know.
    """

    key: str
    title: str
    unit: str
    contenders: Sequence[Contender]
    at_most: float | None = None
    limit: float | None = None
    rounds: int = 7
    note: str = ""


@dataclass
class Result:
    """What came of a figure: the numbers of each contender, in the order of the rounds, and who could not take part."""

    figure: Figure
    samples: dict[str, list[float]]
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> str:
        return self.figure.contenders[0].name

    def median(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def ratio(self, peer: str) -> tuple[float, float, float]:
        """Ours of theirs: the median over the rounds, the least, the most."""
        ratios = [a / b for a, b in zip(self.samples[self.ours], self.samples[peer], strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)

    @property
    def holds(self) -> bool | None:
        """Whether what was to be reached is reached; None where nothing was."""
        if self.ours not in self.samples:
            return False
        told: list[bool] = []
        if self.figure.limit is not None:
            told.append(self.median(self.ours) <= self.figure.limit)
        if self.figure.at_most is not None:
            told += [self.ratio(peer)[0] <= self.figure.at_most for peer in self.samples if peer != self.ours]
        return all(told) if told else None


def measure(figure: Figure, *, rounds: int | None = None) -> Result:
    """Run a figure. A contender that can't take part is left out, and it is told why."""
    result = Result(figure, {})
    workers: dict[str, _Worker] = {}
    try:
        for contender in figure.contenders:
            try:
                worker = _Worker(contender)
                worker.ask()  # the first is a rehearsal
            except RuntimeError as error:
                result.missing[contender.name] = str(error)
            else:
                workers[contender.name] = worker
                result.samples[contender.name] = []
        for _ in range(rounds or figure.rounds):
            for name, worker in random.sample(list(workers.items()), len(workers)):
                result.samples[name].append(worker.ask())
    finally:
        for worker in workers.values():
            worker.close()
    return result


class _Worker:
    """A process that gives a number whenever it is asked."""

    def __init__(self, contender: Contender) -> None:
        function = contender.function
        module = Path(sys.modules[function.__module__].__file__ or "")
        self._process = subprocess.Popen(
            [str(_python(contender.packages)), str(WORKER), str(module), function.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def ask(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            _, told = self._process.communicate(timeout=_SECONDS)
            raise RuntimeError(told.strip().rpartition("\n")[2] or "it ended without a word")
        return float(json.loads(line))

    def close(self) -> None:
        self._process.communicate(timeout=_SECONDS)


def _python(packages: tuple[str, ...]) -> Path:
    """The interpreter of an environment with these packages, built when it is first asked for."""
    if not packages:
        return Path(sys.executable)
    name = "bench-" + "-".join(sorted("".join(c for c in package if c.isalnum()) for package in packages))
    folder = ROOT / ".venvs" / name
    stamp = folder / "built"
    if not stamp.exists():
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages)
        stamp.write_text("\n".join(packages))
    return folder / "bin" / "python"


def _run(*command: str) -> None:
    done: Any = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip().rpartition("\n")[2])
