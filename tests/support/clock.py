"""A clock that a test moves: what a time limit does is seen without waiting for it, and on a busy machine too."""

from __future__ import annotations

import asyncio

__all__ = ["jump"]


def jump(seconds: float) -> None:
    """Move the running loop's clock on: what was to happen by then happens at the loop's next turn."""
    loop = asyncio.get_running_loop()
    ahead = getattr(loop, "ahead", 0.0) + seconds
    loop.ahead = ahead  # type: ignore[attr-defined]
    loop.time = lambda: type(loop).time(loop) + ahead  # type: ignore[method-assign]
