"""Why a call is asked about, in one plain sentence that begins "asked because: "."""

from __future__ import annotations

from collections.abc import Sequence

from llm_gateway_nb.permissions.rules import Rule
from llm_gateway_nb.permissions.shell import analyze
from llm_gateway_nb.permissions.subject import Subject, describe, kind_of

__all__ = ["why_asked"]


def why_asked(subject: Subject, rules: Sequence[Rule], hiding: Rule | None) -> str:
    """The first thing that keeps `rules` from covering the call.

    `hiding` is the deny rule whose command the call could hide, where there is one.
    """
    obstacle = _obstacle(subject)
    if hiding is not None:
        return f"asked because: {obstacle or 'its wording'}; it can't be told whether the deny rule {hiding} applies"
    candidates = [rule for rule in rules if rule.tool == subject.tool]
    if subject.beyond is not None:
        return f"asked because: {subject.beyond}"
    if not candidates:
        return f"asked because: no rule allows {subject}"
    if obstacle is not None and any(rule.command is not None for rule in candidates):
        return f"asked because: {obstacle}"
    command = subject.string("command")
    for part in analyze(command).commands if command is not None else ():
        patterns = [rule.command for rule in candidates if rule.command is not None]
        if patterns and not any(pattern.covers(part) for pattern in patterns):
            named = " ".join(word.value for word in part.words[: part.named])
            hint = f"; a rule has to spell out {named!r}" if named else ""
            return f"asked because: no rule covers {describe(candidates[0].tool, {'command': part.text})}{hint}"
    return f"asked because: no rule covers {subject}{_where_links_lead(subject)}"


def _obstacle(subject: Subject) -> str | None:
    command = subject.string("command")
    if command is None:
        return None
    analysis = analyze(command)
    return analysis.opaque or next((part.risk for part in analysis.commands if part.risk is not None), None)


def _where_links_lead(subject: Subject) -> str:
    for name in subject.arguments:
        path = subject.string(name)
        if path is None or kind_of(name) != "path":
            continue
        real = subject.real_path(path)
        if real is None:
            return ", whose place can't be told for sure"
        if path.startswith("/") and real != path.rstrip("/"):
            return f", which is {real!r}"
    return ""
