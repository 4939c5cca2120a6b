"""Where buttons work while a cell runs: the table of `docs/front_ends.md`, made of what the browser tests have just found.

`pytest` appends a line of JSON a test to the file that `MATRIX_REPORT` names; `python tests/support/matrix.py FILE` writes the
table between that page's markers. With `--check` it writes nothing, and fails where the page says something else.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["WAYS", "Finding", "note", "read", "table"]

PAGE = Path(__file__).parents[2] / "docs" / "front_ends.md"
BEGIN, END = "<!-- matrix -->", "<!-- /matrix -->"
WAYS = ("await run", "run_sync", "start")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one scenario came to in one place, in one way.

    Attributes:
        front_end: with its version.
        kernel: the ipykernel, with its version.
        way: one of `WAYS`.
        scenario: what was done, in words.
        passed: whether what had to happen has happened.
    """

    front_end: str
    kernel: str
    way: str
    scenario: str
    passed: bool


def note(finding: Finding) -> None:
    """Append it to the report, if one is wanted; from several processes at once, too."""
    path = os.environ.get("MATRIX_REPORT")
    if path:
        line = json.dumps(asdict(finding), sort_keys=True) + "\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, line.encode())  # one write, which no other splits
        finally:
            os.close(descriptor)


def read(path: Path) -> list[Finding]:
    return [Finding(**json.loads(line)) for line in path.read_text().splitlines()]


def table(findings: Iterable[Finding]) -> str:
    """A row a place, a column a way; in a cell how many scenarios passed, and which did not."""
    cells: dict[tuple[str, str], dict[str, dict[str, bool]]] = {}
    for found in findings:
        scenarios = cells.setdefault((found.front_end, found.kernel), {}).setdefault(found.way, {})
        scenarios[found.scenario] = found.passed  # the last word counts, where a test was run again
    lines = [
        "| Front end | ipykernel | " + " | ".join(f"`{way}`" for way in WAYS) + " |",
        "|---|---|" + "---|" * len(WAYS),
    ]
    for (front_end, kernel), ways in sorted(cells.items(), key=lambda item: _order(*item[0])):
        lines.append(f"| {front_end} | {kernel} | " + " | ".join(_cell(ways.get(way, {})) for way in WAYS) + " |")
    names = sorted({scenario for ways in cells.values() for scenarios in ways.values() for scenario in scenarios})
    return "\n".join([*lines, "", f"Counted are {len(names)} scenarios: {'; '.join(names)}."])


def _cell(scenarios: dict[str, bool]) -> str:
    if not scenarios:
        return "not tested"
    failed = sorted(name for name, passed in scenarios.items() if not passed)
    said = f"{len(scenarios) - len(failed)} of {len(scenarios)}"
    return f"{said}; not: {', '.join(failed)}" if failed else f"✓ {said}"


def _order(front_end: str, kernel: str) -> tuple[bool, bool, str, list[int]]:
    """JupyterLab first, its other settings after it; kernels by version."""
    numbers = [int(part) for part in kernel.split(".") if part.isdigit()]
    return not front_end.startswith("JupyterLab"), "," in front_end, front_end, numbers


def main(arguments: list[str]) -> int:
    paths = [argument for argument in arguments if argument != "--check"]
    if len(paths) != 1:
        print("usage: python tests/support/matrix.py REPORT [--check]", file=sys.stderr)
        return 2
    before = PAGE.read_text(encoding="utf-8")
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        print(f"{PAGE.name} has no {BEGIN} … {END} to write between.", file=sys.stderr)
        return 2
    after = f"{head}{BEGIN}\n{table(read(Path(paths[0])))}\n{END}{tail}"
    if "--check" in arguments:
        sys.stderr.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), PAGE.name, "tests"))
        return int(before != after)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
