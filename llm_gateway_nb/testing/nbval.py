"""The pytest plugin that lets notebooks with runs pass `pytest --nbval` as they are.

Runs are deterministic by themselves: no ids, times or costs in what is saved. What is left is what Python prints by itself,
such as addresses; it is sanitized by `sanitize.cfg` unless the command line names a file of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["SANITIZE_FILE", "pytest_configure"]

SANITIZE_FILE = Path(__file__).with_name("sanitize.cfg")
"""For `--nbval-sanitize-with`, where it is to be joined with rules of one's own."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Name our sanitize file, where nbval runs and nobody named one."""
    option = config.option
    runs = getattr(option, "nbval", False) or getattr(option, "nbval_lax", False)
    if runs and not (option.nbval_sanitize_with or option.sanitize_with):
        option.nbval_sanitize_with = str(SANITIZE_FILE)
