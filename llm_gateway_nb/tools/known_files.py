"""`KnownFiles`: how files were when they were read, so that a write to one that has changed since is refused."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.primitives import Deferred, deferred

__all__ = ["KnownFiles", "known_files"]

_YOUNG_NANOSECONDS = 100_000_000
"""Clocks of file systems are coarse: a file written just now can be written again and bear the same time."""
_MAX_DIGEST_BYTES = 16 * 1024 * 1024


class _Stamp(NamedTuple):
    mtime_ns: int
    size: int
    inode: int
    device: int
    digest: bytes | None = None
    """Of a file that was so young that its time proves nothing; else None."""


class KnownFiles:
    """The files that somebody has read, by their real paths: two spellings of a path are one file.

    All methods may be called from any thread. Of more than `remembered` files, those that were not read for the longest
    time are forgotten.
    """

    def __init__(self, *, remembered: int = 10_000) -> None:
        self._remembered = remembered
        self._stamps: OrderedDict[str, _Stamp] = OrderedDict()
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"KnownFiles(files={len(self._stamps)})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process has read nothing yet, and its files may be other ones."""
        return type(self)._empty, (self._remembered,)

    @classmethod
    def _empty(cls, remembered: int) -> Self:
        return cls(remembered=remembered)

    def read(self, path: str | Path) -> None:
        """Note the file as it is now. Call it before reading: what changes after that, `check` will see.

        Raises:
            ToolError: there is no such file.
        """
        real = _real(path)
        try:
            stamp = _stamp(real)
            if time.time_ns() - stamp.mtime_ns < _YOUNG_NANOSECONDS and stamp.size <= _MAX_DIGEST_BYTES:
                stamp = stamp._replace(digest=_digest(real))
        except OSError as error:
            self.forget(path)
            raise ToolError(f"{str(path)!r} can't be read: {error.strerror}.") from None
        with self._guard:
            self._stamps[real] = stamp
            self._stamps.move_to_end(real)
            while len(self._stamps) > self._remembered:
                self._stamps.popitem(last=False)

    def forget(self, path: str | Path) -> None:
        """As if it had never been read."""
        with self._guard:
            self._stamps.pop(_real(path), None)

    def check(self, path: str | Path) -> None:
        """Nothing, if the file is what it was when it was read.

        Raises:
            ToolError: it was never read, has changed since, or is gone.
        """
        real = _real(path)
        with self._guard:
            known = self._stamps.get(real)
        if known is None:
            raise ToolError(f"{str(path)!r} has not been read yet; read it first.")
        try:
            now = _stamp(real)
            is_same = now == known._replace(digest=None) and known.digest in (None, _digest(real))
        except OSError:
            raise ToolError(f"{str(path)!r} is gone since it was read.") from None
        if not is_same:
            raise ToolError(f"{str(path)!r} has changed since it was read; read it again.")

    @asynccontextmanager
    async def with_lock(self, path: str | Path, *more: str | Path) -> AsyncIterator[None]:
        """Have these files to oneself, in the order of asking: `async with files.with_lock(path): ...`.

        One at a time per file, in this process, over all `KnownFiles` and event loops; other files are not waited for.
        """
        async with AsyncExitStack() as stack:
            for real in _real_paths(path, *more):
                await stack.enter_async_context(_turn(real))
            yield


def _real(path: str | Path) -> str:
    try:
        return os.path.realpath(path)
    except OSError:  # a link on the way went while it was looked at
        return os.path.abspath(path)  # noqa: PTH100 - a `Path` would look at links again


def _real_paths(*paths: str | Path) -> list[str]:
    """Each file once, and in one order for everybody: no two wait for each other."""
    return sorted({_real(path) for path in paths})


def _stamp(real: str) -> _Stamp:
    status = Path(real).stat()
    return _Stamp(status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)


def _digest(real: str) -> bytes:
    with Path(real).open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


_lines: dict[str, deque[Deferred[None]]] = {}
"""Who has a file, and who waits for it. An `asyncio.Lock` would belong to one event loop."""
_lines_guard = threading.Lock()


@asynccontextmanager
async def _turn(real: str) -> AsyncIterator[None]:
    mine: Deferred[None] = deferred()
    with _lines_guard:
        line = _lines.setdefault(real, deque())
        line.append(mine)
        if line[0] is mine:
            mine.resolve(None)
    try:
        await mine.promise
        yield
    finally:  # also of one that was cancelled in the moment it came first
        with _lines_guard:
            line.remove(mine)
            following = line[0] if line else None
            if not line:
                del _lines[real]
        if following is not None:
            following.resolve(None)  # nothing, if its turn had come before


known_files = KnownFiles()
"""For calls whose context has none. The tools share it: one of its own would let `patch` know nothing of `read`."""
