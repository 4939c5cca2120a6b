"""A kernel that stands by while REPLs are open, so that the next one need not wait for it to start."""

from __future__ import annotations

import contextlib
import threading

from llm_gateway_nb.repl.process import Child, ReplKind

__all__ = ["SPARES", "Spares"]


class Spares:
    """At most one started kernel that nobody uses yet. It is gone when the last REPL is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._spare: Child | None = None

    @property
    def pid(self) -> int | None:
        """Of the one that stands by, if there is one."""
        with self._lock:
            return self._spare.pid if self._spare is not None else None

    def opened(self) -> None:
        """A REPL is open; each has to be `closed` once."""
        with self._lock:
            self._open += 1

    def closed(self) -> None:
        """A REPL is closed."""
        with self._lock:
            self._open -= 1
            spare, self._spare = (None, self._spare) if self._open else (self._spare, None)
        if spare is not None:
            spare.kill()

    def take(self, kind: ReplKind) -> Child:
        """The spare, or a new one."""
        with self._lock:
            spare, self._spare = (self._spare, None) if kind == "kernel" else (None, self._spare)
        if spare is not None:
            if not spare.ended():
                return spare
            spare.kill()
        return Child(kind)

    def stand_by(self) -> None:
        """Start one, unless there is one. Called when a REPL has run its first turn and the processor has time."""
        with self._lock:
            if self._open and self._spare is None:
                with contextlib.suppress(OSError):  # no room for one: then the next REPL waits for its own
                    self._spare = Child("kernel")


SPARES = Spares()
