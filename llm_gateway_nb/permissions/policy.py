"""A ceiling: what may be allowed at all, set by whoever is responsible for the machine."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from llm_gateway_nb.permissions.paths import Root
from llm_gateway_nb.permissions.rules import Rule, covers, first_hit
from llm_gateway_nb.permissions.subject import Subject
from llm_gateway_nb.types.permissions import ToolPermission
from llm_gateway_nb.types.wire import WireModel, optional

__all__ = ["Ceiling", "PermissionPolicy"]


class PermissionPolicy(WireModel):
    """What a server or a teacher lets anybody allow. Beyond it a call is denied and nobody is asked.

    `allow` lists what may be allowed, by a rule or by a person; None is no limit, an empty list is nothing. `deny` is
    never allowed. Both take rules as `Permissions` does; a bare tool name stands for the whole tool. A command that
    can't be checked against a rule here counts as beyond it. A policy allows nothing by itself: what is below it is
    decided by the permissions of the run.
    """

    allow: list[ToolPermission] | None = optional()
    deny: list[ToolPermission] | None = optional()

    @field_validator("allow", "deny", mode="before")
    @classmethod
    def _names_are_rules(cls, rules: Any) -> Any:
        if isinstance(rules, list | tuple):
            return [{"tool": rule} if isinstance(rule, str) else rule for rule in rules]
        return rules


class Ceiling:
    """A policy made ready for use; its path roots are resolved once."""

    def __init__(self, policy: PermissionPolicy | None, root: Root) -> None:
        self._allow = None if policy is None or policy.allow is None else [Rule(rule, root) for rule in policy.allow]
        self._deny = [Rule(rule, root) for rule in (policy.deny if policy else None) or ()]

    def refusal(self, subject: Subject) -> str | None:
        """Why the call is beyond the policy, as a sentence; None if it is not."""
        rule, hit = first_hit(self._deny, subject)
        if hit == "yes":
            return f"denied: the policy never allows {rule}"
        if hit == "unclear":
            return f"denied: the policy never allows {rule}, and it cannot be told whether {subject} is that"
        if self._allow is None or covers(self._allow, subject):
            return None
        if subject.beyond is not None:
            return f"denied: {subject.beyond}, and the policy names no path there"
        limits = ", ".join(str(rule) for rule in self._allow if rule.tool == subject.tool)
        return f"denied: the policy allows {f'only {limits} here' if limits else f'no {subject.tool!r} calls'}"
