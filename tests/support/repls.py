"""What a REPL leaves on the disk: nothing."""

from __future__ import annotations

import fcntl
from pathlib import Path
from tempfile import gettempdir

__all__ = ["folders_left"]


def folders_left() -> list[Path]:
    """The folders of REPLs that are gone."""
    return [folder for folder in Path(gettempdir()).glob("lgnb-repl-*") if not _in_use(folder)]


def _in_use(folder: Path) -> bool:
    """Other workers of the suite have REPLs of their own."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):  # just made, or just going; or held
        return True
    return False
