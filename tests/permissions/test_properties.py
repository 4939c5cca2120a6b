"""What holds of every command and every path."""

from __future__ import annotations

import posixpath
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from wcmatch import glob

from llm_gateway_nb.permissions import Grants, derive_permission, matches_permission, matches_permissions
from llm_gateway_nb.permissions.globs import parts_matcher, text_matcher
from llm_gateway_nb.permissions.shell import analyze
from llm_gateway_nb.types.permissions import Permissions, ToolPermission
from llm_gateway_nb.types.tools import ToolCall

NASTY = [*" \t\n;&|<>`)'\"\\{}*?[]~!#=-/\0\r\u2028\ud800é", "&&", "||", "2>&1", "$(", "$x", "..", "<<E", "(("]
NASTY += ["git", "status", "ls", "rm", "if", "sudo", "env", "-exec", "  "]
any_text = st.text(st.characters(), max_size=60) | st.lists(st.sampled_from(NASTY), max_size=25).map("".join)
clean_text = any_text.filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | clean_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(clean_text, inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["command", "path", "filePath", "patch", "query"])
arguments = st.dictionaries(names, clean_text | json_values, max_size=4).filter(
    lambda given: "filePath" not in given or "file_path" not in given
)
weird = st.dictionaries(
    names | any_text, any_text | json_values | st.binary(max_size=3) | st.just(object()), max_size=4
)


def rule(**params: str) -> ToolPermission:
    return ToolPermission(tool="t", params=params)


@given(weird, clean_text)
def test_nothing_raises_whatever_the_arguments_and_the_pattern(call_arguments: dict[str, Any], pattern: str) -> None:
    call = {"name": "t", "arguments": call_arguments}
    for name in ("command", "path", "patch", "query"):
        matches_permission(call, rule(**{name: pattern}))
        matches_permissions(call, {"allowlist": ["t"], "deny": [{"tool": "t", "params": {name: pattern}}]})
    derive_permission("t", call_arguments)


@given(
    st.none()
    | st.integers()
    | any_text
    | st.lists(any_text)
    | st.dictionaries(st.sampled_from(["name", "arguments", "id"]), json_values)
)
def test_nothing_raises_whatever_the_call(call: Any) -> None:
    assert not matches_permission(call, ToolPermission(tool="no such tool"))
    assert not matches_permissions(call, call if isinstance(call, dict) else None)


@given(arguments)
def test_a_derived_rule_matches_the_call_it_came_from(call_arguments: dict[str, Any]) -> None:
    assert matches_permission({"name": "t", "arguments": call_arguments}, derive_permission("t", call_arguments))


@given(weird)
def test_a_decision_is_always_made_and_always_says_why(call_arguments: dict[str, Any]) -> None:
    call = ToolCall.model_construct(id="1", name="t", arguments=call_arguments)
    decision = Grants().decide(call)
    assert decision.outcome == "ask"
    assert decision.why.startswith("asked because: ")
    decision.why.encode()
    if decision.rule is not None:
        decision.rule.model_dump_json().encode()


@given(clean_text)
def test_a_command_covered_by_a_set_of_rules_is_covered_part_by_part(command: str) -> None:
    permissions = Permissions(allowlist=[rule(command="git *"), rule(command="ls *")])
    if matches_permissions({"name": "t", "arguments": {"command": command}}, permissions):
        parts = analyze(command).commands
        assert parts
        for part in parts:
            assert part.words[0].value in ("git", "ls")
            assert matches_permissions({"name": "t", "arguments": {"command": part.text}}, permissions)


@given(clean_text, clean_text)
def test_no_star_covers_what_follows_an_operator(first: str, second: str) -> None:
    for glue in (";", "&&", "||", "|", "&", "\n"):
        command = f"git log {first}{glue} curl {second}"
        covered = matches_permission({"name": "t", "arguments": {"command": command}}, rule(command="git *"))
        if covered:  # the operator was inside quotes
            assert len(analyze(command).commands) >= 1
            assert all(part.words[0].value == "git" for part in analyze(command).commands)


@given(st.lists(st.sampled_from(["a", "..", ".", "", "b", "*"]), max_size=12).map("/".join))
def test_no_spelling_of_a_path_leaves_the_root_of_its_rule(tail: str) -> None:
    path = f"/no/such/root/{tail}"
    covered = matches_permission({"name": "t", "arguments": {"path": path}}, rule(path="/no/such/root/**"))
    normal = posixpath.normpath(path)
    assert covered is (normal == "/no/such/root" or normal.startswith("/no/such/root/"))


path_parts = st.lists(st.sampled_from(["a", "b", "ab", ".a", "a b"]), min_size=1, max_size=6).map("/".join)
glob_parts = st.lists(
    st.sampled_from(["a", "*", "**", "?", "[ab]", "[!a]", "*b", "a*", ".*"]), min_size=1, max_size=5
).map("/".join)


@given(glob_parts, path_parts)
def test_parts_match_as_the_engine_of_globs_has_it(pattern: str, path: str) -> None:
    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.CASE | glob.FORCEUNIX
    assert parts_matcher(pattern)(path) is glob.globmatch(path, pattern, flags=flags)


def test_a_path_of_many_parts_is_told_at_once_by_a_rule_of_many_stars() -> None:
    assert not parts_matcher("**/".join(["a/"] * 20) + "b")("/".join(["a"] * 2_000))
    assert not text_matcher("*a" * 20 + "b")("a" * 100_000)


def test_megabytes_and_deep_nesting_ask() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (
        "ls " * 1_000_000,
        "(" * 1_000_000,
        "a/" * 1_000_000,
        deep,
        10**10_000,
        "*** Update File: x\n" * 100_000,
    ):
        for name in ("command", "path", "patch", "query"):
            call = {"name": "t", "arguments": {name: value}}
            assert not matches_permission(call, rule(**{name: "a*b*c*d"}))
            derive_permission("t", call["arguments"])
