"""What a model says token by token, told as pieces: reasoning apart from the answer, and no further than a stop text."""

from __future__ import annotations

from collections.abc import Sequence

from llm_gateway_nb.providers.base import ReasoningDelta, TextDelta
from llm_gateway_nb.providers.engine import Turn

__all__ = ["Spoken"]

_OPEN, _CLOSE = "<think>", "</think>"


class Spoken:
    """Takes text in any cuts. A `<think>` block at the very beginning is reasoning.

    Args:
        stop: texts at which the answer ends, without them.
        thinking: the prompt has opened the block already.
    """

    def __init__(self, turn: Turn, stop: Sequence[str] = (), *, thinking: bool = False) -> None:
        self.stopped = False
        self._turn = turn
        self._stop = [text for text in stop if text]
        self._mode = "thinking" if thinking else "start"  # then answer
        self._held = ""
        self._after_mark = False  # the line breaks there are of nobody

    def feed(self, text: str) -> None:
        """Take some more; what may be the beginning of a mark is held back."""
        if self.stopped or not text:
            return
        self._held += text
        if self._mode == "start":
            begin = self._held.lstrip()
            if begin.startswith(_OPEN):
                self._mode, self._held, self._after_mark = "thinking", begin.removeprefix(_OPEN), True
            elif not _OPEN.startswith(begin):
                self._mode = "answer"
        self._skip_line_breaks()
        if self._mode == "thinking":
            thought, closed, rest = self._held.partition(_CLOSE)
            if closed:
                self._tell(ReasoningDelta, thought)
                self._mode, self._held, self._after_mark = "answer", rest, True
                self._skip_line_breaks()
            else:
                self._tell(ReasoningDelta, self._said(_CLOSE))
        if self._mode == "answer":
            found = [at for text in self._stop if (at := self._held.find(text)) >= 0]
            if found:
                self._tell(TextDelta, self._held[: min(found)])
                self._held, self.stopped = "", True
            else:
                self._tell(TextDelta, self._said(*self._stop))

    def close(self) -> None:
        """The model has ended: what was held back was no mark."""
        kind = ReasoningDelta if self._mode == "thinking" else TextDelta
        self._tell(kind, self._held)
        self._held = ""

    def _skip_line_breaks(self) -> None:
        if self._after_mark:
            self._held = self._held.lstrip("\n")
            self._after_mark = not self._held

    def _said(self, *marks: str) -> str:
        """Takes what can't be the beginning of one of `marks`."""
        held = self._held
        longest = max((size for mark in marks for size in range(1, len(mark)) if held.endswith(mark[:size])), default=0)
        said, self._held = held[: len(held) - longest], held[len(held) - longest :]
        return said

    def _tell(self, kind: type[TextDelta] | type[ReasoningDelta], text: str) -> None:
        if text:
            self._turn.tell(kind(text))
