"""Permissions as a table, in the order in which they count."""

from __future__ import annotations

import json

from llm_gateway_nb.notebook.text import rule_text
from llm_gateway_nb.notebook.views.bits import Bit, Tone, badge, card, line, note, table
from llm_gateway_nb.permissions import Decision
from llm_gateway_nb.types import DeniedCall, Permissions, ToolPermission

__all__ = ["LISTS", "decision_bits", "permissions_card", "permissions_code", "rules_of"]

LISTS: dict[str, tuple[str, Tone]] = {
    "deny": ("deny", "bad"),
    "allow_once": ("allow once", "ask"),
    "allowlist": ("allow", "good"),
}
"""The lists in the order in which they are held against a call, each with its word."""


def rules_of(permissions: Permissions) -> list[tuple[str, DeniedCall | ToolPermission]]:
    """Every rule with the name of its list."""
    return [(name, rule) for name in LISTS for rule in getattr(permissions, name) or ()]


def rule_words(rule: DeniedCall | ToolPermission) -> str:
    """A rule as one would say it."""
    if isinstance(rule, DeniedCall):
        return f"the call {rule.tool_call_id}" + (f": {rule.reason}" if rule.reason else "")
    return rule_text(rule.model_dump())


def permissions_card(permissions: Permissions, title: str = "Permissions") -> Bit:
    """The card."""
    rows = [(badge(*LISTS[name]), line(rule_words(rule))) for name, rule in rules_of(permissions)]
    return card(title, table(("", ""), rows), note(_rest(permissions)))


def _rest(permissions: Permissions) -> str:
    return "What no rule covers asks a person." if rules_of(permissions) else "No rules: every call asks a person."


def permissions_code(permissions: Permissions) -> str:
    """The expression that makes the same."""
    given = [
        f"    {name}={json.dumps([rule.model_dump(by_alias=False) for rule in rules], ensure_ascii=False)},"
        for name in ("allowlist", "allow_once", "deny")
        if (rules := getattr(permissions, name))
    ]
    return "\n".join(["Permissions(", *given, ")"]) if given else "Permissions()"


_TONES: dict[str, Tone] = {"allow": "good", "deny": "bad", "ask": "ask"}


def decision_bits(call: str, decision: Decision) -> list[Bit]:
    """What happens with a call, why, and what "always" would add."""
    rows: list[tuple[str | Bit, ...]] = [
        (badge(decision.outcome, _TONES[decision.outcome]), line(call)),
        ("", decision.why),
    ]
    if decision.rule is not None:
        rows.append(("", line(f"“Always” would add {rule_text(decision.rule.model_dump())}")))
    return [table(("", ""), rows)]
