"""The lines of a recording, on their way to the file: redacted, compact, and each one whole.

A secret may come in pieces, a few letters a delta. So a line waits until nothing that follows can make its end part of a
secret: in prose that is one word. Lines keep their order; a crash costs the word that was being said.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.recording.secrets import MARK, Secrets

__all__ = ["EVENT_KEYS", "LineWriter", "delta_of"]

EVENT_KEYS = ("event", "answer")
"""The keys of a line that hold an event: one that everybody saw, and one that the harness kept to itself."""

_MOST = 8192  # characters that wait at most
_open_files: set[Path] = set()


@dataclass(slots=True)
class _Line:
    data: dict[str, Any]
    ready: bool = False


@dataclass(slots=True)
class _Tail:
    """The end of a stream of text that may still become part of a secret."""

    run_id: str
    parent_id: str | None
    text: str = ""
    parts: list[tuple[_Line, int]] = field(default_factory=list)


def delta_of(event: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """Where in an event's wire form the text is that goes on in the next one: the dict and the key."""
    match event:
        case {"type": "text" | "reasoning", "content": str()}:
            return event, "content"
        case {"type": "repl_progress", "chunk": str()}:
            return event, "chunk"
        case {"type": "tool_progress", "content": str()}:
            return event, "content"
        case {"type": "tool_progress", "content": {"text": str()} as content}:
            return content, "text"
        case _:
            return None


class LineWriter:
    """One file, begun anew when it is first opened, and added to when it is opened again."""

    def __init__(self, path: str | Path, secrets: Secrets) -> None:
        self._path = Path(path).absolute()
        self._secrets = secrets
        self._queue: deque[_Line] = deque()
        self._tails: dict[tuple[Any, ...], _Tail] = {}
        self._last: tuple[Any, ...] | None = None
        self._file: IO[str] | None = None
        self._size: int | None = None

    def open(self) -> None:
        """
        Raises:
            ConfigurationError: the file can't be written, is being written by another run, or was changed meanwhile.
        """
        shown = str(self._path)
        if self._path in _open_files:
            raise ConfigurationError(f"Another run is being recorded to {shown!r}; give this one a file of its own.")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._size is not None and (not self._path.exists() or self._path.stat().st_size != self._size):
                raise ConfigurationError(f"{shown!r} was changed since the last run was recorded to it: record anew.")
            mode = "w" if self._size is None else "a"
            self._file = self._path.open(mode, encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigurationError(f"{shown!r} can't be written: {error.strerror or error}.") from error
        _open_files.add(self._path)

    def put(self, line: dict[str, Any]) -> None:
        """Take a line of JSON values. The dict is the writer's from now on. After the end, it is too late for any."""
        if self._file is None:
            return
        event = next((line[key] for key in EVENT_KEYS if key in line), None)
        delta = delta_of(event) if event is not None else None
        if event is None or delta is None:
            if event is not None:
                self.settle(event["runId"])
            self._queue.append(_Line(self._secrets.redact(line), ready=True))
        else:
            self._put_delta(line, event, delta)
        self._drain()

    def settle(self, run_id: str) -> None:
        """The run, and the model calls right below it, say nothing more in the texts that they were at."""
        for key, tail in list(self._tails.items()):
            if run_id in (tail.run_id, tail.parent_id):
                self._finish(tail, len(tail.text))
                del self._tails[key]

    def close(self) -> None:
        """Write what waits, and let the file go. Closing twice is fine."""
        if self._file is None:
            return
        for tail in self._tails.values():
            self._finish(tail, len(tail.text))
        self._tails.clear()
        self._drain()
        self._file.close()
        self._file, self._last, self._size = None, None, self._path.stat().st_size
        _open_files.discard(self._path)

    def _put_delta(self, data: dict[str, Any], event: dict[str, Any], delta: tuple[dict[str, Any], str]) -> None:
        content, text_key = delta
        if content is not event:  # what a tool reports beside the text
            for name in content.keys() - {text_key}:
                content[name] = self._secrets.redact(content[name])
        line = _Line(data)
        self._queue.append(line)
        key = (event["type"], event["runId"], event.get("toolCallId", event.get("replId", event.get("id"))))
        tail = self._tails.get(key)
        if tail is None:
            tail = self._tails[key] = _Tail(event["runId"], event.get("parentId"))
        tail.text += content[text_key]
        tail.parts.append((line, len(tail.text)))
        settled = len(tail.text) if len(tail.text) > _MOST else self._secrets.settled(tail.text)
        if settled:
            self._finish(tail, settled)
        if not tail.parts:
            del self._tails[key]

    def _finish(self, tail: _Tail, settled: int) -> None:
        """Redact and let go the deltas that lie whole in the settled part of the text."""
        spans = self._secrets.spans(tail.text)
        # A secret that reaches into what is not settled may go on: it waits as a whole.
        settled = min([settled, *(first for first, last in spans if last > settled)])
        ends = [end for _, end in tail.parts if end <= settled and not any(a < end < b for a, b in spans)]
        if not ends:
            return
        upto = ends[-1]
        start = 0
        while tail.parts and tail.parts[0][1] <= upto:
            line, end = tail.parts.pop(0)
            _set_text(line.data, _without(tail.text, start, end, spans))
            line.ready, start = True, end
        tail.text = tail.text[upto:]
        tail.parts = [(line, end - upto) for line, end in tail.parts]

    def _drain(self) -> None:
        assert self._file is not None
        while self._queue and self._queue[0].ready:
            self._file.write(self._encode(self._queue.popleft().data) + "\n")
        self._file.flush()

    def _encode(self, data: dict[str, Any]) -> str:
        """As JSON; a delta that goes on where the line before it stopped is `{"t": …, "+": …}`."""
        kind = next((key for key in EVENT_KEYS if key in data), None)
        delta = delta_of(data[kind]) if kind is not None else None
        shape = None
        if kind is not None and delta is not None:
            text = delta[0][delta[1]]
            other = {key: value for key, value in data.items() if key not in (kind, "t")}
            fields = {key: value for key, value in data[kind].items() if not (key == "content" or key == delta[1])}
            if delta[0] is not data[kind]:
                fields["content"] = {key: value for key, value in delta[0].items() if key != delta[1]}
            shape = (kind, other, fields)
            if data[kind]["type"] == "tool_progress":
                fields.pop("id", None)  # each report has an id of its own, which nothing refers to
            if shape == self._last:
                data = {"t": data["t"], "+": text}
        self._last = shape
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _set_text(data: dict[str, Any], text: str) -> None:
    event = next(data[key] for key in EVENT_KEYS if key in data)
    delta = delta_of(event)
    assert delta is not None
    delta[0][delta[1]] = text


def _without(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> str:
    """`text[start:end]` without the spans; the mark stands where one begins."""
    kept, at = [], start
    for first, last in spans:
        if last <= start or first >= end:
            continue
        kept.append(text[at : max(first, at)])
        if first >= start:
            kept.append(MARK)
        at = min(last, end)
    kept.append(text[at:end])
    return "".join(kept)
