"""What has happened in a run: each event gets its number, is kept, folded into the tree, and written to the file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from llm_gateway_nb.graph import RunTree, fold_event
from llm_gateway_nb.notebook.result import missing_ends, own_error, root_of
from llm_gateway_nb.recording.recorder import InvokeRecorder
from llm_gateway_nb.types import EndReason, HarnessEndEvent, HarnessEvent, new_id

__all__ = ["RunLog"]


class RunLog:
    """The events of one run, in order. It is `over` once nothing more can come.

    Args:
        on_event: called behind each event, when the tree has it.
        recorder: the file; closed at the end.
    """

    def __init__(self, on_event: Callable[[HarnessEvent], None], recorder: InvokeRecorder | None = None) -> None:
        self.events: list[HarnessEvent] = []
        self.tree = RunTree()
        self.over = False
        self._on_event = on_event
        self._recorder = recorder
        self._readers: set[asyncio.Future[None]] = set()

    @property
    def root_id(self) -> str:
        """The id of the run itself, or a new one as long as it has not said any."""
        root = root_of(self.tree)
        return root.id if root is not None else new_id()

    def take(self, event: HarnessEvent) -> None:
        """This happened."""
        if self._recorder is not None:
            self._recorder.event(event)
        event = _numbered(event, len(self.events))
        self.events.append(event)
        fold_event(self.tree, event)
        self._on_event(event)
        self._wake_readers()

    def end(self, *, cancelled: bool) -> None:
        """Nothing more comes. How it ended is said wherever nobody has: of runs that were cut off, the innermost first."""
        failed = own_error(self.events, self.root_id) is not None
        reason: EndReason = "cancelled" if cancelled else "error" if failed else "final"
        if root_of(self.tree) is None:
            self.take(HarnessEndEvent(run_id=self.root_id, reason=reason))
        for event in missing_ends(self.tree, reason):
            self.take(event)
        self.over = True
        if self._recorder is not None:
            self._recorder.close()
        self._wake_readers()

    async def follow(self) -> AsyncIterator[HarnessEvent]:
        """The events from the first one, until it is over."""
        seen = 0
        while True:
            while seen < len(self.events):
                yield self.events[seen]
                seen += 1
            if self.over:
                return
            more = asyncio.get_running_loop().create_future()
            self._readers.add(more)
            try:
                await more
            finally:
                self._readers.discard(more)

    def _wake_readers(self) -> None:
        for more in self._readers:
            if not more.done():
                more.set_result(None)


def _numbered(event: HarnessEvent, seq: int) -> HarnessEvent:
    """`event.model_copy(update={"seq": seq})`, which takes twice the time and is done to every event of a run. The event
    itself belongs to whoever sent it, who may send it again."""
    extra, private = event.__pydantic_extra__, event.__pydantic_private__
    copied = object.__new__(type(event))
    put = object.__setattr__
    put(copied, "__dict__", {**event.__dict__, "seq": seq})
    put(copied, "__pydantic_extra__", None if extra is None else dict(extra))
    put(copied, "__pydantic_private__", None if private is None else dict(private))
    put(copied, "__pydantic_fields_set__", {*event.__pydantic_fields_set__, "seq"})
    return copied
