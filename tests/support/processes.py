"""Which processes there are: a test that starts some leaves none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

__all__ = ["alive", "below", "children", "gone"]


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def children(pid: int | None = None) -> set[int]:
    """The processes that this one, or another one, has started itself."""
    found: set[int] = set()
    try:
        for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
            found |= set(map(int, (task / "children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return {each for each in found if alive(each)}


def below(pid: int | None = None) -> set[int]:
    """The processes that this one, or another one, has started, and theirs."""
    found = children(pid)
    return found.union(*map(below, found))


async def gone(pid: int, within: float = 30.0) -> bool:
    """Killed is not yet dead: the system takes its moment on a busy machine."""
    async with asyncio.timeout(within):
        while alive(pid):
            await asyncio.sleep(0.01)
    return True
