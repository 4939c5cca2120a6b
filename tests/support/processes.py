"""Which processes there are: a test that starts some leaves none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

__all__ = ["alive", "below", "gone"]


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def below(pid: int | None = None) -> set[int]:
    """The processes that this one, or another one, has started, and theirs."""
    found: set[int] = set()
    try:
        for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= {child, *below(child)}
    except (FileNotFoundError, ProcessLookupError):
        pass
    return {each for each in found if alive(each)}


async def gone(pid: int, within: float = 30.0) -> bool:
    """Killed is not yet dead: the system takes its moment on a busy machine."""
    async with asyncio.timeout(within):
        while alive(pid):
            await asyncio.sleep(0.01)
    return True
