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
from tempfile import TemporaryFile
from typing import Any

__all__ = ["Contender", "Figure", "Result", "measure"]

ROOT = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("worker.py")
_SECONDS = 300


@dataclass(frozen=True)
class Contender:
    """`function`, called with `arguments`, gives one measurement.

    Attributes:
        packages: what is installed into an environment of its own, the peer first; none is this environment.
        counts: whether the figure's `at_most` is about this peer; one that does not count is there to be seen.
    """

    name: str
    function: Callable[..., float]
    packages: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    counts: bool = True


@dataclass(frozen=True)
class Figure:
    """Something measured. The first contender is ours, the others are peers.

    Attributes:
        at_most: what ours may be of each peer's that counts; None is only told.
        limit: what ours may be by itself, in `unit`.
        note: what the reader should know.
        in_readme: whether it stands in the README's table too.
    """

    key: str
    title: str
    unit: str
    contenders: Sequence[Contender]
    at_most: float | None = None
    limit: float | None = None
    rounds: int = 7
    note: str = ""
    in_readme: bool = False

    @property
    def held_against(self) -> list[str]:
        """The peers that `at_most` is about."""
        return [peer.name for peer in self.contenders[1:] if peer.counts]


@dataclass
class Result:
    """What came of a figure: the numbers of each contender, in the order of the rounds, and who could not take part."""

    figure: Figure
    samples: dict[str, list[float]]
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """Of the peers that have an environment of their own."""

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
            peers = [peer for peer in self.figure.held_against if peer in self.samples]
            told += [self.ratio(peer)[0] <= self.figure.at_most for peer in peers]
        return all(told) if told else None


def measure(figure: Figure, *, rounds: int | None = None) -> Result:
    """Run a figure. A contender that can't take part is left out, and it is told why."""
    result = Result(figure, {})
    workers: dict[str, _Worker] = {}
    try:
        for contender in figure.contenders:
            try:
                worker = workers[contender.name] = _Worker(contender)
                worker.ask()  # the first is a rehearsal
                result.versions.update(worker.version())
            except RuntimeError as error:
                _leave_out(contender.name, str(error), result, workers)
            else:
                result.samples[contender.name] = []
        for _ in range(rounds or figure.rounds):
            for name, worker in random.sample(list(workers.items()), len(workers)):
                try:
                    result.samples[name].append(worker.ask())
                except RuntimeError as error:
                    _leave_out(name, str(error), result, workers)
    finally:
        for worker in workers.values():
            worker.close()
    return result


def _leave_out(name: str, why: str, result: Result, workers: dict[str, _Worker]) -> None:
    result.missing[name] = why
    result.samples.pop(name, None)
    if (worker := workers.pop(name, None)) is not None:
        worker.close()


class _Worker:
    """A process that gives a number whenever it is asked."""

    def __init__(self, contender: Contender) -> None:
        function = contender.function
        module = Path(sys.modules[function.__module__].__file__ or "")
        self._peer = contender.packages[:1]
        self._python = _python(contender.packages)
        # Not a pipe, which somebody's warnings would fill.
        self._told = TemporaryFile("w+")  # noqa: SIM115  (closed by `close`)
        self._process = subprocess.Popen(
            [str(self._python), str(WORKER), str(module), function.__name__, *contender.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._told,
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
            self._process.wait(_SECONDS)
            self._told.seek(0)
            raise RuntimeError(self._told.read().strip().rpartition("\n")[2] or "it ended without a word")
        return float(json.loads(line))

    def version(self) -> dict[str, str]:
        """The peer's, where it has an environment of its own."""
        ask = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
        return {name: _run(str(self._python), "-c", ask, name).strip() for name in self._peer}

    def close(self) -> None:
        self._process.communicate(timeout=_SECONDS)
        self._told.close()


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


def _run(*command: str) -> str:
    done: Any = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip().rpartition("\n")[2])
    return str(done.stdout)
