"""The "always" rule for a call: as wide as is safe, and never narrower than the call itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from posixpath import basename
from typing import Any

from llm_gateway_nb.permissions.globs import escape
from llm_gateway_nb.permissions.paths import Root, folder_pattern
from llm_gateway_nb.permissions.program_tables import (
    GIT_NOT_GENERALISED,
    NOT_GENERALISED,
    SUBCOMMANDS,
    THIRD_WORD,
)
from llm_gateway_nb.permissions.programs import is_code_runner
from llm_gateway_nb.permissions.shell import analyze
from llm_gateway_nb.permissions.subject import Subject, kind_of, well_formed
from llm_gateway_nb.types.permissions import ToolPermission

__all__ = ["derive_permission"]

_NOTHING = "[!\x00-\U0010ffff]"
"""A pattern that no text matches: for a value that JSON can't hold or that is no Unicode, which no rule can name."""
_SUBCOMMAND = re.compile(r"[A-Za-z][\w:.-]*", re.ASCII)


def derive_permission(tool: str, params: Mapping[str, Any] | None, *, root: Root = None) -> ToolPermission:
    """The rule that a person grants by "always" for this call. It always matches the call it came from.

    Each parameter on its own; a call without parameters gives the bare tool.

    - a command: its program, with its subcommand where it has such, and any further arguments (`git status *`,
      `npm run build *`, `cat *`). One word stays that word. The exact command where more would not be safe: a compound,
      anything that `shell` finds opaque or risky, interpreters, programs that destroy, overwrite or send.
    - a path: everything in its folder, links resolved (a folder: everything in it). A patch: the folder that
      holds all files it touches. The exact path where that would be `/` or the home folder.
    - any other value: exactly that value.

    Glob characters of the call are escaped. For arguments that no rule can name (what JSON can't hold, broken Unicode, no
    mapping at all) the rule matches nothing. `root` is the folder that relative paths count from.
    """
    if params is not None and not isinstance(params, Mapping):  # the bare tool would be far more than was meant
        return ToolPermission(tool=well_formed(tool), params={"": _NOTHING})
    subject = Subject({"name": tool, "arguments": params}, root)
    patterns = {well_formed(name): _pattern(name, subject) for name in subject.arguments if isinstance(name, str)}
    return ToolPermission(tool=well_formed(tool), params=patterns or None)


def _pattern(name: str, subject: Subject) -> str:
    text = subject.text(name)
    if text is None or text != well_formed(text):
        return _NOTHING
    kind = kind_of(name)
    if kind == "command" and subject.string(name) is not None:
        return _command_pattern(text) or escape(text)
    if kind in ("path", "patch"):
        paths = subject.paths(name)
        real = [subject.real_path(path) for path in paths or ()]
        folder = folder_pattern(real)
        if folder is None and kind == "path" and real and real[0] is not None:
            return escape(real[0])
        return folder or escape(text)
    return escape(text)


def _command_pattern(command: str) -> str | None:
    analysis = analyze(command)
    if analysis.opaque is not None or len(analysis.commands) != 1:
        return None
    simple = analysis.commands[0]
    words = [word.value for word in simple.words]
    program = basename(words[0])
    if simple.risk is not None or len(words) == 1 or program in NOT_GENERALISED or is_code_runner(program):
        return None
    kept = 1
    if program in SUBCOMMANDS:
        if words[1] not in SUBCOMMANDS[program] or (program == "git" and words[1] in GIT_NOT_GENERALISED):
            return None
        kept = 3 if (program, words[1]) in THIRD_WORD else 2
    if len(words) < kept or any(word.expands for word in simple.words[:kept]):
        return None
    if not all(_SUBCOMMAND.fullmatch(word) for word in words[1:kept]):
        return None
    return " ".join([*(escape(word) for word in words[:kept]), "*"])
