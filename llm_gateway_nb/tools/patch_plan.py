"""A patch thought through: what each file is now and shall be. Files are read, none is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.tools.patch_apply import apply_hunks
from llm_gateway_nb.tools.patch_diff import FileDiff, file_diff
from llm_gateway_nb.tools.patch_parse import AddFile, DeleteFile, Operation, UpdateFile
from llm_gateway_nb.tools.patch_write import Change, is_unchanged
from llm_gateway_nb.tools.workspace import Place, open_folder
from llm_gateway_nb.types import FileTime

__all__ = ["Action", "Plan", "Report"]

Action = Literal["add", "update", "delete", "move"]


@dataclass(frozen=True, slots=True)
class Report:
    """What happened to one file, for people and models."""

    path: str
    action: Action
    diff: FileDiff
    moved_from: str | None = None


class _Draft:
    """A file on its way through the operations of a patch."""

    def __init__(self, place: Place, status: os.stat_result | None, text: str | None) -> None:
        self.place = place
        self.status = status
        self.before = self.after = text
        """None for a file that is not there, and for one that is no text."""
        self.exists = status is not None
        self.like = status
        self.moved_from: Place | None = None
        self.moved_to: Place | None = None


class Plan:
    """The operations of one patch, applied one after another to what the ones before left.

    Args:
        places: where each path of the patch is.
        file_time: refuses a change to what was not read, or has changed since.
        max_bytes: a larger file is not updated.
        check: called before each piece of work; what it raises ends it.
    """

    def __init__(
        self, places: dict[str, Place], file_time: FileTime, *, max_bytes: int, check: Callable[[], None]
    ) -> None:
        self._places = places
        self._file_time = file_time
        self._max_bytes = max_bytes
        self._check = check
        self._drafts: dict[str, _Draft] = {}

    def apply(self, operation: Operation) -> None:
        """Raises a `ToolError` where the operation does not fit the files as they are."""
        self._check()
        draft = self._draft(operation.path)
        if isinstance(operation, AddFile):
            if draft.exists:
                raise ToolError(f"{str(draft.place)!r} already exists; update it, or delete it first.")
            draft.exists, draft.after = True, "".join(f"{line}\n" for line in operation.lines)
            return
        if not draft.exists:
            raise ToolError(f"{str(draft.place)!r} was not found, so it can't be changed.")
        self._check_fresh(draft)
        if isinstance(operation, DeleteFile):
            draft.exists, draft.after = False, None
            return
        self._update(operation, draft)

    def _update(self, operation: UpdateFile, draft: _Draft) -> None:
        if draft.after is None:
            raise ToolError(
                f"{str(draft.place)!r} is no text, or larger than {self._max_bytes} bytes: no patch for it."
            )
        text = apply_hunks(draft.after, operation.hunks, name=str(draft.place), check=self._check)
        if operation.move_to is None or self._places[operation.move_to] == draft.place:
            draft.after = text
            return
        target = self._draft(operation.move_to)
        if target.exists:
            raise ToolError(f"{str(target.place)!r} already exists, so nothing can be moved there.")
        target.exists, target.after, target.like = True, text, draft.like
        target.moved_from, draft.moved_to = draft.place, target.place
        draft.exists, draft.after = False, None

    def _draft(self, path: str) -> _Draft:
        place = self._places[path]
        if place.real not in self._drafts:
            self._drafts[place.real] = self._load(place)
        return self._drafts[place.real]

    def _load(self, place: Place) -> _Draft:
        if place.real == place.root:
            raise ToolError("The workspace itself is a folder, not a file.")
        try:
            with open_folder(place.parent) as folder:
                status = folder.status(place.name)
                if status is None:
                    return _Draft(place, None, None)
                with folder.open(place.name) as file:
                    data = file.read(self._max_bytes + 1)
                    if not is_unchanged(status, os.fstat(file.fileno())):
                        raise ToolError(f"{str(place)!r} changes while it is read; try again.")
        except FileNotFoundError:
            return _Draft(place, None, None)
        is_text = len(data) <= self._max_bytes and b"\0" not in data
        return _Draft(place, status, data.decode("utf-8", "surrogateescape") if is_text else None)

    def _check_fresh(self, draft: _Draft) -> None:
        """After loading, and before `write_all` looks once more: what was loaded is what was read."""
        if draft.status is None:
            return
        try:
            self._file_time.check(draft.place.real)
        except ToolError as error:
            raise ToolError(str(error).replace(repr(draft.place.real), repr(str(draft.place)))) from None
        if not draft.status.st_mode & 0o222:
            raise ToolError(f"{str(draft.place)!r} is read-only.")

    def changes(self) -> list[Change]:
        """What there is to write, in the order in which the patch names the files."""
        changes: list[Change] = []
        for draft in self._changed():
            content = draft.after.encode("utf-8", "surrogateescape") if draft.after is not None else None
            changes.append(Change(draft.place, draft.status, content, draft.like))
        return changes

    def reports(self) -> list[Report]:
        """What the changes are, for people."""
        reports: list[Report] = []
        for draft in self._changed():
            if not draft.exists and draft.moved_to is not None and self._is_move(self._drafts[draft.moved_to.real]):
                continue  # told where it went
            name = str(draft.place)
            if draft.moved_from is not None and self._is_move(draft):
                source = self._drafts[draft.moved_from.real]
                diff = file_diff(str(source.place), name, source.before, draft.after)
                reports.append(Report(name, "move", diff, str(source.place)))
            elif draft.status is None:
                reports.append(Report(name, "add", file_diff(None, name, None, draft.after)))
            elif not draft.exists:
                reports.append(Report(name, "delete", file_diff(name, None, draft.before, None)))
            else:
                reports.append(Report(name, "update", file_diff(name, name, draft.before, draft.after)))
        return reports

    def _is_move(self, target: _Draft) -> bool:
        """Whether moving is all that it took: nothing was replaced, nothing came in the place of the source."""
        source = None if target.moved_from is None else self._drafts[target.moved_from.real]
        return source is not None and not source.exists and target.exists and target.status is None

    def _changed(self) -> list[_Draft]:
        return [
            draft
            for draft in self._drafts.values()
            if draft.exists != (draft.status is not None) or (draft.exists and draft.after != draft.before)
        ]
