"""Several files written, all or nothing: made ready beside their targets, renamed into place, put back on failure."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.tools.workspace import Folder, Place, open_folder

__all__ = ["Change", "is_unchanged", "write_all"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """One file as it was found and as it shall be."""

    place: Place
    status: os.stat_result | None
    """As it was when the change was worked out; None where there was no file."""
    content: bytes | None
    """None takes the file away."""
    like: os.stat_result | None = None
    """Whose mode and owner a new file gets."""


def write_all(changes: Sequence[Change]) -> None:
    """Make all changes, or leave every file as it was. Folders are made where they are missing.

    Each file changes in one moment: who reads it meanwhile sees the old or the new one. A crash of the machine in between
    can leave some files old, and `.patch-…` files beside them.

    Raises:
        ToolError: nothing was changed; or, where even that failed, what is in which file.
    """
    made: list[Place] = []
    with ExitStack() as stack:
        steps: list[_Step] = []
        try:
            for change in changes:
                folder = stack.enter_context(
                    open_folder(change.place.parent, made=None if change.content is None else made)
                )
                step = _Step(change, folder)
                steps.append(step)
                step.make_ready()
            for step in steps:
                step.commit()
        except BaseException as error:
            lost = [problem for step in reversed(steps) if (problem := step.undo())]
            _remove_folders(made)
            if lost:
                raise ToolError(f"The patch failed half-way and could not be undone: {'; '.join(lost)}.") from error
            if isinstance(error, OSError):
                raise ToolError(f"Nothing was changed, because a file can't be written: {error.strerror}.") from error
            raise
        for step in steps:
            step.clean_up()


def is_unchanged(then: os.stat_result | None, now: os.stat_result | None) -> bool:
    """Whether a file is still the one that was looked at."""
    if then is None or now is None:
        return then is now
    return os.path.samestat(then, now) and (then.st_mtime_ns, then.st_size) == (now.st_mtime_ns, now.st_size)


class _Step:
    """One change on its way. Its two files of its own: the new content, and the old file under another name."""

    def __init__(self, change: Change, folder: Folder) -> None:
        self._change = change
        self._folder = folder
        self._name = change.place.name
        token = secrets.token_hex(8)
        self._new = f".patch-{token}.new"
        self._old = f".patch-{token}.old"
        self._is_backed_up = self._is_placed = False

    def make_ready(self) -> None:
        if self._change.content is None:
            return
        with self._folder.create(self._new) as file:
            if (like := self._change.like) is not None and hasattr(os, "fchmod"):
                own = os.fstat(file.fileno())
                if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
                    with contextlib.suppress(PermissionError):  # only root gives files away
                        os.fchown(file.fileno(), like.st_uid, like.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
            file.write(self._change.content)

    def commit(self) -> None:
        if not is_unchanged(self._change.status, self._folder.status(self._name)):
            raise ToolError(f"Nothing was changed: {str(self._change.place)!r} changed in this moment; read it again.")
        if self._change.status is not None:
            self._back_up()
        if self._change.content is None:
            return
        if self._change.status is None:
            self._place_new()
        else:
            self._folder.rename(self._new, self._name)
        self._is_placed = True

    def _back_up(self) -> None:
        if self._change.content is not None:
            try:  # a second name, so that the file is there all the time
                self._folder.link(self._name, self._old)
            except OSError:  # a file system without links
                self._folder.rename(self._name, self._old)
        else:
            self._folder.rename(self._name, self._old)
        self._is_backed_up = True

    def _place_new(self) -> None:
        """Under a name that nobody has: a link, unlike a rename, never replaces a file."""
        try:
            self._folder.link(self._new, self._name)
        except FileExistsError:
            raise ToolError(f"Nothing was changed: {str(self._change.place)!r} already exists.") from None
        except OSError:
            self._folder.rename(self._new, self._name)

    def undo(self) -> str | None:
        """Everything as it was; or a sentence on what is not."""
        try:
            if self._is_backed_up:
                self._folder.rename(self._old, self._name)
            elif self._is_placed:
                self._folder.unlink(self._name)
        except OSError as error:
            what = f"its old content is in {self._old!r}" if self._is_backed_up else "it was added"
            return f"{str(self._change.place)!r} ({error.strerror}; {what})"
        self.clean_up()
        return None

    def clean_up(self) -> None:
        for name in (self._new, self._old):
            try:
                self._folder.unlink(name)
            except OSError as error:
                _log.warning("A patch left %r beside %r: %s", name, self._change.place.real, error.strerror)


def _remove_folders(made: list[Place]) -> None:
    for place in reversed(made):
        try:
            with open_folder(place.parent) as folder:
                folder.rmdir(place.name)
        except FileNotFoundError:
            continue  # somebody else was quicker
        except (OSError, ToolError) as error:
            _log.warning("A patch that failed left the folder %r: %s", place.real, error)
