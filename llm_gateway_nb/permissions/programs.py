"""Two questions about one simple command, answered from the tables of programs.

`risk_of`: why no pattern may cover it. `named_words`: how many of its leading words a rule has to spell out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from posixpath import basename

from llm_gateway_nb.permissions.program_tables import (
    BUILTINS,
    CODE_RUNNERS,
    GIT_OPTIONS,
    GIVEN_COMMANDS,
    OPTIONS,
    RESERVED,
    RUNS_OTHERS,
    SUBCOMMANDS,
)

__all__ = ["is_code_runner", "named_words", "risk_of"]

_REMOTE_ARCHIVE = re.compile(r"^[^/]*[\w\]]:")
_PROGRAM = re.compile(r"[\w./+@-]+", re.ASCII)
_INTERPRETER_VERSION = re.compile(r"[\d.]+$")


def _is_risky_option(word: str, risky: frozenset[str]) -> str | None:
    """The option of `risky` that `word` gives: in full, abbreviated (`--upl`), or in a bundle (`-xI`)."""
    name = word.partition("=")[0]
    if name in risky:
        return name
    if name.startswith("--"):
        return next((option for option in sorted(risky) if len(name) > 2 and option.startswith(name)), None)
    letters = {option[1] for option in risky if len(option) == 2}
    found = letters.intersection(name[1:]) if name.startswith("-") else None
    return f"-{min(found)}" if found else None


def is_code_runner(base: str) -> bool:
    """Whether the program of this name, its version left aside (`python3.12`), runs code that it is given."""
    return base in CODE_RUNNERS or _INTERPRETER_VERSION.sub("", base) in CODE_RUNNERS  # python3.12


def risk_of(words: Sequence[str], expands: Sequence[bool], *, alone: bool) -> str | None:
    """Why no pattern may cover this simple command, as the rest of "asked because: "; None if one may.

    `words` are without their quotes; `expands` says which of them bash turns into file names. `alone` is True where the
    simple command is the whole command.
    """
    program = words[0]
    if expands[0] or not _PROGRAM.fullmatch(program):
        return f"a program whose name is not plain, {program!r}"
    base = basename(program)
    if program in RESERVED or (program in BUILTINS and not (program == "cd" and alone)):
        return f"{program!r} changes the shell or runs its arguments"
    if base in RUNS_OTHERS or base.startswith("ld-linux") or _INTERPRETER_VERSION.sub("", base) in RUNS_OTHERS:
        return f"{base!r} runs other programs"
    if base == "git" and len(words) > 1 and words[1].startswith("-") and words[1] != "--version":
        return f"the option {words[1]!r} in front of git's subcommand"
    risky = OPTIONS.get(base)
    if risky is None:
        return None
    if base == "git" and len(words) > 1:
        risky |= GIT_OPTIONS.get(words[1], frozenset())
    return _risky_argument(base, words, expands, risky)


def _risky_argument(base: str, words: Sequence[str], expands: Sequence[bool], risky: frozenset[str]) -> str | None:
    bundled = [f"-{words[1]}"] if base == "tar" and len(words) > 1 and not words[1].startswith("-") else []
    for word in [*words[1:], *bundled]:  # `tar xIf` is `tar -x -I -f`
        option = _is_risky_option(word, risky)
        if option is not None:
            return f"the option {option!r} of {base!r} runs programs or writes files"
        if base == "git" and ("ext::" in word or "://-" in word):
            return "a git address that runs a program"
        if base == "tar" and _REMOTE_ARCHIVE.search(word):
            return "an archive on another host, which 'tar' runs a program for"
    if base == "uniq" and sum(word == "-" or not word.startswith("-") for word in words[1:]) > 1:
        return "the second file of 'uniq', which it overwrites"
    for word, does_expand in zip(words, expands, strict=True):
        if does_expand and word[:1] in ("*", "?", "[", "-"):
            return f"the file names of {word!r} could be read as options of {base!r}"
    return None


def named_words(words: Sequence[str]) -> int:
    """How many leading words a rule must spell out, where a star there would say more than it seems to.

    An interpreter has to be named. So have a git subcommand that is an alias or sets what others run, and subcommands
    that run what they are given, wherever they stand: `npm --silent exec sh`.
    """
    base = basename(words[0])
    if is_code_runner(base):
        return 1
    if base == "git" and len(words) > 1 and words[1] not in SUBCOMMANDS["git"]:
        return 2
    given = GIVEN_COMMANDS.get(base, frozenset()).intersection(words[1:])
    return words.index(min(given, key=words.index)) + 1 if given else 0
