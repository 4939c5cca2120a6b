"""Path parameters: what a path really is, and patterns that a path can't climb out of."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path
from typing import Literal

from llm_gateway_nb.permissions.globs import escape, literal, parts_matcher, text_matcher

__all__ = ["PathPattern", "Root", "folder_pattern", "patched_paths", "resolve", "run_by_others"]

_LONGEST = 4096  # no system opens a longer one
_MOST_PATCHED = 1000
_DIRECTIVE = re.compile(r"\*\*\* (?:(?:Add|Update|Delete) File|Move to):[ ]?(?P<path>\S(?:.*\S)?)")
_MARKS = frozenset({"*** Begin Patch", "*** End Patch", "*** End of File"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


_RUN_BY_OTHERS = frozenset({
    ".bash_login", ".bash_logout", ".bash_profile", ".bashrc", ".cargo", ".claude", ".config", ".cursor",
    ".devcontainer", ".envrc", ".exrc", ".gdbinit", ".git", ".gitconfig", ".hg", ".husky", ".idea", ".ipython",
    ".jupyter", ".mcp.json", ".npmrc", ".pdbrc", ".profile", ".ssh", ".svn", ".tmux.conf", ".vimrc", ".vscode",
    ".xprofile", ".zlogin", ".zprofile", ".zshenv", ".zshrc",
})  # fmt: skip
"""What other programs run unasked: a hook, a setting that names a command. Who may change the files around them has not
allowed that, so no glob stands for them; a rule spells them out."""

Root = str | os.PathLike[str] | None
"""The folder that relative paths count from; None is the working directory."""


def resolve(path: str, root: Root) -> str | None:
    """The real path, `..` and links resolved; the file need not exist. None where that can't be said for sure.

    So for `~`, which some tools expand and some do not, and for `link/..`, which is another folder to a tool that
    tidies the text first.
    """
    if not path or len(path) > _LONGEST or path.startswith("~"):
        return None
    try:
        joined = os.path.join(root or "", path)  # noqa: PTH118 - a `Path` would tidy the text first
        real = os.path.realpath(joined)
        if ".." in path.split("/") and os.path.realpath(os.path.normpath(joined)) != real:
            return None
    except (OSError, ValueError):  # NUL, surrogates
        return None
    return real


class PathPattern:
    """A glob over real paths. What it says before its first star is its root, resolved once, when the rule is made.

    A link that is put in the place of the root afterwards is therefore not followed.
    """

    def __init__(self, pattern: str, root: Root) -> None:
        parts = pattern.split("/")
        fixed = list(takewhile(lambda part: literal(part) is not None, parts))
        prefix = "".join(f"{literal(part)}/" for part in fixed)
        self._pattern = pattern
        self._is_exact = len(fixed) == len(parts)
        self._glob = "/".join(parts[len(fixed) :])
        self._root = resolve(_at_home(prefix) or ".", root)
        self._written_root = os.path.normpath(prefix) if prefix.startswith("/") else None
        self._anywhere_below = self._glob == "**"
        self._fits = parts_matcher(self._glob)

    def matches(self, real: str | None, *, writes: bool = False) -> bool:
        """Whether a path that `resolve` gave lies where the pattern says.

        `writes` says that it is to be changed: then what other programs run has to be spelled out.
        """
        if real is None or not self._pattern or not self._is_below(self._root, real):
            return False
        return not (writes and self._root is not None and run_by_others(real, below=self._root))

    def hits(self, text: str, real: str | None) -> Literal["yes", "unclear", "no"]:
        """As a deny rule: by the path as written, too, and unclear for a path that could not be resolved."""
        written = os.path.normpath(text) if text else text
        if self.matches(real) or text_matcher(self._pattern)(text) or self._is_below(self._written_root, written):
            return "yes"
        return "no" if real is not None else "unclear"

    def _is_below(self, root: str | None, path: str) -> bool:
        if root is None:
            return False
        if self._is_exact or path == root:
            return path == root and (self._is_exact or self._anywhere_below)
        inside = root if root.endswith("/") else f"{root}/"
        if not path.startswith(inside):
            return False
        return self._anywhere_below or self._fits(path[len(inside) :])


def run_by_others(real: str, *, below: str) -> bool:
    """Whether a path below a folder is, or leads into, what other programs run unasked."""
    return any(part.casefold() in _RUN_BY_OTHERS for part in real[len(below) :].split("/"))


def _at_home(prefix: str) -> str:
    """In a rule, which a person writes, a leading `~/` is the home folder."""
    return os.path.expanduser(prefix) if prefix.startswith("~/") else prefix  # noqa: PTH111 - never raises


def folder_pattern(paths: list[str | None]) -> str | None:
    """The "always" rule for these real paths: the folder that holds them all, with everything below.

    A path that is a folder itself counts as that folder. None where the folder would be the root of the file system,
    the home folder or one above it, where a path is not known, or leads into what other programs run (`.git`).
    """
    known = [path for path in paths if path is not None]
    if not known or len(known) != len(paths):
        return None
    try:
        folders = [path if Path(path).is_dir() else os.path.dirname(path) for path in known]  # noqa: PTH120
        folder = os.path.commonpath(folders)
        home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111 - never raises
    except (OSError, ValueError):
        return None
    if any(run_by_others(path, below=folder) for path in known):
        return None
    if folder == "/" or home == folder or home.startswith(f"{folder}/"):
        return None
    return f"{escape(folder)}/**"


def patched_paths(patch: str) -> list[str] | None:
    """Every path that a patch (`*** Begin Patch …`) names; None for a text that is none, or that could be read two ways.

    Any line that begins with `***`, were it indented, has to be one the patch format knows: what this reads as
    content, no tool may read as a file name.
    """
    lines = [line.strip() for line in patch.split("\n")]
    marked = [line for line in lines if line.startswith("***")]
    if not marked or len(marked) != sum(line.strip().startswith("***") for line in patch.splitlines()):
        return None
    paths: list[str] = []
    for line in marked:
        if line in _MARKS:
            continue
        directive = _DIRECTIVE.fullmatch(line)
        if directive is None or _CONTROL.search(line):
            return None
        paths.append(directive["path"])
    return paths if 0 < len(paths) <= _MOST_PATCHED else None
