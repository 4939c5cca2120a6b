"""A notebook whose metadata says `llm_gateway_nb: {needs: [local_model]}` is left out where the weights can't be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers.weights import fetch

_left_out: list[str] = []


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if collection_path.suffix != ".ipynb":
        return None
    needs = json.loads(collection_path.read_text())["metadata"].get("llm_gateway_nb", {}).get("needs", [])
    if "local_model" not in needs:
        return None
    try:
        fetch("qwen2.5-coder-0.5b")
    except ConfigurationError as error:
        _left_out.append(f"{collection_path.name}: {error}")
        return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _left_out:
        terminalreporter.write_line(f"left out: {line}", yellow=True)
