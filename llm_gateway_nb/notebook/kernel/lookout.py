"""A message that lies unread in the shell socket is seen all the same.

ZeroMQ announces messages by an edge: whoever asks a socket for its state takes the announcement away. ipykernel 7 sends
its replies on the bare socket behind the stream, which asks; a click that comes in that instant is then read with the
next message only, and a button seems dead. So while a run is attached the stream's own thread looks a few times a second.
https://zeromq.org/socket-api/ and the comment on edge-triggered descriptors in `zmq.eventloop.zmqstream` tell the rule.
"""

from __future__ import annotations

from typing import Any

import zmq

__all__ = ["Lookout"]

INTERVAL_SECONDS = 0.25
"""A person takes a button that answers within this for one that works."""


class Lookout:
    """Looks at `stream` until `end`. Both may be called from any thread."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._ended = False
        stream.io_loop.add_callback(self._look)

    def end(self) -> None:
        """Look once more at most."""
        self._ended = True

    def _look(self) -> None:
        if self._ended or self._stream.closed():
            return
        self._stream.io_loop.call_later(INTERVAL_SECONDS, self._look)
        self._stream.flush(zmq.POLLIN)
