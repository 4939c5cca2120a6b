"""Rules made ready for use, and what a list of them says of a call. The patterns' meaning: see `match`."""

from __future__ import annotations

from collections.abc import Iterable

from llm_gateway_nb.permissions.commands import CommandPattern, Hit
from llm_gateway_nb.permissions.globs import literal, text_matcher
from llm_gateway_nb.permissions.paths import PathPattern, Root
from llm_gateway_nb.permissions.shell import analyze
from llm_gateway_nb.permissions.subject import Subject, describe, kind_of
from llm_gateway_nb.types.permissions import ToolPermission

__all__ = ["Rule", "covers", "first_hit"]

_COMMAND = "command"


class Rule:
    """A `ToolPermission` whose patterns are compiled and whose path roots are resolved, as of now."""

    def __init__(self, permission: ToolPermission, root: Root) -> None:
        self.permission = permission
        self.tool = permission.tool
        params = permission.params or {}
        self._literal = {name: literal(pattern) for name, pattern in params.items()}
        self._texts = {name: text_matcher(text) for name, text in params.items() if kind_of(name) in ("text", "patch")}
        self._paths = {name: PathPattern(text, root) for name, text in params.items() if kind_of(name) != "text"}
        self.command = CommandPattern(params[_COMMAND]) if _COMMAND in params else None
        self._paths.pop(_COMMAND, None)
        self._names_paths = bool(self._paths)
        # A key from a newer peer may be a condition that we do not understand: such a rule allows nothing.
        self._can_allow = not permission.model_extra

    def __str__(self) -> str:
        return describe(self.tool, self.permission.params)

    def allows_beside_command(self, subject: Subject) -> bool:
        """Whether it allows the call, its command left aside."""
        if not self._can_allow or self.tool != subject.tool or (subject.beyond is not None and not self._names_paths):
            return False
        return all(
            len(subject.spellings(name)) == 1 and (name == _COMMAND or self._allows_argument(name, subject))
            for name in self._literal
        )

    def is_exactly(self, subject: Subject) -> bool:
        """Whether it allows this very command and no other."""
        text = subject.text(_COMMAND)
        return text is not None and self.command is not None and self.command.is_exactly(text)

    def _allows_argument(self, name: str, subject: Subject) -> bool:
        text = subject.text(name)
        if text is None:
            return False
        kind = kind_of(name)
        if kind == "text":
            return self._texts[name](text)
        paths = subject.paths(name)
        real = [subject.real_path(path) for path in paths or ()]
        if not real or (kind == "path" and real == [None]):
            # No path can be read from it: only the exact value, or in a patch parameter that holds no patch, any.
            is_exact = self._literal[name] == text
            return is_exact or (kind == "patch" and "***" not in text and self._texts[name](text))
        if kind == "patch" and self._literal[name] == text:
            return True
        return all(self._paths[name].matches(path, writes=kind == "patch") for path in real)

    def hit(self, subject: Subject) -> Hit:
        """As a deny rule, whose unknown keys do not make it milder."""
        if self.tool != subject.tool:
            return "no"
        hits = [self._hit_argument(name, subject) for name in self._literal]
        return "no" if "no" in hits else "unclear" if "unclear" in hits else "yes"

    def _hit_argument(self, name: str, subject: Subject) -> Hit:
        hits = [self._hit_spelling(name, spelling, subject) for spelling in subject.spellings(name)]
        return "yes" if "yes" in hits else "unclear" if "unclear" in hits else "no"

    def _hit_spelling(self, name: str, spelling: str, subject: Subject) -> Hit:
        text = subject.text(spelling)
        if text is None:
            return "unclear"
        if name == _COMMAND and self.command is not None:
            return self.command.hits(text)
        if name in self._texts and self._texts[name](text):
            return "yes"
        if name not in self._paths:
            return "no"
        value = subject.string(spelling)
        paths = subject.paths(name if spelling == name else spelling) if value is not None else None
        if not paths:
            return "unclear"
        hits = [self._paths[name].hits(path, subject.real_path(path)) for path in paths]
        return "yes" if "yes" in hits else "unclear" if "unclear" in hits else "no"


def covers(rules: Iterable[Rule], subject: Subject) -> bool:
    """Whether these rules together allow the call: of a compound command, each part may have a rule of its own."""
    candidates = [rule for rule in rules if rule.allows_beside_command(subject)]
    if not candidates:
        return False
    patterns = [rule.command for rule in candidates if rule.command is not None]
    if len(patterns) < len(candidates):
        return True  # one of them does not mind the command
    text = subject.text(_COMMAND)
    if text is None or any(pattern.is_exactly(text) for pattern in patterns):
        return text is not None
    command = subject.string(_COMMAND)
    if command is None:
        return False
    analysis = analyze(command)
    if analysis.opaque is not None:
        return False
    return all(any(pattern.covers(part) for pattern in patterns) for part in analysis.commands)


def first_hit(rules: Iterable[Rule], subject: Subject) -> tuple[Rule | None, Hit]:
    """The deny rule that hits the call, or else one of which that is unclear."""
    unclear: Rule | None = None
    for rule in rules:
        hit = rule.hit(subject)
        if hit == "yes":
            return rule, "yes"
        if hit == "unclear":
            unclear = unclear or rule
    return unclear, "no" if unclear is None else "unclear"
