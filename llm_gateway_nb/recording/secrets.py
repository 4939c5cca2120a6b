"""Keys and tokens, taken out of what goes to a file.

What counts as one: the values of environment variables that are named like one, the keys that a model was made with, what
has the shape of a known service's token, what is assigned to a name like `API_KEY`, and private keys. A secret without any
such mark can't be told from other text: look at a recording before you publish it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["MARK", "Secrets"]

MARK = "[redacted]"

_SECRET_NAME = r"(?:api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d|credentials?|private[_-]?key)"
_NAMED = re.compile(rf"(?i)(?:^|[_\-.]){_SECRET_NAME}$|^authorization$|^proxy-authorization$|^x-api-key$|^cookie$")
_VARIABLE = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|CREDENTIALS?)$")
_LEAST = 8  # characters of a value that is searched for; shorter ones would be found everywhere

_SHAPES = re.compile(
    r"""
    \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,} | \bglpat-[A-Za-z0-9_-]{16,}
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,} | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b | \bAIza[A-Za-z0-9_-]{30,}
    | \bya29\.[A-Za-z0-9_-]{20,} | \bhf_[A-Za-z0-9]{20,} | \bgsk_[A-Za-z0-9]{20,} | \br8_[A-Za-z0-9]{20,}
    | \bnpm_[A-Za-z0-9]{20,} | \bpypi-AgE[A-Za-z0-9_-]{20,}
    | (?<=://)[^\s/:@"']+:[^\s/@"']+(?=@)                              # name and password in an address
    | (?i:\b(?:bearer|basic)[ \t]+)(?P<bearer>[A-Za-z0-9._~+/=-]{16,})
    | (?i:SECRETNAME["']?[ \t]*[:=][ \t]*)["'](?P<quoted>[^"'\s]{8,})["']
    | \b(?:[A-Z0-9]+_)*(?:KEY|TOKEN|SECRET|PASSWORD)=(?P<assigned>[^\s"'$;&|]{8,})
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    """.replace("SECRETNAME", _SECRET_NAME),
    re.VERBOSE | re.DOTALL | re.ASCII,  # ASCII: between a kana and a key there is a boundary
)
_RUN = re.compile(r"[A-Za-z0-9_-]{13,}", re.ASCII)
_KEY = re.compile(r"\b(?:sk|rk|pk)[-_](?=[A-Za-z0-9_-]{16})", re.ASCII)  # OpenAI, Anthropic, OpenRouter, Stripe
_WEB_TOKEN = re.compile(r"\beyJ(?=[A-Za-z0-9_-]{10})", re.ASCII)
_WEB_TOKEN_GOES_ON = re.compile(r"\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*", re.ASCII)
_DIGIT = re.compile(r"[0-9]")
_LETTERS = r"""[A-Za-z0-9_\-.~+/=:@"'\[\]]"""
_OPEN_END = re.compile(
    rf"""(?:(?i:bearer|basic|{_SECRET_NAME}["']?[ \t]*[:=])[ \t]*)?{_LETTERS}*\Z | -----BEGIN\ [A-Z\ -]*\Z""",
    re.VERBOSE,
)
_PEM_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_LONGEST = 400  # characters: how far back the end of a text is looked at for the start of a secret


class Secrets:
    """What is secret here, and now: the environment is read once."""

    def __init__(self, values: Iterable[str] = (), *, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._values: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.add(*(value for name, value in environment.items() if _VARIABLE.search(name)), *values)

    def add(self, *values: str | None) -> None:
        """Take these out, too; what is too short to be searched for is passed over."""
        new = {value for value in values if value and len(value) >= _LEAST} - self._values
        if new:
            self._values |= new
            self._known = re.compile(
                "|".join(re.escape(value) for value in sorted(self._values, key=len, reverse=True))
            )

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in the text there is a secret: (start, end), in order, none inside another."""
        found = [match.span() for match in self._known.finditer(text)] if self._known is not None else []
        for match in _SHAPES.finditer(text):
            inner = match.lastgroup
            found.append(match.span(inner) if inner else match.span())
        found += _in_runs(text)
        apart: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if apart and start < apart[-1][1]:
                apart[-1] = apart[-1][0], max(end, apart[-1][1])
            else:
                apart.append((start, end))
        return apart

    def redact(self, value: Any) -> Any:
        """A JSON value with the secrets in it replaced by `[redacted]`; a text under a secret's name goes as a whole."""
        match value:
            case str():
                return self._redact_text(value)
            case dict():
                return {
                    self._redact_text(key): MARK
                    if isinstance(item, str) and len(item) >= _LEAST and _NAMED.search(key)
                    else self.redact(item)
                    for key, item in value.items()
                }
            case list():
                return [self.redact(item) for item in value]
            case _:
                return value

    def _redact_text(self, text: str) -> str:
        if len(text) < _LEAST:
            return text
        spans = self.spans(text)
        for start, end in reversed(spans):
            text = f"{text[:start]}{MARK}{text[end:]}"
        return text

    def settled(self, text: str) -> int:
        """How many characters from the start no later text can make part of a secret."""
        pem = text.rfind("-----BEGIN ")
        if pem != -1 and "PRIVATE KEY-----" in text[pem : pem + 50] and not _PEM_END.search(text, pem):
            return pem
        offset = max(0, len(text) - _LONGEST)
        match = _OPEN_END.search(text, offset)
        at = match.start() if match is not None else len(text)
        for value in self._values:
            if (
                " " in value or "\n" in value or not value.isascii()
            ):  # all others are made of the letters above, or nearly
                at = min(at, _overlap(text, value))
        return at


def _in_runs(text: str) -> Iterator[tuple[int, int]]:
    """Keys whose letters may themselves hold the beginning of one.

    Not by one expression: it would begin anew at each of them, and a megabyte of base64 take minutes.
    """
    for run in _RUN.finditer(text):
        start, end = run.span()
        key = _KEY.search(text, start, end)
        if key is not None and _DIGIT.search(text, key.end(), end):
            yield key.start(), end
        token = _WEB_TOKEN.search(text, start, end)
        if token is not None and (rest := _WEB_TOKEN_GOES_ON.match(text, end)) is not None:
            yield token.start(), rest.end()


def _overlap(text: str, value: str) -> int:
    """Where the text ends in a beginning of the value."""
    for length in range(min(len(value) - 1, len(text)), 0, -1):
        if text.endswith(value[:length]):
            return len(text) - length
    return len(text)
