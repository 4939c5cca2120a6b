"""What a turn puts out, in order and within bounds."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Collector", "Message", "Outcome", "Piece", "ReplResult", "clipped", "report_of", "without_ansi"]

Message = dict[str, Any]
"""A Jupyter message, or the content of one."""

Outcome = Literal["done", "interrupted", "killed", "died"]
"""How a turn ended: by itself; stopped at its limit, with the process alive or not; or the process was lost in it."""

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@dataclass(frozen=True, slots=True)
class Piece:
    """Something put out: text of a stream, or a mime bundle."""

    kind: Literal["stdout", "stderr", "mime"]
    text: str = ""
    bundle: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplResult:
    """What came of one turn.

    Attributes:
        stdout, stderr: the text; of much, the beginning and the end, with a mark between.
        mime: rich results, each a Jupyter mime bundle, in order; what a cell would show.
        error: the traceback as a cell shows it, with its colours; or why the turn was stopped. None if all went well.
        answer: what `FINAL` was called with, where there is a `FINAL` and the turn ended without an error.
        truncated: whether output was left out.
        duration_ms: how long it took.
        restarted: the process was lost, and the next turn begins in a new one; `error` says what was lost.
    """

    stdout: str = ""
    stderr: str = ""
    mime: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    answer: str | None = None
    truncated: bool = False
    duration_ms: float = 0.0
    restarted: bool = False

    @property
    def plain(self) -> list[str]:
        """The rich results as text: their plain side, or the name of their kind."""
        return [str(bundle.get("text/plain") or f"[{next(iter(bundle), 'display')}]") for bundle in self.mime]


class Collector:
    """Takes the messages of one turn, passes each piece on as it comes, and keeps them for the result."""

    def __init__(self, limit: int, on_output: Callable[[Piece], None] | None) -> None:
        self._limit = limit
        self._on_output = on_output
        self._text: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._tails: dict[str, deque[str]] = {"stdout": deque(), "stderr": deque()}
        self._lost = {"stdout": 0, "stderr": 0}
        self._size = 0
        self.mime: list[dict[str, Any]] = []
        self._by_display: dict[str, int] = {}
        self._clear_next = False
        self.error: str | None = None
        self.truncated = False

    def take(self, message: dict[str, Any]) -> None:
        """One message of the kernel's."""
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                self._stream(content["name"], content["text"])
            case "display_data" | "execute_result":
                self._show(content)
            case "update_display_data":
                place = self._by_display.get((content.get("transient") or {}).get("display_id", ""))
                if place is not None and place < len(self.mime):
                    self.mime[place] = content["data"]
            case "clear_output":
                self._clear_next = True
            case "error":
                self.error = "\n".join(content["traceback"]) or f"{content['ename']}: {content['evalue']}"
            case _:
                pass

    def text(self, name: str) -> str:
        """What a stream said so far."""
        tail = "".join(self._tails[name])[-self._limit // 2 :]
        lost = self._lost[name] - len(tail)
        mark = f"\n[… {lost} characters left out …]\n" if lost > 0 else ""
        return "".join(self._text[name]) + mark + tail

    def _stream(self, name: str, text: str) -> None:
        if name not in self._text:
            return
        # A kernel of ours keeps to its bounds; this is for code that runs elsewhere, or that gets round them.
        if self._size > 2 * self._limit + 1000:
            self.truncated = True
            tail = self._tails[name]
            tail.append(text[-self._limit :])
            self._lost[name] += len(text)
            while sum(map(len, tail)) - len(tail[0]) >= self._limit // 2:
                tail.popleft()
            return
        self._size += len(text)
        self._text[name].append(text)
        self._say(Piece(name, text))  # type: ignore[arg-type]  # one of the two

    def _show(self, content: dict[str, Any]) -> None:
        if self._clear_next:  # an animation: its last picture is what stays
            self.mime.clear()
            self._clear_next = False
        display_id = (content.get("transient") or {}).get("display_id")
        if display_id is not None:
            self._by_display[display_id] = len(self.mime)
        self.mime.append(content["data"])
        self._say(Piece("mime", bundle=content["data"]))

    def _say(self, piece: Piece) -> None:
        if self._on_output is not None:
            self._on_output(piece)


def report_of(reply: Message) -> dict[str, Any]:
    """What the child's own report says; empty after an error."""
    shown = reply.get("user_expressions", {}).get("report", {})
    report = shown.get("data", {}).get("application/json", {})
    return report if isinstance(report, dict) else {}


def clipped(text: str, limit: int) -> str:
    """Text of at most `limit` characters as it is; of more, the beginning and the end, with a mark between."""
    if len(text) <= limit:
        return text
    head, tail = limit - limit // 2, limit // 2
    return f"{text[:head]}\n[… {len(text) - limit} characters left out …]\n{text[len(text) - tail :]}"


def without_ansi(text: str) -> str:
    """Text without colours."""
    return _ANSI.sub("", text)
