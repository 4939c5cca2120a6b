"""The workspace: the one folder that file tools work in, and how they open what is in it.

What lies outside is opened only where it was allowed by its path, by a rule that names the parameter or by a person; a rule
for the bare tool means the workspace.

A path is resolved once, when the call is judged. What is opened afterwards is opened folder by folder from the root, and no
step follows a link: a link that was put there since then is refused, wherever it leads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.permissions.paths import resolve
from llm_gateway_nb.types import ToolContext

__all__ = ["Folder", "Place", "Workspace", "in_thread", "open_folder", "outside"]

T = TypeVar("T")

_HAS_DIR_FD = {os.open, os.stat, os.rename, os.link, os.unlink, os.mkdir, os.rmdir} <= os.supports_dir_fd
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_AS_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_FOLLOWS = os.link not in os.supports_follow_symlinks
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
"""Opening a named pipe must not wait for its writer."""


@dataclass(frozen=True, slots=True)
class Place:
    """A real path: absolute, all links resolved as they stood when the call was made. It is walked to from `root`."""

    root: str
    real: str
    outside_of: str | None = None
    """The workspace that it does not lie in; its `root` is then that of the file system."""

    @property
    def parent(self) -> Place:
        return Place(self.root, os.path.dirname(self.real), self.outside_of)  # noqa: PTH120

    @property
    def name(self) -> str:
        return os.path.basename(self.real)  # noqa: PTH119

    def __str__(self) -> str:
        return self.real if self.outside_of is not None else os.path.relpath(self.real, self.root)


class Workspace:
    """Which paths the file tools of one maker may touch.

    Args:
        root: the folder; None is the working directory at the time of each call. A link in it is resolved now.
        tool: the tool that has `root` as an option, for the sentence of a refusal.
    """

    def __init__(self, root: str | Path | None, *, tool: str) -> None:
        self._root = None if root is None else os.path.realpath(Path(root).expanduser())
        self._tool = tool

    def root(self) -> str:
        """The real path of the folder.

        Raises:
            ToolError: the working directory is gone.
        """
        if self._root is not None:
            return self._root
        try:
            return os.path.realpath(Path.cwd())
        except OSError:
            raise ToolError("The working directory is gone, so there is no workspace to find a file in.") from None

    def anchored(self, path: str) -> str:
        """A path from the workspace as it reads from the working directory, from where permission rules count; the real
        path of what lies outside, because that is what a rule or a person allows.

        Raises:
            ToolError: it can be read in two ways.
        """
        place = self.place(path)
        if place.outside_of is not None:
            return place.real
        if self._root is None or not path or path.startswith("~") or os.path.isabs(path):  # noqa: PTH117
            return path
        with contextlib.suppress(OSError):  # no working directory: nothing can be relative to it
            if os.path.realpath(Path.cwd()) == self._root:
                return path
        return os.path.join(self._root, path)  # noqa: PTH118 - a `Path` would tidy `link/..` away

    def place(self, path: str) -> Place:
        """Where a path, absolute or counted from the root, really is.

        Raises:
            ToolError: it can be read in two ways.
        """
        root = self.root()
        real = resolve(path, root)
        if real is None:
            raise ToolError(f"The path {path!r} could mean more than one file; write it without `~` and `link/..`.")
        if real != root and not real.startswith(root.rstrip("/") + "/"):
            return Place("/", real, outside_of=root)
        return Place(root, real)

    def check(self, place: Place, ctx: ToolContext) -> None:
        """Nothing, if the tool may work there.

        Raises:
            ToolError: it lies outside, and nobody has allowed the call for where it leads.
        """
        if place.outside_of is not None and not ctx.beyond_workspace:
            raise ToolError(
                f"{_lies_outside(place)}; a rule with its path allows it, or the option `{self._tool}(root=...)`."
            )


def outside(places: Iterable[Place]) -> str | None:
    """What a person should know of the places that do not lie in the workspace; None if all do."""
    return next((_lies_outside(place) for place in places if place.outside_of is not None), None)


def _lies_outside(place: Place) -> str:
    return f"{place.real!r} lies outside the workspace {place.outside_of}"


class Folder:
    """An open folder. What is done by name is done in this very folder, whatever its path has become meanwhile.

    A context manager; leaving it closes the folder. Names are plain file names.
    """

    def __init__(self, place: Place, fd: int | None) -> None:
        self.place = place
        self._fd = fd

    def _at(self, name: str) -> str:
        return name if self._fd is not None else os.path.join(self.place.real, name)  # noqa: PTH118

    def _below(self, name: str) -> Place:
        return replace(self.place, real=os.path.join(self.place.real, name))  # noqa: PTH118

    def status(self, name: str) -> os.stat_result | None:
        """Of the file itself, also if it is a link; None where there is none."""
        try:
            return os.stat(self._at(name), dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, name: str) -> BinaryIO:
        """A file for reading.

        Raises:
            ToolError: it is no plain file, or has become a link.
        """
        status = self.status(name)
        place = self._below(name)
        if status is not None:
            _check_plain(status, place)
        fd = os.open(self._at(name), os.O_RDONLY | _NO_LINK | _AT_ONCE, dir_fd=self._fd)
        file = os.fdopen(fd, "rb")
        try:
            _check_plain(os.fstat(fd), place)
        except ToolError:
            file.close()
            raise
        return file

    def create(self, name: str) -> BinaryIO:
        """A new file for writing; fails where there is one."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
        return os.fdopen(os.open(self._at(name), flags, 0o666, dir_fd=self._fd), "wb")

    def rename(self, old: str, new: str) -> None:
        os.replace(self._at(old), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def link(self, old: str, new: str) -> None:
        """A second name for a file; fails where the new name is taken."""
        os.link(self._at(old), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=_FOLLOWS)

    def unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._fd)

    def rmdir(self, name: str) -> None:
        os.rmdir(self._at(name), dir_fd=self._fd)

    def step(self, name: str, *, made: list[Place] | None = None) -> Folder:
        """The folder of that name in this one, made if it is missing and `made` is there to note it."""
        place = self._below(name)
        if made is not None and self.status(name) is None:
            with contextlib.suppress(FileExistsError):  # somebody else has just made it
                os.mkdir(self._at(name), dir_fd=self._fd)
                made.append(place)
        status = self.status(name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise _moved(place)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise ToolError(f"{str(place)!r} is a file, not a folder.")
        if self._fd is None:
            if status is None:
                raise FileNotFoundError(place.real)
            return Folder(place, None)
        try:
            return Folder(place, os.open(name, _AS_FOLDER, dir_fd=self._fd))
        except NotADirectoryError:  # a link since we looked
            raise _moved(place) from None

    def names(self) -> list[tuple[str, bool]]:
        """What is in it: each name, and whether it is a folder. In no order."""
        if self._fd is None or os.scandir not in os.supports_fd:
            with os.scandir(self.place.real) as entries:
                return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        fd = os.open(".", os.O_RDONLY | _NO_LINK, dir_fd=self._fd)  # ours may be good for nothing but a start
        try:
            with os.scandir(fd) as entries:
                return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        finally:
            os.close(fd)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def open_folder(place: Place, *, made: list[Place] | None = None) -> Folder:
    """Walk from the root to a folder, following no link. With `made`, missing folders are made, and noted there.

    Raises:
        ToolError: the root is gone, a step is a file, or has become a link.
        FileNotFoundError: a step is missing.
    """
    try:
        folder = Folder(replace(place, real=place.root), os.open(place.root, _AS_FOLDER) if _HAS_DIR_FD else None)
    except OSError as error:
        raise ToolError(f"The workspace {place.root} can't be opened: {error.strerror}.") from None
    for part in Path(place.real).relative_to(place.root).parts:
        with folder:
            folder = folder.step(part, made=made)
    return folder


def _check_plain(status: os.stat_result, place: Place) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _moved(place)
    if stat.S_ISDIR(status.st_mode):
        raise ToolError(f"{str(place)!r} is a folder, not a file.")
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{str(place)!r} is a device, pipe or socket, not a file.")


def _moved(place: Place) -> ToolError:
    return ToolError(f"{str(place)!r} is a link that was not there when the call was made; try again.")


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Do file work off the event loop. On cancel its event is set, and it is waited for: no thread is left behind."""
    stop = threading.Event()
    task = asyncio.create_task(asyncio.to_thread(work, stop))
    cancel: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            stop.set()
            cancel = error
    if cancel is not None:
        if not task.cancelled():
            task.exception()  # taken: the cancel says more
        raise cancel
    return task.result()
