"""What the README and the other pages promise is there: each file, each name, and the one cell runs."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import llm_gateway_nb
from llm_gateway_nb.notebook import RunResult
from llm_gateway_nb.providers import list_providers
from llm_gateway_nb.testing import ScriptedLLM, call

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/front_ends.md",
    "docs/benchmarks/README.md",
]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        assert ((ROOT / page).parent / path).exists() if path else anchor in headings, link


def test_every_name_of_the_layer_map_is_where_it_stands() -> None:
    layers = README.split("```text\n")[1].split("```")[0]
    layer, known = "", set(list_providers())
    for line in layers.splitlines():
        layer = line[:23].strip() or layer
        modules = [import_module(f"llm_gateway_nb.{name.strip()}") for name in layer.split("|")]
        for name in re.findall(r"\b(?:[a-z]+_\w+|[A-Z]\w*[a-z]\w*[A-Z]\w*)\b", line[23:]):
            assert any(hasattr(module, name) for module in modules), f"{name} in {layer}"
        if layer == "providers":
            known -= {word.strip() for word in re.split(r"[,:]", line[23:])}
    assert known == set()


async def test_the_one_cell_runs_as_it_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = re.findall(r"```python\n(.*?)```", README, re.S)
    script = [call("bash", command="python --version"), "It is Python."]
    monkeypatch.setattr(llm_gateway_nb, "create_llm", lambda: ScriptedLLM(script), raising=False)
    names: dict[str, Any] = {}
    result = eval(compile(cell, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    await result
    assert isinstance(names["result"], RunResult)
    assert names["result"].text == "It is Python."


def test_the_layers_of_contributing_are_those_that_are_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = project["tool"]["importlinter"]["contracts"]
    checked = re.findall(r"\w+", " ".join(contract["layers"]))
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("|---|---|---|\n")[1].split("\n\n")[0]
    told = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert told == [name for name in checked if name != "exceptions"]  # told of beside `errors`
