"""`Recorder`: what happens in a harness, written down as it happens.

A recording is JSON lines. The first is the header, `{"recording": 1, …}`. Each other has `t`, seconds since the start, and
one of:

    `invoke`    the harness was invoked, with these messages, tools, settings
    `request`   a model was asked: `run` is the id of its answer's events
    `event`     an event that everybody saw; with `"model": true` it is also part of a model's answer
    `answer`    a part of a model's answer that the harness kept to itself, such as a call before it may run
    `+`         the event of the line before, with this text
    `ended`     nothing more comes of the invoke; a file without it was cut off

`i` numbers the invokes, where there are several. What a request shares with an earlier one is not written again:
`"like": [n, k]` are the first `k` messages of the `n`th `invoke` or `request`, `"tools": n` the tools of that one. So a
recording grows with what is said, not with its square.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

from llm_gateway_nb.recording.lines import EVENT_KEYS, LineWriter
from llm_gateway_nb.recording.secrets import Secrets
from llm_gateway_nb.recording.tap import Request
from llm_gateway_nb.types import HarnessEndEvent, HarnessEvent, dump_event
from llm_gateway_nb.types.wire import dump_wire

__all__ = ["VERSION", "InvokeRecorder", "Recorder"]

VERSION = 1
_FRESH_SECONDS = 5.0
_AHEAD = 256  # events that a harness may keep to itself in a row and still be understood to pass the next one on
_RECENT = 8  # requests that a new one is compared with, to find what they share


class Recorder:
    """One file. It is begun anew at the first invoke, and open as long as an invoke goes on."""

    def __init__(self, path: str | Path) -> None:
        self._secrets = Secrets()
        self._lines = LineWriter(path, self._secrets)
        self._lock = threading.Lock()
        self._started: float | None = None
        self._invokes = 0
        self._going_on = 0
        self._requests = 0
        self._recent: deque[tuple[int, Sequence[Any]]] = deque(maxlen=_RECENT)
        self._tools: tuple[int, list[dict[str, Any]]] | None = None

    def begun(self) -> Recorder:
        """This one, its file begun before the first invoke: where it can't be written, that is known before anything runs.

        Raises:
            ConfigurationError: the file can't be written, or another run is being recorded to it.
        """
        with self._lock:
            self._lines.open()
            self._lines.close()
        return self

    def invoked(self, request: Request, *, title: str | None = None, context: str | None = None) -> InvokeRecorder:
        """An invoke begins; its events and model calls go to what this returns.

        Raises:
            ConfigurationError: the file can't be written, or another run is being recorded to it.
        """
        with self._lock:
            if not self._going_on:
                self._lines.open()
            self._going_on += 1
            if self._started is None:
                self._started = round(time.time(), 6)
                head = {"recording": VERSION, "by": f"llm_gateway_nb {_version()}", "started": self._started}
                self._lines.put(head)
            number = self._invokes
            self._invokes += 1
            head = self._encode(request)
            head |= {key: value for key, value in (("title", title), ("context", context)) if value}
            recorder = InvokeRecorder(self, number)
            recorder._put({"invoke": head}, None)
        return recorder

    def _ended(self) -> None:
        self._going_on -= 1
        if not self._going_on:
            self._lines.close()

    def _encode(self, request: Request) -> dict[str, Any]:
        number = self._requests
        self._requests += 1
        plain = Request(request.model, (), request.tools, request.settings, request.schema).as_json()
        if "tools" in plain:
            if self._tools is not None and self._tools[1] == plain["tools"]:
                plain["tools"] = self._tools[0]
            else:
                self._tools = number, plain["tools"]
        shared, like = 0, -1
        for earlier, messages in self._recent:
            same = _in_common(messages, request.messages)
            if same > shared:
                shared, like = same, earlier
        if shared:
            plain["like"] = [like, shared]
        plain["messages"] = [dump_wire(message) for message in request.messages[shared:]]
        self._recent.append((number, list(request.messages)))
        return plain


class InvokeRecorder:
    """The recording of one invoke. It is the `Tap` of the model calls in it; `event` takes what the harness gives out."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self._recorder = recorder
        self._number = number
        self._unseen: dict[str, deque[HarnessEvent]] = {}
        self._parents: dict[str, str | None] = {}
        self._finished: set[str] = set()
        self._runs: set[str] = set()
        self._closed = False

    def event(self, event: HarnessEvent) -> None:
        """An event that everybody sees."""
        with self._recorder._lock:
            if self._closed:
                return
            self._runs.add(event.run_id)
            self._give_up_on_others(event)
            from_model = self._was_unseen(event)
            line: dict[str, Any] = {"event": dump_event(event)}
            if from_model:
                line["model"] = True
            self._put(line, event.timestamp)

    def asked(self, run_id: str, parent_id: str | None, request: Request, secrets: Sequence[str]) -> None:
        with self._recorder._lock:
            if self._closed:  # somebody in the harness outlives it
                return
            self._recorder._secrets.add(*secrets)
            self._unseen[run_id] = deque()
            self._parents[run_id] = parent_id
            head = {"run": run_id, **({"parent": parent_id} if parent_id else {}), **self._recorder._encode(request)}
            self._put({"request": head}, None)

    def answered(self, event: HarnessEvent) -> None:
        with self._recorder._lock:
            if event.run_id in self._unseen:
                self._unseen[event.run_id].append(event)
                if isinstance(event, HarnessEndEvent):
                    self._finished.add(event.run_id)
                    self._recorder._lines.settle(event.run_id)

    def close(self) -> None:
        """Nothing more comes of this invoke. Closing twice is fine."""
        with self._recorder._lock:
            if self._closed:
                return
            for run_id in list(self._unseen):
                self._give_up(run_id)
            for run_id in self._runs:
                self._recorder._lines.settle(run_id)
            self._put({"ended": True}, None)
            self._closed = True
            self._recorder._ended()

    def _was_unseen(self, event: HarnessEvent) -> bool:
        """Whether this is an event of a model call. Those before it, which never came, were kept by the harness."""
        unseen = self._unseen.get(event.run_id)
        if not unseen:
            return False
        # By what they say, not by identity: whoever passes an event on may give it a number, and so a copy.
        for place, candidate in enumerate(islice(unseen, _AHEAD)):
            if candidate is event or (
                candidate.type == event.type
                and candidate.timestamp == event.timestamp
                and getattr(candidate, "content", None) == getattr(event, "content", None)
            ):
                for _ in range(place):
                    self._keep(unseen.popleft())
                unseen.popleft()
                return True
        return False

    def _give_up_on_others(self, event: HarnessEvent) -> None:
        """What the harness says after a model call is over comes after all that it passed on of that call."""
        for run_id in list(self._finished):
            parent_id = self._parents[run_id]
            if run_id != event.run_id and (parent_id is None or parent_id in (event.run_id, event.parent_id)):
                self._give_up(run_id)

    def _give_up(self, run_id: str) -> None:
        for event in self._unseen.pop(run_id, ()):
            self._keep(event)
        self._finished.discard(run_id)

    def _keep(self, event: HarnessEvent) -> None:
        self._put({"answer": dump_event(event)}, event.timestamp)

    def _put(self, line: dict[str, Any], timestamp: float | None) -> None:
        moment, started = time.time(), self._recorder._started or 0.0
        for key in EVENT_KEYS:
            if key in line:
                line[key].pop("seq", None)  # it counts within the stream in which it was sent
                if timestamp is not None and abs(moment - timestamp) < _FRESH_SECONDS:
                    moment = line[key].pop("timestamp")  # else it is an old event, that was born elsewhere
        number = {"i": self._number} if self._number else {}
        self._recorder._lines.put({"t": round(moment - started, 6), **number, **line})


def _in_common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many messages the two begin with that are the same."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine is not theirs and mine != theirs:
            break
        count += 1
    return count


def _version() -> str:
    try:
        return version("llm-gateway-nb")
    except PackageNotFoundError:
        return "from source"
