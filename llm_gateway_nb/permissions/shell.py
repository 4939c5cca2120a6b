"""A command as bash would take it apart: its simple commands, or the reason why it can't be told.

Plain is a list of simple commands across `|`, `&&`, `||` and `;`, of words that bash hands on as they stand, with
quotes, backslashes, file-name globs and `~` in arguments, and with redirections that touch no file (`2>&1`,
`>/dev/null`). Everything else is *opaque*, with a reason, and asks: substitutions and variables, other redirections,
here-documents, background jobs, newlines, comments, braces, assignments, negation, subshells, groups, functions, control
structures, what does not parse, and what two readers read differently. A plain command may still hold a simple command
that no pattern covers (`programs.risk_of`): wrappers such as `sudo`, `env`, `xargs`, `timeout` and `bash -c`, builtins
that change the shell (`cd` in front of others too), options that run programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import tree_sitter
import tree_sitter_bash

from llm_gateway_nb.permissions.programs import named_words, risk_of
from llm_gateway_nb.permissions.words import HARMLESS_REDIRECTION, Word, dequote, read_simply

__all__ = ["Analysis", "SimpleCommand", "analyze"]

_LANGUAGE = tree_sitter.Language(tree_sitter_bash.language())
_LONGEST = 10_000  # characters; nobody reads more before saying yes, and error recovery takes time
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HARMLESS = re.compile(HARMLESS_REDIRECTION)

_TRANSPARENT = frozenset({"program", "list", "pipeline", "redirected_statement", "|", "&&", "||", ";"})
_WORDS = frozenset({"command_name", "word", "number", "string", "raw_string", "concatenation"})
_QUOTED = frozenset({"string_content", '"'})
_REASONS = {
    "&": "a background job",
    "ERROR": "a part that does not parse as bash",
    "ansi_c_string": "a $'…' string",
    "arithmetic_expansion": "an arithmetic expansion",
    "brace_expression": "a brace expansion",
    "c_style_for_statement": "a loop",
    "case_statement": "a control structure",
    "command_substitution": "a command substitution",
    "comment": "a comment",
    "compound_statement": "a group of commands",
    "declaration_command": "a command that sets variables",
    "expansion": "a variable, whose value is not known here",
    "file_redirect": "redirection to a file",
    "for_statement": "a loop",
    "function_definition": "a function definition",
    "heredoc_redirect": "a here-document",
    "herestring_redirect": "a here-string",
    "if_statement": "a control structure",
    "negated_command": "a negated command",
    "process_substitution": "a process substitution",
    "simple_expansion": "a variable, whose value is not known here",
    "subshell": "a subshell",
    "test_command": "a shell test",
    "unset_command": "a command that unsets variables",
    "variable_assignment": "an assignment in front of a command",
    "variable_assignments": "an assignment",
    "while_statement": "a loop",
    "|&": "a pipe that takes errors along",
}


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """A program and its arguments. `text` has the quotes, `words` the values."""

    text: str
    words: tuple[Word, ...]
    risk: str | None = None
    """Why no pattern covers it, whatever it says; None if one may."""
    named: int = 0
    """How many leading words a rule has to spell out."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a command consists of. Where `opaque` is a reason, `commands` are only those that could be seen in it."""

    commands: tuple[SimpleCommand, ...]
    opaque: str | None = None
    seen_whole: bool = False
    """Whether `commands` are all that would run; so for a plain command, and where only a redirection is in the way."""


@lru_cache(maxsize=256)
def analyze(command: str) -> Analysis:
    """Take a command apart. Never raises; what it can't tell is opaque."""
    if len(command) > _LONGEST:
        return Analysis((), f"a command of more than {_LONGEST} characters")
    if _CONTROL.search(command):
        return Analysis((), "control characters or broken text")
    tree = tree_sitter.Parser(_LANGUAGE).parse(command.encode())
    found, reason = _walk(tree.root_node)
    commands = tuple(_simple(words, alone=len(found) == 1) for words in found)
    if "\n" in command:
        reason = "a newline"
    elif reason is None and tree.root_node.has_error:
        reason = _REASONS["ERROR"]
    elif reason is None and not found:
        reason = "an empty command"
    elif reason is None and read_simply(command) != found:
        spelling = "braces" if "{" in command else "a spelling that could be read in two ways"
        reason = next((simple.risk for simple in commands if simple.risk), spelling)
    seen_whole = reason is None or (
        reason == _REASONS["file_redirect"] and read_simply(command, with_files=True) == found
    )
    return Analysis(commands, reason, seen_whole)


def _simple(raw: list[str], *, alone: bool) -> SimpleCommand:
    words = tuple(dequote(word) for word in raw)
    values = [word.value for word in words]
    risk = risk_of(values, [word.expands for word in words], alone=alone)
    return SimpleCommand(" ".join(raw), words, risk, named_words(values))


def _walk(root: tree_sitter.Node) -> tuple[list[list[str]], str | None]:
    """Every `command` node in source order, and what makes the whole opaque, if anything does.

    A loop with a stack of its own: nesting may be deeper than Python recurses.
    """
    commands: list[list[str]] = []
    reason: str | None = None
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type == "command":
            words = [_text(child) for child in node.children if child.type in _WORDS]
            if words:
                commands.append(words)
        elif node.type == "file_redirect":
            if not _HARMLESS.fullmatch(_text(node)):
                reason = reason or _REASONS["file_redirect"]
            # Its own marks (`2`, `>&`) are no offence, a substitution in its target is worth naming.
            stack.extend(child for child in _children(node) if child.type in _REASONS)
            continue
        elif node.type not in _TRANSPARENT and node.type not in _WORDS and node.type not in _QUOTED:
            reason = reason or _REASONS.get(node.type) or "something other than plain commands"
        stack.extend(_children(node))
    return commands, reason


def _children(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    return reversed(node.children)


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode(errors="replace")
