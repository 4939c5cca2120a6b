"""`Recording`: a file, read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import RecordingError
from llm_gateway_nb.recording.lines import EVENT_KEYS, delta_of
from llm_gateway_nb.recording.recorder import VERSION
from llm_gateway_nb.types import HarnessEndEvent, HarnessEvent, Message, new_id, parse_event, parse_messages

__all__ = ["Invoke", "ModelCall", "Recording", "Timed"]

Timed = tuple[float, HarnessEvent]
"""An event, and when it came: seconds since the start of the recording."""


@dataclass(slots=True)
class Invoke:
    """What a harness was asked, and the events that it gave.

    Attributes:
        request: model, messages, tools, settings, as JSON.
        ended: that was all; else the file was cut off.
    """

    request: dict[str, Any]
    title: str | None = None
    ended: bool = False
    events: list[Timed] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        """The messages that it was invoked with."""
        return parse_messages(self.request.get("messages", []))


@dataclass(slots=True)
class ModelCall:
    """One request to a model, as JSON, and the events of its answer."""

    run_id: str
    request: dict[str, Any]
    at: float
    events: list[Timed] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether the answer was heard to its end."""
        return bool(self.events) and isinstance(self.events[-1][1], HarnessEndEvent)


class Recording:
    """What happened, in the order in which it was written down.

    Attributes:
        path: where it was read from.
        started: seconds since the epoch.
        invokes, calls: what was asked of the harness, and of models.
        cut: the file ends before its runs do: its program was ended.
    """

    def __init__(self, path: Path, started: float) -> None:
        self.path = path
        self.started = started
        self.invokes: list[Invoke] = []
        self.calls: list[ModelCall] = []
        self.events: list[Timed] = []
        self.cut = False

    @classmethod
    def read(cls, path: str | Path) -> Recording:
        """
        Raises:
            RecordingError: there is no such file, it is no recording, or it is one of a later version.
        """
        path = Path(path)
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError as error:
            raise RecordingError(f"{str(path)!r} can't be read: {error.strerror or error}.") from error
        lines = text.split("\n")
        unfinished = lines.pop()  # what stands after the last line's end
        header = _parse(path, 1, lines[0]) if lines else {}
        number = header.get("recording")
        if not isinstance(number, int) or not isinstance(header.get("started"), int | float):
            raise RecordingError(
                f"{str(path)!r} is no recording: its first line is no header. Recordings are what record= and "
                "RunResult.save() write."
            )
        if number > VERSION:
            raise RecordingError(
                f"{str(path)!r} is a recording of version {number}, and this one reads up to {VERSION}: "
                "pip install -U llm-gateway-nb."
            )
        recording = cls(path, float(header["started"]))
        reader = _Reader(recording)
        for row, line in enumerate(lines[1:], 2):
            try:
                reader.take(_parse(path, row, line))
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise RecordingError(f"{str(path)!r}, line {row}: {type(error).__name__}: {error}.") from error
        recording.cut = bool(unfinished) or not recording.invokes or not all(each.ended for each in recording.invokes)
        return recording


def _parse(path: Path, row: int, line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise RecordingError(f"{str(path)!r}, line {row}: not a JSON object.")
    return data


class _Reader:
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._requests: list[dict[str, Any]] = []
        self._calls: dict[str, ModelCall] = {}
        self._last: dict[str, Any] | None = None

    def take(self, line: dict[str, Any]) -> None:
        at = float(line["t"])
        if "+" in line:
            if self._last is None:
                raise ValueError("'+' goes on with a line that is no event with a text")
            line = _went_on(self._last, line["+"]) | {"t": at}
        recording = self._recording
        kind = next((key for key in ("invoke", "request", *EVENT_KEYS) if key in line), None)
        if kind == "invoke":
            given = self._request(line["invoke"])
            recording.invokes.append(Invoke(given, title=given.get("title")))
        elif kind == "request":
            call = ModelCall(line["request"]["run"], self._request(line["request"]), at)
            self._calls[call.run_id] = call
            recording.calls.append(call)
        elif "ended" in line:
            recording.invokes[line.get("i", 0)].ended = True
        elif kind is not None:
            wire = line[kind]
            event = parse_event({"timestamp": recording.started + at, **wire})
            if kind == "event":
                recording.events.append((at, event))
                recording.invokes[line.get("i", 0)].events.append((at, event))
            if kind == "answer" or line.get("model"):
                self._calls[event.run_id].events.append((at, event))
        # A line of another kind comes from a later version, which says more; what it says beside can be read all the same.
        self._last = line if kind in EVENT_KEYS and delta_of(line[kind]) is not None else None

    def _request(self, line: dict[str, Any]) -> dict[str, Any]:
        whole = {key: value for key, value in line.items() if key not in ("like", "run", "parent")}
        if "like" in line:
            number, count = line["like"]
            whole["messages"] = [*self._requests[number]["messages"][:count], *whole["messages"]]
        if isinstance(line.get("tools"), int):
            whole["tools"] = self._requests[line["tools"]]["tools"]
        self._requests.append(whole)
        return whole


def _went_on(line: dict[str, Any], text: str) -> dict[str, Any]:
    """The line with the same event but for its text."""
    kind = next(key for key in EVENT_KEYS if key in line)
    event = dict(line[kind])
    if isinstance(event.get("content"), dict):
        event["content"] = dict(event["content"])
    delta = delta_of(event)
    assert delta is not None
    delta[0][delta[1]] = text
    if event["type"] == "tool_progress":
        event["id"] = new_id()
    return {**line, kind: event}


def paced(events: list[Timed], speed: float | None) -> Iterator[tuple[float, HarnessEvent]]:
    """Each event with the seconds to wait before it: none at full speed, else those of the recording by `speed`."""
    before = events[0][0] if events else 0.0
    for at, event in events:
        yield (0.0 if speed is None else max(0.0, at - before) / speed), event
        before = max(before, at)
