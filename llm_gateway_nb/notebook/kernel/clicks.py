"""What a page says to a widget reaches its loop while a cell runs there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from llm_gateway_nb.notebook.kernel.bridge import Bridge, quietly

__all__ = ["let_through"]


def let_through(widget: Any, loop: asyncio.AbstractEventLoop, *, holds_cell: bool = True) -> Callable[[], None] | None:
    """From now on the messages of `widget` pass a running cell, until it is closed, or the returned function is called.

    None where there is no way past: outside a kernel, and in one that is not ipykernel.

    Args:
        holds_cell: whether a cell may wait for it; see `Bridge.attach`.
    """
    bridge, comm = Bridge.current(), getattr(widget, "comm", None)
    if bridge is None or comm is None:
        return None
    comm_id: str = comm.comm_id
    bridge.attach(comm_id, quietly(comm), loop, holds_cell=holds_cell)

    def end(_change: Any = None) -> None:
        bridge.detach(comm_id)

    widget.observe(end, names="comm")
    return end
