"""Permissions as data: who may run what. The deciding is done in `llm_gateway_nb.permissions`."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from llm_gateway_nb.types.wire import WireModel, optional

__all__ = ["DeniedCall", "PermissionResponse", "Permissions", "RelayResponse", "ToolPermission"]


class ToolPermission(WireModel):
    """A rule: the exact tool name, and for some of its parameters a glob that the argument has to match."""

    tool: str
    params: dict[str, str] | None = optional()


class DeniedCall(WireModel):
    """One tool call that must not run, by its raw or namespaced id."""

    tool_call_id: str
    reason: str | None = optional()


class Permissions(WireModel):
    """What a run may do without asking. Order: deny > allow_once (used up by the call) > allowlist > ask a person.

    `deny` takes single calls, and rules as in the other two lists.
    """

    allowlist: list[ToolPermission] | None = optional()
    allow_once: list[ToolPermission] | None = optional()
    deny: list[DeniedCall | ToolPermission] | None = optional()

    @field_validator("allowlist", "allow_once", "deny", mode="before")
    @classmethod
    def _names_are_rules(cls, rules: Any) -> Any:
        """A bare tool name stands for the rule `{"tool": name}`."""
        if isinstance(rules, list | tuple):
            return [{"tool": rule} if isinstance(rule, str) else rule for rule in rules]
        return rules


class PermissionResponse(WireModel):
    """A person's answer to a permission relay."""

    approved: bool
    reason: str | None = optional()


class RelayResponse(PermissionResponse):
    """`PermissionResponse` with what a panel can say beyond it.

    `always` adds the rule that the relay shows; `input` are the arguments as the person edited them.
    """

    always: bool | None = optional()
    input: dict[str, Any] | None = optional()
