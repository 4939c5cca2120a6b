"""What a small model writes in the envelope of `envelope.py`, read while it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from pydantic_core import from_json

from llm_gateway_nb.providers.base import Piece, TextDelta, ToolCallPiece
from llm_gateway_nb.types import new_id

__all__ = ["EnvelopeParser"]

_ANSWER = re.compile(r'\s*\{\s*"answer"\s*:\s*"')
_ARGUMENTS = re.compile(r'"arguments"\s*:\s*(.*)', re.DOTALL)
_UNIT = re.compile(r'[^"\\]+|\\u[0-9a-fA-F]{4}|\\[^u]', re.DOTALL)
_CUT_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{0,3})?\Z")
_HIGH_SURROGATE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class EnvelopeParser:
    """Takes text in any pieces and gives `TextDelta`s and `ToolCallPiece`s. It never raises: text that is no envelope
    comes out as it went in.

    Args:
        tools: the names that were offered.
    """

    def __init__(self, tools: Collection[str]) -> None:
        self._tools = tools
        self._held = ""
        self._mode = "start"  # then answer and done, or text; a call is read at the end

    def feed(self, text: str) -> list[Piece]:
        """Take some more; gives what can be said by now."""
        self._held += text
        if self._mode == "start":
            if begun := _ANSWER.match(self._held):
                self._mode, self._held = "answer", self._held[begun.end() :]
            elif self._held.lstrip()[:1] not in ("", "{"):
                self._mode = "text"
        match self._mode:
            case "answer":
                return _said(self._read_answer())
            case "text":
                text, self._held = self._held, ""
                return _said(text)
            case "done":
                self._held = ""
        return []

    def close(self) -> list[Piece]:
        """The model has ended; gives what was held back: a call, or the last of a text that was cut off."""
        held, self._held = self._held, ""
        match self._mode:
            case "answer":
                # Half an escape, or half of a pair: the rest will never come.
                return _said("\N{REPLACEMENT CHARACTER}" if _HIGH_SURROGATE.match(held) else "")
            case "start":
                return self._read_object(held)
        return []

    def _read_answer(self) -> str:
        held, position, said = self._held, 0, []
        while position < len(held):
            if unit := _UNIT.match(held, position):
                high = _HIGH_SURROGATE.fullmatch(unit[0])
                if high and (unit.end() == len(held) or _CUT_ESCAPE.match(held, unit.end())):
                    break  # half of a pair: the other half is on its way
                said.append(_unescaped(unit[0]))
                position = unit.end()
            elif held[position] == '"':
                self._mode, position = "done", len(held)
            elif _CUT_ESCAPE.match(held, position):
                break
            else:  # a broken escape stands for itself
                said.append(held[position])
                position += 1
        self._held = held[position:]
        return _paired("".join(said))

    def _read_object(self, text: str) -> list[Piece]:
        if not text.strip():
            return []
        try:
            value: Any = json.loads(text, strict=False)
            whole = True
        except (ValueError, RecursionError):
            whole = False
            try:
                value = from_json(text, allow_partial="trailing-strings")
            except ValueError:
                value = None
        if not isinstance(value, dict):
            return _said(text)
        name = value.get("tool")
        if isinstance(name, str) and (whole or name in self._tools):
            arguments = value.get("arguments")
            if whole and isinstance(arguments, dict):
                return [ToolCallPiece(new_id(), name, arguments)]
            written = _ARGUMENTS.search(text)
            return [ToolCallPiece(new_id(), name, written[1] if written else "")]
        if "answer" in value:
            answer = value["answer"]
            return _said(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))
        return _said(text)


def _said(text: str) -> list[Piece]:
    return [TextDelta(text)] if text else []


def _unescaped(unit: str) -> str:
    if not unit.startswith("\\"):
        return unit
    return chr(int(unit[2:], 16)) if unit[1] == "u" else _ESCAPES.get(unit[1], unit[1])


def _paired(text: str) -> str:
    """`text` with surrogate pairs joined and lone ones replaced: what UTF-8 can carry."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
