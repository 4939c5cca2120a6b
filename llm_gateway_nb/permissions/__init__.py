"""Who may run what: rules matched against calls, "always" rules made from calls, and the live grants of a run.

Fail closed: what no rule allows asks a person. Pure but for resolving paths. Below: types and errors, nothing else.
"""

from __future__ import annotations

from llm_gateway_nb.permissions.derive import derive_permission
from llm_gateway_nb.permissions.grants import Decision, Grants
from llm_gateway_nb.permissions.match import matches_permission, matches_permissions
from llm_gateway_nb.permissions.policy import PermissionPolicy

__all__ = [
    "Decision",
    "Grants",
    "PermissionPolicy",
    "derive_permission",
    "matches_permission",
    "matches_permissions",
]
