"""How a click reaches a run that holds its cell: one callback in front of the kernel's shell stream.

A kernel reads no shell message while a cell runs; what a widget sends waits behind it, with the cells of *Run All*.
`kernel.shell_stream` is read all the same: by the main loop in ipykernel 6 (whenever it turns) and by the thread "Shell
channel" in 7. There we look at each message. One for a comm that a run or a card has attached goes to its loop; everything
else goes on as it came, untouched and in order, so nothing is replayed, reordered or run early, and nobody else's
widgets notice. After the last detach the stream gets back the very callback it had.

Comms over subshells, comms handled beside an async cell (7.4), `do_one_iteration` (6) and `nest_asyncio` each do this
for some kernels and some settings only; this does it for all of them.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llm_gateway_nb.notebook.kernel import frontend
from llm_gateway_nb.notebook.kernel.lookout import Lookout
from llm_gateway_nb.notebook.kernel.reload import ReloadedPage

__all__ = ["Bridge", "quietly"]

Message = dict[str, Any]
Deliver = Callable[[Message], None]


class Bridge:
    """What stands in front of one kernel's shell stream, from the first `attach` to the last `detach`.

    Both may be called from any thread, any number of times.
    """

    _of_kernel: tuple[Any, Bridge] | None = None

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._attached: dict[str, _Target] = {}
        self._page = ReloadedPage(kernel)
        self._front: _Front | None = None
        self._lookout: Lookout | None = None
        self._lock = threading.RLock()

    @classmethod
    def current(cls) -> Bridge | None:
        """The bridge of this kernel, one and the same at each call; None where there is no shell stream to stand at.

        That is plain Python, terminal IPython, and kernels that are not ipykernel.
        """
        kernel = frontend.current_kernel()
        stream = getattr(kernel, "shell_stream", None)
        if not callable(getattr(stream, "_recv_callback", None)) or getattr(kernel, "session", None) is None:
            return None
        if cls._of_kernel is None or cls._of_kernel[0] is not kernel:
            cls._of_kernel = (kernel, cls(kernel))
        return cls._of_kernel[1]

    @property
    def attached(self) -> tuple[str, ...]:
        """The comm ids whose messages go past a running cell, oldest first."""
        return tuple(self._attached)

    def attach(
        self,
        comm_id: str,
        deliver: Deliver,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        holds_cell: bool = True,
    ) -> None:
        """From now on hand each `comm_msg` of `comm_id` to `deliver(message)`, in `loop` (default: the running one).

        Messages are handed over in the order in which they came, each in a copy of the `Context` of this call, so what
        `deliver` prints or sends belongs to the cell that attached. The loop has to turn: in an `await`, or in `hold`.
        An error in `deliver` is logged by the kernel and goes no further. Attaching again replaces.

        Args:
            holds_cell: a cell may wait for this very page, as for a run's; so a page that comes back is answered here at
                any moment. Else (a card, which may stay for hours) only while a cell runs: an idle kernel does it itself.
        """
        target = _Target(loop or asyncio.get_running_loop(), deliver, contextvars.copy_context(), holds_cell)
        with self._lock:
            self._attached[comm_id] = target
            if self._front is None or not self._front.is_first():
                # Ours may stand behind a callback that somebody has put in front, or be gone with one that they have
                # taken away. Not to be known; so the old one passes everything on, and a new one stands in front.
                if self._front is not None:
                    self._front.retire()
                self._front = _Front(self._kernel.shell_stream, self._take)
            if self._lookout is None:
                self._lookout = Lookout(self._kernel.shell_stream)

    def detach(self, comm_id: str) -> None:
        """Leave the messages of `comm_id` to the kernel again; nothing happens if it is not attached."""
        with self._lock:
            self._attached.pop(comm_id, None)
            if not self._attached and self._front is not None:
                self._front.retire()
                self._front = None
                self._page.forget()
                if self._lookout is not None:
                    self._lookout.end()
                    self._lookout = None

    def _take(self, frames: Sequence[Any]) -> bool:
        """In the stream's thread: hand the message to a run, or answer it, or (False) let it go on."""
        if not self._attached:
            return False
        session = self._kernel.session
        try:
            identities, parts = session.feed_identities(frames, copy=False)
            # Verified, but its signature is not remembered: the kernel would take its own look for a replay.
            peek = session.deserialize(parts, content=False, copy=False)
            content = session.unpack(peek["content"])
            target = self._attached.get(content.get("comm_id")) if peek["msg_type"] == "comm_msg" else None
            if target is not None:
                return self._hand(target, target.deliver, parts)
            if not frontend.cell_running() and not any(each.holds_cell for each in tuple(self._attached.values())):
                return False
            return self._page.take(identities, peek, content, lambda deliver: self._hand_to_any(deliver, parts))
        except Exception:
            # Forged or broken, as a rule: the kernel has its own words for that.
            self._kernel.log.debug("The bridge leaves a message to the kernel.", exc_info=True)
            return False

    def _hand_to_any(self, deliver: Deliver, parts: Sequence[Any]) -> bool:
        """For messages that concern every run: the youngest whose loop is alive."""
        return any(self._hand(target, deliver, parts) for target in reversed(tuple(self._attached.values())))

    def _hand(self, target: _Target, deliver: Deliver, parts: Sequence[Any]) -> bool:
        if target.loop.is_closed():
            return False
        session = self._kernel.session
        message = session.deserialize(parts, copy=False)  # this time for good: a second copy would be a replay
        try:
            # A copy each, because a Context is entered by one callback at a time, and a click may be handled by code
            # that itself waits for the next click. In 7 this is not the loop's thread; in 6 it is, and still has to
            # wake the loop, which may be driven from inside a callback.
            target.loop.call_soon_threadsafe(self._call, deliver, message, context=target.context.copy())
        except RuntimeError:  # closed between the two lines
            session.digest_history.discard(bytes(parts[0].bytes))
            return False
        return True

    def _call(self, deliver: Deliver, message: Message) -> None:
        self._page.say_busy()
        try:
            deliver(message)
        except Exception:
            self._kernel.log.exception("A comm message was handed to a run, which failed to handle it.")


def quietly(comm: Any) -> Deliver:
    """What to `attach` for a widget's comm: its own message callback, and none of the events of a cell.

    `comm.handle_msg` would fire IPython's `pre_execute` and `post_execute` in the middle of the running cell, with them
    matplotlib's flushing of figures.
    """

    def deliver(message: Message) -> None:
        callback = comm._msg_callback  # looked up late: `on_msg` may be called after the attach
        if callback is not None:
            callback(message)

    return deliver


class _Target(NamedTuple):
    loop: asyncio.AbstractEventLoop
    deliver: Deliver
    context: contextvars.Context
    holds_cell: bool


class _Front:
    """The callback that stands in front of the one the stream had."""

    def __init__(self, stream: Any, take: Callable[[Sequence[Any]], bool]) -> None:
        self._stream = stream
        self._take: Callable[[Sequence[Any]], bool] | None = take
        self._behind: Callable[[Sequence[Any]], Any] = stream._recv_callback
        # One attribute, stored at once, and read once a message: no message is missed or seen twice, in whatever
        # thread the stream is read. `on_recv` would touch its poller, too, which is that thread's alone, and waiting
        # for that thread would be a way to hang.
        stream._recv_callback = self

    def __call__(self, frames: Sequence[Any]) -> Any:
        take = self._take  # read once: another thread may retire us meanwhile
        if take is None:
            self._leave()  # who stood in front of us has gone since
        elif take(frames):
            return None
        return self._behind(frames)  # in 7 a coroutine, which the stream runs

    def is_first(self) -> bool:
        return self._stream._recv_callback is self

    def retire(self) -> None:
        """Take nothing more, and go, unless somebody has wrapped us: then pass on what comes."""
        self._take = None
        self._leave()

    def _leave(self) -> None:
        if self.is_first():
            self._stream._recv_callback = self._behind
