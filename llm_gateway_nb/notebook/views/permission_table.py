"""Permissions that a person edits: rules come and go, and a call is tried against them before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from IPython.display import display
from pydantic import ValidationError

from llm_gateway_nb.notebook.kernel import cell_number
from llm_gateway_nb.notebook.text import call
from llm_gateway_nb.notebook.views.bits import Bit
from llm_gateway_nb.notebook.views.permissions import (
    LISTS,
    decision_bits,
    permissions_card,
    permissions_code,
    rule_words,
    rules_of,
)
from llm_gateway_nb.notebook.views.static import bits_html
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.types import Permissions, ToolCall, ToolPermission

__all__ = ["PermissionTable"]


class PermissionTable:
    """What `show(permissions)` gives: an editor. `Permissions` never change, so what was edited is a new value.

    Attributes:
        permissions: the rules as they stand in the table now: `run(…, permissions=table.permissions)`.
        on_change: called when the picture is another.
    """

    def __init__(self, permissions: Permissions) -> None:
        self.permissions = permissions
        self._tried: list[Bit] = []
        self._last_try: tuple[str, str] | None = None
        self._problem = ""
        self.on_change: Callable[[], None] = lambda: None
        self._cell = cell_number()

    def acted(self, message: dict[str, Any]) -> None:
        """A person did something in the table."""
        self._problem = ""
        match message:
            case {"k": "add", "list": str(name), "tool": str(tool), "params": dict(params)} if name in LISTS:
                self._add(name, tool.strip(), params)
            case {"k": "remove", "list": str(name), "index": int(index)} if name in LISTS:
                self._remove(name, index)
            case {"k": "try", "tool": str(tool), "arguments": str(arguments)}:
                self._last_try = (tool.strip(), arguments)
        self._try()
        self.on_change()

    def __repr__(self) -> str:
        return f"PermissionTable({self.permissions!r})"

    def _ipython_display_(self) -> None:
        """As the last line of the cell that shows it there is nothing to add; elsewhere it says what it holds."""
        if self._cell is None or self._cell != cell_number():
            display({"text/plain": repr(self), "text/html": bits_html(permissions_card(self.permissions))}, raw=True)

    def picture(self) -> dict[str, Any]:
        """For a `LiveCard`."""
        indices: dict[str, int] = {}
        rows = []
        for name, rule in rules_of(self.permissions):
            index = indices[name] = indices.get(name, -1) + 1
            rows.append({"list": name, "index": index, "rule": rule_words(rule)})
        lists = [{"name": name, "word": word, "tone": tone} for name, (word, tone) in LISTS.items()]
        return {
            "card": {**permissions_card(Permissions(), "Permissions"), "inside": []},
            "rules": {
                "lists": lists,
                "rows": rows,
                "problem": self._problem,
                "tried": self._tried,
                "code": permissions_code(self.permissions),
            },
        }

    def _add(self, name: str, tool: str, params: dict[str, Any]) -> None:
        if not tool:
            self._problem = "A rule names a tool."
            return
        patterns = {str(key).strip(): str(value) for key, value in params.items() if str(key).strip()}
        rule = ToolPermission(tool=tool, params=patterns or None)
        rules = list(getattr(self.permissions, name) or ())
        if rule not in rules:
            self._set(name, [*rules, rule])

    def _remove(self, name: str, index: int) -> None:
        rules = list(getattr(self.permissions, name) or ())
        if 0 <= index < len(rules):
            del rules[index]
            self._set(name, rules)

    def _set(self, name: str, rules: list[Any]) -> None:
        self.permissions = self.permissions.model_copy(update={name: rules or None})

    def _try(self) -> None:
        """Hold the last tried call against the rules as they stand; nothing runs, and no `allow_once` is used up."""
        self._tried = []
        if self._last_try is None:
            return
        tool, text = self._last_try
        try:
            arguments = json.loads(text) if text.strip().startswith("{") else {"command": text}
            if not isinstance(arguments, dict):
                raise ValueError("the arguments are an object")
            tried = ToolCall(id="try", name=tool, arguments=arguments)
        except (ValueError, ValidationError) as error:
            self._problem = f"Not a call: {error}"
            return
        decision = Grants(self.permissions).decide(tried)
        self._tried = decision_bits(call(tool, arguments), decision)
