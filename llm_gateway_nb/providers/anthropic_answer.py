"""One answer of Anthropic's Messages API, put together from the raw events of its stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_gateway_nb.providers.base import Piece, ReasoningDelta, TextDelta, ToolCallPiece, Usage
from llm_gateway_nb.providers.sdk import parse_arguments

__all__ = ["Answer"]


@dataclass(slots=True)
class _Block:
    kind: str
    start: Mapping[str, Any]
    parts: list[str] = field(default_factory=list)
    signature: str = ""


class Answer:
    """One answer put together from its events."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._counted: dict[str, int] = {}
        self.stop_reason: str | None = None

    def start_block(self, index: int, block: Mapping[str, Any]) -> Piece | None:
        begun = self._blocks[index] = _Block(block["type"], block, signature=block.get("signature") or "")
        first = block.get("text" if begun.kind == "text" else "thinking")
        return self._more(begun, first) if first else None

    def add_delta(self, index: int, delta: Mapping[str, Any]) -> Piece | None:
        block = self._blocks.get(index)
        if block is None:
            return None
        match delta["type"]:
            case "text_delta":
                return self._more(block, delta["text"])
            case "thinking_delta":
                return self._more(block, delta["thinking"])
            case "input_json_delta":
                block.parts.append(delta["partial_json"])
            case "signature_delta":
                block.signature += delta["signature"]
            case _:
                pass
        return None

    def _more(self, block: _Block, text: str) -> Piece | None:
        block.parts.append(text)
        if not text:
            return None
        return TextDelta(text) if block.kind == "text" else ReasoningDelta(text)

    def count(self, usage: Mapping[str, Any] | None) -> None:
        """Later counts stand for earlier ones: the API sends running totals."""
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            if isinstance(number := (usage or {}).get(name), int):
                self._counted[name] = number

    def usage(self) -> Usage | None:
        """The API's `input_tokens` leave out what its cache gave and took; ours are the whole prompt."""
        counted = self._counted
        if "input_tokens" not in counted or "output_tokens" not in counted:
            return None
        read, created = counted.get("cache_read_input_tokens"), counted.get("cache_creation_input_tokens")
        return Usage(
            input_tokens=counted["input_tokens"] + (read or 0) + (created or 0),
            output_tokens=counted["output_tokens"],
            cache_read_tokens=read,
            cache_creation_tokens=created,
        )

    def calls(self) -> list[ToolCallPiece]:
        found = []
        for _, block in sorted(self._blocks.items()):
            if block.kind == "tool_use":
                text = "".join(block.parts)
                arguments = parse_arguments(text) if text else dict(block.start.get("input") or {})
                found.append(ToolCallPiece(id=block.start["id"], name=block.start["name"], arguments=arguments))
        return found

    def thoughts(self) -> list[dict[str, Any]]:
        """The blocks of thinking, as the API wants them back."""
        blocks: list[dict[str, Any]] = []
        for _, block in sorted(self._blocks.items()):
            if block.kind == "thinking":
                blocks.append({"type": "thinking", "thinking": "".join(block.parts), "signature": block.signature})
            elif block.kind == "redacted_thinking":
                blocks.append({"type": "redacted_thinking", "data": block.start["data"]})
        return blocks
