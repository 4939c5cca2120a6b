"""A port for a server of another process, which can't say which one it was given."""

from __future__ import annotations

import random
import socket

__all__ = ["free_port"]


def free_port() -> int:
    """A port of this machine that nobody has. Not one of those that the system gives to whoever asks for any: between this
    call and the server's start the next connection could get it."""
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
