"""Does a rule cover a call? Pure functions of the call, the rules and what the paths resolve to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from llm_gateway_nb.permissions.paths import Root
from llm_gateway_nb.permissions.rules import Rule, covers, first_hit
from llm_gateway_nb.permissions.subject import Subject
from llm_gateway_nb.types.permissions import DeniedCall, Permissions, ToolPermission
from llm_gateway_nb.types.tools import ToolCall

ModelT = TypeVar("ModelT", ToolPermission, Permissions)

__all__ = ["denied_by_id", "matches_permission", "matches_permissions"]


def matches_permission(
    call: ToolCall | Mapping[str, Any],
    permission: ToolPermission | Mapping[str, Any],
    *,
    root: Root = None,
) -> bool:
    r"""Whether one rule allows a call. Never raises; what is malformed does not match.

    The tool's name has to be the same, letter by letter. Every parameter that the rule names has to be among the
    arguments, and its value, as text (`42`, `true`, a list as JSON), has to match the pattern. Arguments that the rule
    does not name are free. A rule with keys that we do not know matches nothing. `root` is the folder that relative
    paths count from, in the rule and in the call; the working directory if not given.

    How a pattern is read depends on the parameter's name, in any tool:

    ====================  ============================  ===========================  ==================================
    in a pattern          any parameter                 `command`                    `path`, `filePath`, `patch`
    ====================  ============================  ===========================  ==================================
    (the whole)           the value's text              word by word, for every      the real path (`..` and links
                                                        simple command in it         resolved); all paths of a patch
    `*`                   any text, also none, also     within one word; `/` too     any name, or part of one; not `/`
                          with `/`
    `*` as last word      -                             any further words or none    -
    `**`                  as `*`                        as `*`                       any folders, also none
    `?`                   one character                 one character of a word      one character, not `/`
    `[ab]` `[!ab]`        one of, one not of            the same                     the same, not `/`
    `\*` `\?` `\[` `\\`   that character                that character               that character
    `! { } ( ) ~ | ,`     themselves                    themselves                   themselves; a leading `~/` is home
    leading `./`          itself                        itself: `./a` is not `a`     the root folder
    leading `.` in names  nothing special               nothing special              nothing special: `*` matches `.a`
    empty                 the empty text only           the empty command only       the empty text only
    no active glob        exactly this text             exactly these words, or      exactly this real path
                                                        this very command
    ====================  ============================  ===========================  ==================================

    Commands: see `shell` for what is plain and for what asks whatever the rule (`git *` does not cover
    `git log && curl x | sh`, `git log > f` or `git -c core.pager=x log`). A rule that is the whole command, with its glob
    characters escaped, covers that very command, whatever it is made of. A word that bash expands is only covered by
    a closing `*`; a glob with a `/` in it covers no word with `..`.

    Paths: the part before the first glob is the rule's root, and a value has to lie under it after all links are
    resolved. In a patch, no glob stands for what other programs run by themselves (`.git`, `.ssh`, `.vscode`, …): a rule
    spells it out. A `~` at the start of a value, and a `..` behind a link, match nothing but their exact text.
    """
    rule = _read(ToolPermission, permission)
    if rule is None:
        return False
    return covers([Rule(rule, root)], Subject(call, root))


def matches_permissions(
    call: ToolCall | Mapping[str, Any],
    permissions: Permissions | Mapping[str, Any] | None,
    *,
    root: Root = None,
) -> bool:
    """Whether these permissions allow a call without asking. Looks only: no `allow_once` is used up.

    A compound command may be covered part by part by several rules. What `deny` hits, by id or pattern, is not allowed;
    nor is a command in which something denied could hide. None allows nothing.
    """
    checked = _read(Permissions, permissions)
    if checked is None:
        return False
    subject = Subject(call, root)
    deny = [Rule(rule, root) for rule in checked.deny or () if isinstance(rule, ToolPermission)]
    if denied_by_id(checked, subject, None) is not None or first_hit(deny, subject)[0] is not None:
        return False
    allowlist = [Rule(rule, root) for rule in checked.allowlist or ()]
    once = [Rule(rule, root) for rule in checked.allow_once or ()]
    return covers(allowlist, subject) or any(covers([*allowlist, rule], subject) for rule in once)


def denied_by_id(permissions: Permissions | None, subject: Subject, call_id: str | None) -> DeniedCall | None:
    """The entry of `deny` that names this call, by its raw id or as `<runId>/<rawId>`."""
    ids = {subject.id, call_id, call_id.partition("/")[2] if call_id else None} - {None, ""}
    entries = (permissions.deny if permissions else None) or ()
    return next((entry for entry in entries if isinstance(entry, DeniedCall) and entry.tool_call_id in ids), None)


def _read(model: type[ModelT], value: object) -> ModelT | None:
    if isinstance(value, model):
        return value
    try:
        return model.model_validate(value)
    except (ValidationError, RecursionError):
        return None
