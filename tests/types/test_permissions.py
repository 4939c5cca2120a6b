"""Permissions as data."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from llm_gateway_nb.testing.strategies import permissions
from llm_gateway_nb.types import DeniedCall, PermissionResponse, Permissions, RelayResponse, ToolPermission


@given(permissions())
def test_permissions_survive_the_wire(value: Permissions) -> None:
    wire = value.model_dump(mode="json")
    assert Permissions.model_validate_json(json.dumps(wire)) == value
    assert Permissions.model_validate(wire).model_dump(mode="json") == wire


def test_the_source_systems_form_is_read_and_written() -> None:
    wire = {
        "allowlist": [{"tool": "read"}, {"tool": "bash", "params": {"command": "git **"}}],
        "allowOnce": [{"tool": "patch", "params": {"file_path": "src/**"}}],
        "deny": [{"toolCallId": "c", "reason": "not now"}],
    }
    value = Permissions.model_validate(wire)
    assert value.allow_once == [ToolPermission(tool="patch", params={"file_path": "src/**"})]
    assert value.deny == [DeniedCall(tool_call_id="c", reason="not now")]
    assert value.model_dump(mode="json") == wire


def test_a_bare_name_stands_for_the_rule_of_the_whole_tool() -> None:
    value = Permissions(allowlist=["read", {"tool": "bash", "params": {"command": "ls"}}], deny=["patch"])
    assert value.allowlist == [ToolPermission(tool="read"), ToolPermission(tool="bash", params={"command": "ls"})]
    assert value.deny == [ToolPermission(tool="patch")]
    assert Permissions(allow_once=("read",)).allow_once == [ToolPermission(tool="read")]


def test_deny_tells_calls_from_rules() -> None:
    value = Permissions(deny=[{"tool_call_id": "c"}, {"tool": "bash"}, DeniedCall(tool_call_id="d")])
    assert [type(each) for each in value.deny or []] == [DeniedCall, ToolPermission, DeniedCall]


def test_no_list_and_an_empty_list_are_two_things() -> None:
    assert Permissions().model_dump(mode="json") == {}
    assert Permissions(allowlist=[]).model_dump(mode="json") == {"allowlist": []}


@pytest.mark.parametrize(
    "fields",
    [
        {"allowlist": "read"},
        {"allowlist": [3]},
        {"allowlist": [{}]},
        {"allowlist": [{"tool": None}]},
        {"allowlist": [{"tool": "bash", "params": {"command": 3}}]},
        {"deny": [{}]},
        {"deny": [{"reason": "no"}]},
        {"allow_once": {"tool": "bash"}},
    ],
    ids=repr,
)
def test_what_is_no_rule_is_a_value_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Permissions(**fields)


def test_a_response_says_no_more_than_it_has_to() -> None:
    assert PermissionResponse(approved=False).model_dump(mode="json") == {"approved": False}
    full = RelayResponse(approved=True, reason="ok", always=True, input={"a_b": 1})
    assert full.model_dump(mode="json") == {"approved": True, "reason": "ok", "always": True, "input": {"a_b": 1}}
