"""The workspace and the rules: what lies outside is reached by a rule that names its path, or by a person's yes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.permissions import Grants, PermissionPolicy
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import patch_tool, read_tool
from llm_gateway_nb.types import InvokeEnv, Permissions, RelayEvent, ToolResultEvent


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside the workspace."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f").write_text("data")
    return tmp_path / "data"


async def reading(path: str, rules: list[Any], *, policy: Any = None, answer: bool | None = None) -> tuple[Any, Any]:
    """The question, if one was asked, and the result of a model that reads this path."""
    agent = create_agent_harness(ScriptedLLM([call("read", path=path), "ok"]))
    env = InvokeEnv(grants=Grants(Permissions(allowlist=rules), policy=policy))
    relay = result = None
    messages = [{"role": "user", "content": "go"}]
    async for event in agent.invoke(messages=messages, tools=[read_tool, patch_tool], env=env):
        if isinstance(event, RelayEvent):
            relay = event
            assert answer is not None, event.why
            event.respond({"approved": answer})
        elif isinstance(event, ToolResultEvent):
            result = event
    return relay, result


async def test_a_rule_that_names_the_path_reaches_beyond_the_workspace(data: Path) -> None:
    relay, result = await reading("../data/f", [{"tool": "read", "params": {"path": f"{data}/**"}}])
    assert relay is None
    assert result.output == "   1 | data"


async def test_a_rule_for_the_bare_tool_means_the_workspace_and_beyond_it_a_person_is_asked(data: Path) -> None:
    relay, result = await reading("../data/f", ["read"], answer=True)
    assert relay.why == f"asked because: '{data}/f' lies outside the workspace {data.parent}/here"
    assert relay.params["path"] == f"{data}/f", "where it leads, not how it was written"
    assert relay.rule == {"tool": "read", "params": {"path": f"{data}/**"}}
    assert result.output == "   1 | data"
    _, result = await reading("../data/f", ["read"], answer=False)
    assert result.status == "denied"


async def test_a_policy_for_the_bare_tool_keeps_everybody_in_the_workspace(data: Path) -> None:
    rules = [{"tool": "read", "params": {"path": "/**"}}]
    _, result = await reading("../data/f", rules, policy=PermissionPolicy.model_validate({"allow": ["read"]}))
    assert result.status == "denied"
    assert "the policy names no path there" in result.output
    wider = PermissionPolicy.model_validate({"allow": [{"tool": "read", "params": {"path": f"{data}/**"}}]})
    _, result = await reading("../data/f", rules, policy=wider)
    assert result.status == "ok"


@pytest.mark.parametrize("rules", [["patch"], [{"tool": "patch", "params": {"patch": "**"}}]])
async def test_a_git_hook_asks_also_where_every_file_may_be_patched(data: Path, rules: list[Any]) -> None:
    text = "*** Begin Patch\n*** Add File: .git/hooks/pre-commit\n+evil\n*** End Patch"
    agent = create_agent_harness(ScriptedLLM([call("patch", patch=text), "ok"]))
    asked = []
    permissions = Permissions(allowlist=rules)
    messages = [{"role": "user", "content": "go"}]
    async for event in agent.invoke(messages=messages, tools=[patch_tool], permissions=permissions):
        if isinstance(event, RelayEvent):
            asked.append(event.why)
            event.respond({"approved": False})
    assert asked == ["asked because: other programs run what is in '.git/hooks/pre-commit'"]


async def test_inside_the_workspace_a_rule_for_the_bare_tool_is_enough(data: Path) -> None:
    (data.parent / "here" / "g").write_text("here")
    relay, result = await reading("g", ["read"])
    assert relay is None
    assert result.output == "   1 | here"


async def test_always_on_a_read_means_the_folder_whatever_the_lines(data: Path) -> None:
    relay, _ = await reading("../data/f", [], answer=True)
    agent = create_agent_harness(ScriptedLLM([call("read", path="../data/f", offset=1, limit=5), "ok"]))
    rules = Permissions.model_validate({"allowlist": [relay.rule]})
    messages = [{"role": "user", "content": "go"}]
    events = [event async for event in agent.invoke(messages=messages, tools=[read_tool], permissions=rules)]
    assert not [event for event in events if isinstance(event, RelayEvent)]
