"""Our ES modules as the one that anywidget can load. What is in `widgets/` is what runs: nothing is built."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["read_module", "read_styles"]

_WIDGETS = Path(__file__).parent / "widgets"


def read_module(entry: str) -> str:
    """`entry` and all that it imports, those first, without the imports of each other, or comments."""
    parts = []
    for source in _sources(entry, {}).values():
        source = re.sub(r"^import\b[^;]*;\n", "", source, flags=re.M)
        source = re.sub(
            r"^[ \t]*/\*\*(?:(?!\*/).)*\*/[ \t]*\n|^[ \t]*//[^\n]*\n|^[ \t]*\n", "", source, flags=re.M | re.S
        )
        parts.append(re.sub(r"^export (?!default)", "", source, flags=re.M))
    return re.sub(r"^[ \t]+", "", "".join(parts), flags=re.M)


def read_styles(*names: str) -> str:
    """These stylesheets as one."""
    return "".join((_WIDGETS / name).read_text(encoding="utf-8") for name in names)


def _sources(entry: str, known: dict[str, str]) -> dict[str, str]:
    """By name, a module behind those that it imports."""
    source = (_WIDGETS / entry).read_text(encoding="utf-8")
    for name in re.findall(r'^import\b[^;]*?from "\./([\w-]+\.js)";', source, flags=re.M):
        if name not in known:
            _sources(name, known)
    known[entry] = source
    return known
