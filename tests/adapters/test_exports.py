"""What the adapters have in common."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

import llm_gateway_nb.adapters as adapters
from llm_gateway_nb.errors import ConfigurationError

FRAMEWORKS = {
    "from_claude_agent_sdk": "claude_agent_sdk",
    "from_langgraph": "langgraph.types",
    "from_openai_agents": "agents",
    "from_pydantic_ai": "pydantic_ai.capabilities",
    "from_smolagents": "smolagents",
}


def test_the_list_of_names_is_sorted_and_complete() -> None:
    there = {name for name, value in vars(adapters).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert adapters.__all__ == sorted(adapters.__all__)
    assert set(adapters.__all__) == there - {"annotations"}
    assert {name for name in adapters.__all__ if name.startswith("from_")} == set(FRAMEWORKS)


@pytest.mark.parametrize(("name", "module"), FRAMEWORKS.items())
def test_a_framework_that_is_missing_is_told_with_the_line_that_installs_it(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    adapt: Any = getattr(adapters, name)
    with pytest.raises(ConfigurationError, match=rf"^{name} needs .*: pip install "):
        adapt(None)


def test_importing_the_adapters_imports_no_framework() -> None:
    code = f"import sys, llm_gateway_nb.adapters; print(sorted({set(FRAMEWORKS.values())!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
