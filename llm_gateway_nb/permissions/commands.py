"""Patterns for commands: what one covers as an allow rule, and what it hits as a deny rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from posixpath import basename
from typing import Literal

from llm_gateway_nb.permissions.globs import literal, text_matcher
from llm_gateway_nb.permissions.program_tables import RUNS_OTHERS
from llm_gateway_nb.permissions.shell import Analysis, SimpleCommand, analyze

__all__ = ["CommandPattern", "Hit"]

Hit = Literal["yes", "unclear", "no"]
"""Whether a deny rule hits. Unclear is a command in which what it denies could hide: that one is never allowed unasked."""

_TOKEN = re.compile(r"(?:\\.|[^\\\s]|\\$)+", re.DOTALL)
_SHELL_SPECIAL = re.compile(r"""['"$`;&|<>(){}\n]""")
_FREE = ("*", "**")


class CommandPattern:
    """`git status *`: words to match one by one, and whether more may follow."""

    def __init__(self, pattern: str) -> None:
        tokens: list[str] = _TOKEN.findall(pattern)
        self.free = bool(tokens) and tokens[-1] in _FREE
        if self.free:
            tokens.pop()
        self._exact = literal(pattern)
        self._literals = [literal(token) for token in tokens]
        self._matchers = [text_matcher(token) for token in tokens]
        self._confined = [text is None and "/" in token for text, token in zip(self._literals, tokens, strict=True)]
        self._spelled_out = next((at for at, text in enumerate(self._literals) if text is None), len(tokens))
        # The exact call of a command with quotes or operators: its text counts, and its pieces mean nothing alone.
        self._only_exact = not (tokens or self.free) or (self._exact is not None and _has_special(self._exact))
        self._whole = text_matcher(pattern)

    def is_exactly(self, command: str) -> bool:
        """True where the pattern is this very command: a person has seen it, whatever it is made of."""
        return self._exact is not None and command == self._exact

    def covers(self, command: SimpleCommand) -> bool:
        """True if this simple command may run, as far as this rule goes."""
        if command.risk is not None:
            return False
        if self._exact is not None and command.text == self._exact:
            return True
        words = command.words
        count = len(self._matchers)
        if self._only_exact or len(words) < count or (len(words) > count and not self.free):
            return False
        if command.named > self._spelled_out:
            return False
        for word, matches, confined in zip(words, self._matchers, self._confined, strict=False):
            if word.expands or not matches(word.value) or (confined and ".." in word.value.split("/")):
                return False
        return True

    def hits(self, command: str) -> Hit:
        """As a deny rule: it errs towards hitting, and needs no star at its end.

        The program may be given with its folder, and the command may stand anywhere: in a substitution, behind `sudo`.
        """
        if self._whole(command):
            return "yes"
        analysis = analyze(command)
        if any(self._hits_words([word.value for word in simple.words]) for simple in analysis.commands):
            return "yes"
        return "unclear" if self._may_hide_in(analysis) else "no"

    def _hits_words(self, words: Sequence[str]) -> bool:
        starts = range(len(words)) if basename(words[0]) in RUNS_OTHERS else range(1)
        return any(self._is_prefix_of(words[start:]) for start in starts)

    def _is_prefix_of(self, words: Sequence[str]) -> bool:
        if len(words) < len(self._matchers):
            return False
        pairs = list(zip(words, self._matchers, strict=False))
        return all(matches(word) or (at == 0 and matches(basename(word))) for at, (word, matches) in enumerate(pairs))

    def _may_hide_in(self, analysis: Analysis) -> bool:
        if not analysis.seen_whole:
            return True
        for simple in analysis.commands:
            if simple.risk is not None or any(word.expands for word in simple.words[: len(self._matchers)]):
                return True
            rest = iter(word.value for word in simple.words)  # `git -P push` still has `git push` in it
            if all(any(matches(word) or matches(basename(word)) for word in rest) for matches in self._matchers):
                return True
        return False


def _has_special(text: str) -> bool:
    return _SHELL_SPECIAL.search(text) is not None or "\\" in text
