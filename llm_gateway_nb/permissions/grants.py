"""The live permissions of a tree of runs: decided in one place, granted to while it runs."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from llm_gateway_nb.permissions.derive import derive_permission
from llm_gateway_nb.permissions.explain import why_asked
from llm_gateway_nb.permissions.match import denied_by_id
from llm_gateway_nb.permissions.paths import Root
from llm_gateway_nb.permissions.policy import Ceiling, PermissionPolicy
from llm_gateway_nb.permissions.rules import Rule, covers, first_hit
from llm_gateway_nb.permissions.subject import Subject, describe
from llm_gateway_nb.types.permissions import Permissions, ToolPermission
from llm_gateway_nb.types.tools import ToolCall

__all__ = ["Decision", "Derive", "Grants"]

Derive = Callable[[dict[str, Any]], ToolPermission | None]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens with a call, and why."""

    outcome: Literal["allow", "deny", "ask"]
    why: str
    """A plain sentence for the person: "asked because: redirection to a file"."""
    rule: ToolPermission | None = None
    """Of an `ask`: the rule that "always" would grant. None where there is none that covers the call."""


class _Shared:
    """What a tree of grants has in common. The lock guards every layer's lists; it is never held while deciding."""

    def __init__(self, policy: PermissionPolicy | None, root: Root) -> None:
        self.lock = threading.Lock()
        self.policy = policy
        self.root = None if root is None else os.path.realpath(root)  # of a relative one: as it is now
        self.ceiling = Ceiling(policy, self.root)
        self.callbacks: list[Callable[[ToolPermission], None]] = []


class Grants:
    """Who may run what, for a run and everything it spawns. The only mutable thing about permissions.

    Order: the policy and `deny` > `allow_once`, used up by the call > `allowlist` and what was granted > ask.
    Fail closed: what no rule allows asks. All methods may be called from any thread. `root` is the folder that relative
    paths count from; the working directory if not given. The paths in rules are resolved when they come in.
    """

    def __init__(
        self,
        permissions: Permissions | None = None,
        *,
        policy: PermissionPolicy | None = None,
        root: Root = None,
    ) -> None:
        self._parent: Grants | None = None
        self._shared = _Shared(policy, root)
        self._set(permissions or Permissions())

    def _set(self, permissions: Permissions) -> None:
        root = self._shared.root
        self._given = permissions
        self._narrows = permissions.allowlist is not None or permissions.allow_once is not None
        self._deny = [Rule(rule, root) for rule in permissions.deny or () if isinstance(rule, ToolPermission)]
        self._allow = [Rule(rule, root) for rule in permissions.allowlist or ()]
        self._once = [Rule(rule, root) for rule in permissions.allow_once or ()]

    def __repr__(self) -> str:
        policy = "" if self.policy is None else f", policy={self.policy!r}"
        return f"Grants({self.permissions!r}{policy})"

    def narrowed(self, permissions: Permissions | None) -> Grants:
        """Grants for a child, which never has more than this one.

        What both allow is allowed; what either denies is denied. A child without `allowlist` and `allow_once` inherits
        them, later grants included; with one of them it sees a later grant only where its own rules allow the call, or
        where the grant was made through it.
        """
        child = Grants.__new__(Grants)
        child._parent = self
        child._shared = self._shared
        child._set(permissions or Permissions())
        return child

    @property
    def policy(self) -> PermissionPolicy | None:
        """The ceiling of the tree."""
        return self._shared.policy

    @property
    def permissions(self) -> Permissions:
        """The rules as they stand now: grants are in the allowlist, used up entries are gone.

        Of a narrowed child it is the child's own side; its parents still limit it.
        """
        with self._shared.lock:
            chain = self._chain()
            holder = next((layer for layer in chain if layer._narrows or layer._parent is None), self)
            return Permissions(
                allowlist=_permissions_of(holder._allow)
                if holder._allow or holder._given.allowlist is not None
                else None,
                allow_once=_permissions_of(holder._once) if holder._given.allow_once is not None else None,
                deny=[rule for layer in chain for rule in layer._given.deny or ()] or None,
            )

    def decide(
        self,
        call: ToolCall,
        *,
        call_id: str | None = None,
        derive: Derive | None = None,
        beyond: str | None = None,
    ) -> Decision:
        """Decide one call. An `allow` by an `allow_once` rule uses that rule up, exactly once among all threads.

        Args:
            call: the call with its raw id.
            call_id: its namespaced id, `<runId>/<rawId>`; `deny` may name either.
            derive: the tool's own way to make the "always" rule. What it gives counts if it covers the call; None from
                it means that there is none.
            beyond: what the tool's `goes_beyond` says of the call. Then only rules that name its path count.
        """
        subject = Subject(call, self._shared.root, beyond=beyond)
        denial = self._denial(subject, call_id)
        if denial is not None:
            return denial
        hiding, _ = first_hit([rule for layer in self._chain() for rule in layer._deny], subject)
        while True:
            spent: list[tuple[Grants, Rule]] = []
            with self._shared.lock:
                layers = [(layer, list(layer._allow), list(layer._once)) for layer in self._limiting()]
            for layer, allow, once in layers:
                if hiding is not None:  # only the very command that a person has seen
                    allow, once = ([rule for rule in rules if rule.is_exactly(subject)] for rules in (allow, once))
                used = next((rule for rule in once if covers([rule], subject)), None)
                if used is None and not covers(allow, subject):
                    used = next((rule for rule in once if covers([*allow, rule], subject)), None)
                    if used is None:
                        known = [*allow, *once] if hiding is None else []
                        why = why_asked(subject, known, hiding)
                        return Decision("ask", why, self._always(subject, derive))
                if used is not None:
                    spent.append((layer, used))
            if self._spend(spent):
                if spent:
                    return Decision("allow", f"allowed once by the rule {spent[0][1]}")
                alone = next((rule for rule in layers[0][1] if covers([rule], subject)), None)
                return Decision(
                    "allow", f"allowed by the rule {alone}" if alone else "allowed by several rules together"
                )

    def denial(self, call: ToolCall, *, call_id: str | None = None, beyond: str | None = None) -> Decision | None:
        """The denial of this call by the policy or a deny rule, or None. Uses nothing up.

        For a call that a person has just approved with other arguments: their yes stands unless this says no.
        """
        return self._denial(Subject(call, self._shared.root, beyond=beyond), call_id)

    def grant(self, rule: ToolPermission) -> None:
        """Add a rule for the whole tree, then call the subscribers, in this thread. It can't pass the policy."""
        root = self._shared.root
        with self._shared.lock:
            for layer in self._limiting():
                # The same rule again replaces the older one: its folders are resolved anew.
                layer._allow = [known for known in layer._allow if known.permission != rule] + [Rule(rule, root)]
            callbacks = list(self._shared.callbacks)
        for callback in callbacks:
            try:
                callback(rule)
            except Exception:  # noqa: BLE001 - one view's mistake must not keep the others from waking
                _log.exception("A subscriber of grants failed on %s", describe(rule.tool, rule.params))

    def subscribe(self, callback: Callable[[ToolPermission], None]) -> Callable[[], None]:
        """Have `callback(rule)` called after each grant anywhere in the tree; returns a function that ends it."""
        entry = lambda rule: callback(rule)  # noqa: E731 - an object of its own, so that the same callback may come twice
        with self._shared.lock:
            self._shared.callbacks.append(entry)

        def unsubscribe() -> None:
            with self._shared.lock:
                if entry in self._shared.callbacks:
                    self._shared.callbacks.remove(entry)

        return unsubscribe

    def _chain(self) -> list[Grants]:
        chain = [self]
        while (parent := chain[-1]._parent) is not None:
            chain.append(parent)
        return chain

    def _limiting(self) -> list[Grants]:
        """The layers that all have to allow a call: the root, and each child that narrows."""
        return [layer for layer in self._chain() if layer._narrows or layer._parent is None]

    def _denial(self, subject: Subject, call_id: str | None) -> Decision | None:
        for layer in self._chain():
            entry = denied_by_id(layer._given, subject, call_id)
            if entry is not None:
                return Decision("deny", entry.reason or "denied: this very call is on the deny list")
            rule, hit = first_hit(layer._deny, subject)
            if hit == "yes":
                return Decision("deny", f"denied by the rule {rule}")
        refusal = self._shared.ceiling.refusal(subject)
        return None if refusal is None else Decision("deny", refusal)

    def _spend(self, spent: list[tuple[Grants, Rule]]) -> bool:
        """Use these rules up together; False if another thread has taken one of them meanwhile."""
        with self._shared.lock:
            if not all(any(rule is known for known in layer._once) for layer, rule in spent):
                return False
            for layer, rule in spent:
                layer._once = [known for known in layer._once if known is not rule]
            return True

    def _always(self, subject: Subject, derive: Derive | None) -> ToolPermission | None:
        root = self._shared.root
        if derive is not None:
            try:
                rule = derive(dict(subject.arguments))
            except Exception:  # noqa: BLE001 - a tool's mistake costs its wider rule, not the question
                _log.exception("`derive_permission` of the tool %r failed", subject.tool)
            else:
                if rule is None or _is_rule_for(rule, subject, root):
                    return rule
        rule = derive_permission(subject.tool or "", subject.arguments, root=self._shared.root)
        return rule if _is_rule_for(rule, subject, root) else None


def _permissions_of(rules: list[Rule]) -> list[ToolPermission]:
    return [rule.permission for rule in rules]


def _is_rule_for(rule: object, subject: Subject, root: Root) -> bool:
    return isinstance(rule, ToolPermission) and covers([Rule(rule, root)], subject)
