"""`python benchmarks [NAME…] [--rounds N] [--out FOLDER] [--readme FILE]`: all figures, or those named."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from frame import Figure, Result, measure  # noqa: E402
from report import INTRO, keep, kept, line, write, write_readme  # noqa: E402


def figures() -> dict[str, list[Figure]]:
    """Those of every module here that has some, in the order of their names."""
    found: dict[str, list[Figure]] = {}
    for path in sorted(HERE.glob("*.py")):
        if "\nFIGURES = [" in path.read_text(encoding="utf-8"):
            found[path.stem] = importlib.import_module(path.stem).FIGURES
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="such as agent_loop, primitives; none is all, and `page` measures nothing"
    )
    parser.add_argument("--rounds", type=int, help="instead of each figure's own")
    parser.add_argument("--out", type=Path, help="where the page is; what is not measured now stays on it as it was")
    parser.add_argument("--readme", type=Path, help="in which file to renew the table")
    given = parser.parse_args()
    results: list[Result] = []
    for module, found in figures().items():
        for figure in found:
            if given.names and module not in given.names:
                results += [old] if given.out is not None and (old := kept(figure, given.out)) is not None else []
                continue
            results.append(measure(figure, rounds=given.rounds))
            print(line(results[-1]), flush=True)
            for name, why in results[-1].missing.items():
                print(f"  {name} was not measured: {why}", flush=True)
    if given.out is not None:
        keep(results, given.out)
        write(results, given.out, intro=INTRO + _busy())
    if given.readme is not None:
        write_readme(results, given.readme)


def _busy() -> str:
    load = os.getloadavg()[0]
    return f" The machine was busy with other work (load {load:.0f})." if load > (os.cpu_count() or 1) + 1 else ""


if __name__ == "__main__":
    main()
