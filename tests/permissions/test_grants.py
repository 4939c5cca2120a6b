"""The live permissions of a tree of runs."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_nb.permissions import Decision, Grants, PermissionPolicy
from llm_gateway_nb.types.permissions import DeniedCall, Permissions, ToolPermission
from llm_gateway_nb.types.tools import ToolCall


def rule(command: str) -> ToolPermission:
    return ToolPermission(tool="bash", params={"command": command})


def bash(command: str, raw_id: str = "c1") -> ToolCall:
    return ToolCall(id=raw_id, name="bash", arguments={"command": command})


def names(*tools: str) -> list[Any]:
    return list(tools)


def test_without_permissions_everything_asks_and_the_always_rule_is_shown() -> None:
    decision = Grants().decide(bash("git status -s"))
    assert decision.outcome == "ask"
    assert decision.rule == rule("git status *")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("git log > f", "asked because: redirection to a file"),
        ("git log $(x)", "asked because: a command substitution"),
        ("git log\nls", "asked because: a newline"),
        ("X=1 git log", "asked because: an assignment in front of a command"),
        ("git log | xargs ls", "asked because: 'xargs' runs other programs"),
        ("git log 'x", "asked because: a part that does not parse as bash"),
        ("git log | curl x", 'asked because: no rule covers bash(command="curl x")'),
    ],
)
def test_a_question_says_what_keeps_the_rules_from_covering_the_call(command: str, why: str) -> None:
    assert Grants(Permissions(allowlist=[rule("git *")])).decide(bash(command)).why == why


def test_a_yes_says_by_which_rule() -> None:
    grants = Grants(Permissions(allowlist=[rule("git *"), rule("head *")], allow_once=[rule("ls *")]))
    assert grants.decide(bash("git log")).why == 'allowed by the rule bash(command="git *")'
    assert grants.decide(bash("git log | head")).why == "allowed by several rules together"
    assert grants.decide(bash("ls")).why == 'allowed once by the rule bash(command="ls *")'


def test_a_path_that_leads_elsewhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    grants = Grants(Permissions(allowlist=[ToolPermission(tool="read", params={"path": f"{tmp_path}/**"})]))
    call = ToolCall(id="1", name="read", arguments={"path": f"{tmp_path}/link/passwd"})
    assert grants.decide(call).why.endswith("which is '/etc/passwd'")


def test_deny_comes_before_allow_once_before_the_allowlist() -> None:
    grants = Grants(Permissions(allowlist=[rule("git *")], allow_once=[rule("git log *")], deny=[rule("git push *")]))
    assert grants.decide(bash("git push x")) == Decision("deny", 'denied by the rule bash(command="git push *")')
    assert grants.decide(bash("git log")).outcome == "allow"
    assert grants.permissions.allow_once == []
    assert grants.decide(bash("git log")).outcome == "allow"


@pytest.mark.parametrize("denied", ["c1", "run/c1"])
def test_one_call_is_denied_by_its_raw_or_namespaced_id(denied: str) -> None:
    permissions = Permissions(allowlist=names("bash"), deny=[DeniedCall(tool_call_id=denied, reason="not today")])
    grants = Grants(permissions)
    assert grants.decide(bash("ls"), call_id="run/c1") == Decision("deny", "not today")
    assert grants.decide(bash("ls", "c2"), call_id="run/c2").outcome == "allow"


def test_allow_once_is_used_up_by_the_first_call() -> None:
    grants = Grants(Permissions(allow_once=[rule("git *")]))
    assert [grants.decide(bash("git log")).outcome for _ in range(3)] == ["allow", "ask", "ask"]


def test_two_equal_entries_allow_two_calls() -> None:
    grants = Grants(Permissions(allow_once=[rule("git *"), rule("git *")]))
    assert [grants.decide(bash("git log")).outcome for _ in range(3)] == ["allow", "allow", "ask"]


def test_an_allow_once_rule_may_complete_what_the_allowlist_covers() -> None:
    grants = Grants(Permissions(allowlist=[rule("git *")], allow_once=[rule("head *")]))
    assert [grants.decide(bash("git log | head")).outcome for _ in range(2)] == ["allow", "ask"]


def test_a_question_uses_nothing_up() -> None:
    grants = Grants(Permissions(allow_once=[rule("git *")]))
    assert grants.decide(bash("git log | x")).outcome == "ask"
    assert grants.permissions.allow_once == [rule("git *")]


@pytest.mark.parametrize("attempt", range(20))
def test_allow_once_is_used_up_exactly_once_among_threads(attempt: int) -> None:
    grants = Grants(Permissions(allow_once=[rule("git *")] * 3))
    child = grants.narrowed(Permissions(allow_once=[rule("git *")] * 3))
    barrier = threading.Barrier(8)
    outcomes: list[str] = []

    def race(which: Grants) -> None:
        barrier.wait(timeout=60)
        outcomes.append(which.decide(bash("git log")).outcome)

    threads = [threading.Thread(target=race, args=(grants if at % 2 else child,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(outcomes) == {"allow": 3, "ask": 5}


def test_a_grant_is_seen_by_all_relatives_and_wakes_the_subscribers_after_it() -> None:
    grants = Grants()
    child = grants.narrowed(None)
    seen: list[str] = []
    unsubscribe = grants.subscribe(lambda granted: seen.append(child.decide(bash("git log")).outcome))
    assert child.decide(bash("git log")).outcome == "ask"
    child.grant(rule("git *"))
    assert seen == ["allow"]
    assert grants.decide(bash("git log")).outcome == "allow"
    assert grants.permissions.allowlist == [rule("git *")]
    unsubscribe()
    unsubscribe()
    grants.grant(rule("ls *"))
    assert seen == ["allow"]


def test_a_failing_subscriber_does_not_keep_the_others_from_waking(caplog: pytest.LogCaptureFixture) -> None:
    grants = Grants()
    seen: list[ToolPermission] = []
    grants.subscribe(lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    grants.subscribe(seen.append)
    grants.grant(rule("ls *"))
    assert seen == [rule("ls *")]
    assert "A subscriber of grants failed" in caplog.text


def test_a_snapshot_does_not_change() -> None:
    grants = Grants(Permissions(allowlist=[rule("ls *")]))
    before = grants.permissions
    grants.grant(rule("git *"))
    grants.grant(rule("git *"))
    assert before.allowlist == [rule("ls *")]
    assert grants.permissions.allowlist == [rule("ls *"), rule("git *")]


def test_a_child_never_has_more_than_its_parent() -> None:
    grants = Grants(Permissions(allowlist=[rule("git *")], deny=[rule("git push *")]))
    child = grants.narrowed(Permissions(allowlist=names("bash")))
    assert child.decide(bash("git log")).outcome == "allow"
    assert child.decide(bash("ls")).outcome == "ask"
    assert child.decide(bash("git push")).outcome == "deny"


def test_a_narrowed_child_sees_later_grants_only_where_its_own_rules_allow() -> None:
    grants = Grants()
    child = grants.narrowed(Permissions(allowlist=[rule("git *")], deny=[rule("git push *")]))
    grandchild = child.narrowed(None)
    grants.grant(ToolPermission(tool="bash"))
    for narrow in (child, grandchild):
        assert narrow.decide(bash("git log")).outcome == "allow"
        assert narrow.decide(bash("ls")).outcome == "ask"
        assert narrow.decide(bash("git push")).outcome == "deny"
    assert grants.decide(bash("git push")).outcome == "allow"
    child.grant(rule("ls *"))
    assert child.decide(bash("ls")).outcome == "allow"


def test_an_empty_list_narrows_to_nothing_and_an_absent_one_inherits() -> None:
    grants = Grants(Permissions(allowlist=names("bash")))
    assert grants.narrowed(Permissions(allowlist=[])).decide(bash("ls")).outcome == "ask"
    assert grants.narrowed(Permissions(deny=[rule("rm *")])).decide(bash("ls")).outcome == "allow"


def test_a_childs_allow_once_counts_in_both() -> None:
    grants = Grants(Permissions(allow_once=[rule("git *")]))
    child = grants.narrowed(Permissions(allow_once=[rule("git *"), rule("git *")]))
    assert [child.decide(bash("git log")).outcome for _ in range(2)] == ["allow", "ask"]
    assert grants.decide(bash("git log")).outcome == "ask"


def test_beyond_the_policy_nothing_is_asked_and_no_grant_passes() -> None:
    policy = PermissionPolicy(allow=[rule("git *"), ToolPermission(tool="read")], deny=[rule("git push *")])
    grants = Grants(Permissions(allowlist=names("bash")), policy=policy)
    grants.grant(ToolPermission(tool="bash"))
    assert grants.decide(bash("git log")).outcome == "allow"
    assert grants.decide(bash("git push x")).why == 'denied: the policy never allows bash(command="git push *")'
    assert grants.decide(bash("ls")).why == 'denied: the policy allows only bash(command="git *") here'
    assert grants.decide(bash("git log $(x)")).outcome == "deny"
    assert grants.decide(ToolCall(id="1", name="write")).why == "denied: the policy allows no 'write' calls"
    assert grants.decide(ToolCall(id="1", name="read")).outcome == "ask"
    assert grants.narrowed(None).decide(bash("ls")).outcome == "deny"


def test_a_policy_takes_bare_tool_names_and_allows_nothing_by_itself() -> None:
    policy = PermissionPolicy.model_validate({"allow": ["read"], "deny": ["bash"]})
    grants = Grants(policy=policy)
    assert grants.decide(ToolCall(id="1", name="read")).outcome == "ask"
    assert grants.decide(bash("ls")).outcome == "deny"


def test_edited_arguments_are_still_subject_to_deny_and_policy() -> None:
    grants = Grants(Permissions(deny=[rule("rm *")]))
    assert grants.denial(bash("ls")) is None
    denial = grants.denial(bash("ls; rm x"))
    assert denial is not None
    assert denial.outcome == "deny"


def test_a_rule_is_bound_to_the_folder_there_was_when_it_was_granted(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    workspace.mkdir()
    grants = Grants(Permissions(allowlist=[ToolPermission(tool="w", params={"path": f"{workspace}/**"})]))
    call = ToolCall(id="1", name="w", arguments={"path": f"{workspace}/passwd"})
    assert grants.decide(call).outcome == "allow"
    workspace.rmdir()
    workspace.symlink_to("/etc")
    assert grants.decide(call).outcome == "ask"


def test_what_is_denied_could_hide_so_it_asks_unless_that_very_command_was_granted() -> None:
    grants = Grants(Permissions(allowlist=names("bash"), deny=[rule("rm *")]))
    decision = grants.decide(bash("$X y"))
    assert decision.outcome == "ask"
    assert 'the deny rule bash(command="rm *")' in decision.why
    assert decision.rule is not None
    grants.grant(decision.rule)
    assert grants.decide(bash("$X y")).outcome == "allow"
    assert grants.decide(bash("$X z")).outcome == "ask"
    assert grants.decide(bash("echo x > y")).outcome == "allow"


def test_the_tools_own_rule_counts_if_it_covers_the_call() -> None:
    own = ToolPermission(tool="bash", params={"command": "ls -l *"})
    decide = Grants().decide
    assert decide(bash("ls -l x"), derive=lambda _: own).rule == own
    assert decide(bash("ls -a x"), derive=lambda _: own).rule == rule("ls *")
    assert decide(bash("ls -l x"), derive=lambda _: None).rule is None
    assert decide(bash("ls -l x"), derive=lambda _: ToolPermission(tool="other")).rule == rule("ls *")


def test_a_failing_rule_of_the_tool_costs_only_that_rule(caplog: pytest.LogCaptureFixture) -> None:
    decision = Grants().decide(bash("ls -l x"), derive=lambda params: params["missing"])
    assert decision.rule == rule("ls *")
    assert "`derive_permission` of the tool 'bash' failed" in caplog.text
