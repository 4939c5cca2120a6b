"""`replay`: a recording as a harness. Nothing runs: no model, no tool, nobody is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError, ReplayError
from llm_gateway_nb.recording import Invoke, Recording
from llm_gateway_nb.recording.compare import difference, reads_the_same, written_out
from llm_gateway_nb.recording.reader import Timed, paced
from llm_gateway_nb.recording.secrets import Secrets
from llm_gateway_nb.recording.tap import Request
from llm_gateway_nb.types import GeneratorInvokeParams, HarnessEvent

__all__ = ["Replay", "replay"]


def replay(path: str | Path, *, speed: float | None = None) -> Replay:
    """The recording at `path`, as a harness and as an async iterable of events: `start(replay("run.jsonl"))`.

    Args:
        path: what `record`, `start(…, record=path)` or `RunResult.save` wrote; one that was cut off plays up to the cut.
        speed: None is at once; 1.0 takes the time that it took, 2.0 half of it.

    Raises:
        ConfigurationError: `speed` is no number above 0.
        RecordingError: when it is played: the file is no recording.
    """
    if speed is not None and not (isinstance(speed, int | float) and speed > 0):
        raise ConfigurationError(f"speed is a number above 0, or None for at once, not {speed!r}.")
    return Replay(Path(path), speed)


class Replay:
    """See `replay`. Any number of replays may run at once."""

    def __init__(self, path: Path, speed: float | None) -> None:
        self._path = path
        self._speed = speed
        self._recording: Recording | None = None

    @property
    def recording(self) -> Recording:
        """The file, read when this is first asked for."""
        if self._recording is None:
            self._recording = Recording.read(self._path)
        return self._recording

    def __repr__(self) -> str:
        speed = "" if self._speed is None else f", speed={self._speed:g}"
        return f"replay({str(self._path)!r}{speed})"

    async def supported_models(self) -> list[str]:
        """The models that were recorded."""
        return sorted({call.request["model"] for call in self.recording.calls if call.request.get("model")})

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        """The events of the invoke that was recorded with these messages; without any, of the whole recording.

        Raises:
            ReplayError: at once: no invoke was recorded with these messages. It shows the diff.
        """
        return self._events(self.timed(GeneratorInvokeParams.of(params, fields)))

    def timed(self, params: GeneratorInvokeParams) -> Sequence[Timed]:
        """What `invoke` gives, each event with the second in which it came.

        Raises:
            ReplayError: no invoke was recorded with these messages.
        """
        return self._find(params).events if params.messages else self.recording.events

    def __aiter__(self) -> AsyncGenerator[HarnessEvent, None]:
        return self.invoke()

    async def _events(self, events: Sequence[Timed]) -> AsyncGenerator[HarnessEvent, None]:
        for wait, event in paced(list(events), self._speed):
            await asyncio.sleep(wait)
            yield event

    def _find(self, params: GeneratorInvokeParams) -> Invoke:
        asked = written_out(Secrets().redact(Request(None, params.messages).as_json()))
        invokes = [(invoke, written_out({"messages": invoke.request["messages"]})) for invoke in self.recording.invokes]
        for invoke, told in invokes:
            if reads_the_same(asked, told):
                return invoke
        raise ReplayError(
            f"{str(self._path)!r} has no run that was asked this.",
            diff=difference(invokes[0][1], asked) if invokes else "",
        )
