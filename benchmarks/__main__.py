"""`python benchmarks [NAME…] [--rounds N] [--out FOLDER]`: all figures, or those of the benchmarks named."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from frame import Figure, measure  # noqa: E402
from report import line, write  # noqa: E402


def figures(names: list[str]) -> list[Figure]:
    """Those of every module here that has some, in the order of their names."""
    found: list[Figure] = []
    for path in sorted(HERE.glob("*.py")):
        if path.stem.startswith("_") or (names and path.stem not in names) or "FIGURES" not in path.read_text():
            continue
        if path.stem not in {"frame", "worker", "report"}:
            found += importlib.import_module(path.stem).FIGURES
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="such as agents, primitives; none is all")
    parser.add_argument("--rounds", type=int, help="instead of each figure's own")
    parser.add_argument("--out", type=Path, help="where to write the page; without it only lines are printed")
    given = parser.parse_args()
    results = []
    for figure in figures(given.names):
        results.append(measure(figure, rounds=given.rounds))
        print(line(results[-1]), flush=True)
        for name, why in results[-1].missing.items():
            print(f"  {name} was not measured: {why}", flush=True)
    if given.out is not None:
        write(results, given.out)


if __name__ == "__main__":
    main()
