"""A tool call as the rules look at it: its arguments as text, as commands, as real paths."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from llm_gateway_nb.permissions.paths import Root, patched_paths, resolve
from llm_gateway_nb.types.tools import ToolCall

__all__ = ["Kind", "Subject", "describe", "kind_of", "text_of", "well_formed"]

Kind = Literal["command", "path", "patch", "text"]

_KINDS: dict[str, Kind] = {
    "command": "command",
    "filePath": "path",
    "file_path": "path",  # the Python spelling of the same
    "path": "path",
    "patch": "patch",
}
_CLIP = 120


def kind_of(parameter: str) -> Kind:
    """How a parameter of this name is read, in any tool."""
    return _KINDS.get(parameter, "text")


def text_of(value: Any) -> str | None:
    """An argument as text: 42 is "42", true is "true", a list is its JSON. None for what JSON can't hold."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return None


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


class Subject:
    """One call. What it looks up or resolves it remembers, so that all rules judge the same thing."""

    def __init__(self, call: ToolCall | Mapping[str, Any], root: Root, *, beyond: str | None = None) -> None:
        name: Any = None
        arguments: Any = None
        raw_id: Any = None
        if isinstance(call, ToolCall):
            name, arguments, raw_id = call.name, call.arguments, call.id
        elif isinstance(call, Mapping):
            name, arguments, raw_id = call.get("name"), call.get("arguments"), call.get("id")
        self.tool: str | None = name if isinstance(name, str) else None
        self.id: str | None = raw_id if isinstance(raw_id, str) else None
        self.arguments: dict[str, Any] = dict(arguments) if isinstance(arguments, Mapping) else {}
        self.beyond = beyond
        """Why only a rule that names a path can allow it, where its tool says so: it leaves the tool's workspace."""
        self._root = root
        self._resolved: dict[str, str | None] = {}

    def text(self, parameter: str) -> str | None:
        """The argument as text; None if it is absent or has no text."""
        return text_of(self.arguments[parameter]) if parameter in self.arguments else None

    def string(self, parameter: str) -> str | None:
        """The argument if it is a string: nothing else is read as a command or a path."""
        value = self.arguments.get(parameter)
        return value if isinstance(value, str) else None

    def spellings(self, parameter: str) -> list[str]:
        """The arguments that a tool could take for this parameter: `filePath` and `file_path` are one."""
        return [name for name in self.arguments if isinstance(name, str) and _folded(name) == _folded(parameter)]

    def real_path(self, path: str) -> str | None:
        if path not in self._resolved:
            self._resolved[path] = resolve(path, self._root)
        return self._resolved[path]

    def paths(self, parameter: str) -> list[str] | None:
        """The paths in a path or patch parameter, as written; None where there are none to be read."""
        value = self.string(parameter)
        if value is None:
            return None
        return patched_paths(value) if kind_of(parameter) == "patch" else [value]

    def __str__(self) -> str:
        return describe(self.tool or "?", {str(name): text_of(value) for name, value in self.arguments.items()})


def describe(tool: str, params: Mapping[str, str | None] | None) -> str:
    """A rule or a call on one line for a sentence: `bash(command="git status *")`; long values are clipped."""
    shown = []
    for name, value in (params or {}).items():
        text = "?" if value is None else value if len(value) <= _CLIP else f"{value[:_CLIP]}…"
        shown.append(f"{name}={json.dumps(text, ensure_ascii=False)}")
    return well_formed(f"{tool}({', '.join(shown)})" if shown else tool)


def well_formed(text: str) -> str:
    """The text with a `?` for each lone surrogate: what neither pydantic nor a file takes."""
    return text.encode(errors="replace").decode()
