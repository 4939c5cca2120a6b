"""Harnesses by name, by path, and as installed packages announce them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.harnesses import list_harnesses, load_harness, register_harness, registry, unregister_harness
from llm_gateway_nb.notebook import run
from llm_gateway_nb.testing import ScriptedLLM

FILE = """
from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.testing import ScriptedLLM

def harness():
    return create_agent_harness(ScriptedLLM(["From a file."]))

number = 3
"""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    for harness in list_harnesses():
        unregister_harness(harness.name)


def test_what_is_registered_is_loaded_by_its_name_and_by_its_id() -> None:
    llm = ScriptedLLM(["Hi."])
    known = register_harness("greeter", llm, description="Says hi.", supported_models=["scripted"])
    assert load_harness("greeter").module is llm
    assert load_harness(known.id).harness == known
    assert known in list_harnesses()
    assert known.registered_at is not None


def test_a_function_is_called_at_each_load() -> None:
    register_harness("fresh", lambda: ScriptedLLM(["Hi."]))
    assert load_harness("fresh").module is not load_harness("fresh").module


async def test_a_file_is_a_harness_and_an_edit_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    assert (await run(load_harness(str(path)).module, "Go.", panel=False)).text == "From a file."
    path.write_text(FILE.replace("From a file.", "Edited since."))
    register_harness("mine", f"{path}:harness")
    loaded = load_harness("mine")
    assert loaded.harness.module_path == f"{path}:harness"
    assert (await run(loaded.module, "Go.", panel=False)).text == "Edited since."


def test_what_an_installed_package_announces_is_known_and_not_imported_before(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("theirs", "llm_gateway_nb.testing:ScriptedLLM", registry.GROUP)
    broken = EntryPoint("broken", "no_such_module_anywhere:harness", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point, broken])
    assert [(each.name, each.module_path) for each in list_harnesses()] == [
        ("theirs", "llm_gateway_nb.testing:ScriptedLLM"),
        ("broken", "no_such_module_anywhere:harness"),
    ]
    with pytest.raises(ConfigurationError, match="no_such_module_anywhere"):
        load_harness("broken")
    with pytest.raises(ConfigurationError, match="needs its script"):
        load_harness("theirs")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("greter", "Did you mean 'greeter'"),
        ("no.such.module:harness", "No harness at"),
        ("llm_gateway_nb.types:new_id", "is no harness"),
        ("/no/such/file.py", "No harness at"),
    ],
)
def test_what_can_not_be_loaded_is_one_sentence(name: str, says: str) -> None:
    register_harness("greeter", ScriptedLLM(["Hi."]))
    with pytest.raises(ConfigurationError, match=says):
        load_harness(name)


@pytest.mark.parametrize(("name", "source"), [("", ScriptedLLM([])), ("x", 3)])
def test_what_is_no_harness_is_not_registered(name: str, source: Any) -> None:
    with pytest.raises(ConfigurationError):
        register_harness(name, source)
