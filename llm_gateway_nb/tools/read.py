"""`read_tool`: a file of the workspace as the model can see it: numbered lines, an image, a document, a folder's names."""

from __future__ import annotations

import heapq
import os
import stat
import threading
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from llm_gateway_nb._words import counted
from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.permissions import derive_permission
from llm_gateway_nb.tools.known_files import known_files
from llm_gateway_nb.tools.read_media import media_type, read_media
from llm_gateway_nb.tools.read_text import Page, read_page
from llm_gateway_nb.tools.workspace import Folder, Place, Workspace, in_thread, open_folder, outside
from llm_gateway_nb.types import FileTime, ToolContext, ToolDefinition, ToolExecutionResult

__all__ = ["read_tool"]

_HEAD_BYTES = 8_192
_MAX_NAMES = 500
_MAX_COMPARED = 5_000
_ATTEMPTS = 5

Result = ToolExecutionResult[dict[str, Any]]


def make_read_tool(
    *, root: str | Path | None = None, max_text_bytes: int = 50_000, max_media_bytes: int = 5 * 2**20
) -> ToolDefinition:
    """The tool with other options.

    Args:
        root: the workspace; what lies outside asks, unless a rule names its path. None is the working
            directory at the time of the call.
        max_text_bytes: of a longer text the model gets this much, and is told how to go on.
        max_media_bytes: a larger image or PDF is refused.
    """
    workspace = Workspace(root, tool="read_tool")

    class Read(BaseModel):
        model_config = ConfigDict(extra="forbid")

        path: str = Field(description="A file or folder, absolute or from the workspace.", min_length=1)
        offset: int = Field(default=0, ge=0, description="How many lines to leave out at the beginning.")
        limit: int = Field(default=2_000, ge=1, description="How many lines to read.")
        _place: Place = PrivateAttr()

        @field_validator("path")
        @classmethod
        def _lies_inside(cls, path: str) -> str:
            _located(workspace, path)
            return workspace.anchored(path)

        @model_validator(mode="after")
        def _resolve_now(self) -> Read:
            self._place = _located(workspace, self.path)  # now, as the rules do, and not when a person has answered
            return self

    async def execute(given: Read, ctx: ToolContext) -> Result:
        workspace.check(given._place, ctx)
        file_time = known_files if ctx.file_time is None else ctx.file_time
        page = partial(read_page, offset=given.offset, limit=given.limit, max_bytes=max_text_bytes)

        def work(stop: threading.Event) -> Result:
            try:
                return _read(given._place, file_time, partial(page, stop=stop), max_media_bytes)
            except OSError as error:
                raise ToolError(f"{str(given._place)!r} can't be read: {error.strerror}.") from None

        return await in_thread(work)

    definition = ToolDefinition(
        name="read",
        description="Read a file: text as numbered lines, an image or a PDF as you see it, a folder as its names.",
        schema_=Read,
        execute=execute,
        # Which lines are read is not what a person means by "always".
        derive_permission=lambda params: derive_permission("read", {"path": params["path"]}),
        goes_beyond=lambda given: outside([given._place]),
    )
    definition._configure = partial(
        make_read_tool, root=root, max_text_bytes=max_text_bytes, max_media_bytes=max_media_bytes
    )
    return definition


def _located(workspace: Workspace, path: str) -> Place:
    """As a validator says it: a call that can't succeed is refused before a person is asked about it."""
    try:
        return workspace.place(path)
    except ToolError as error:
        raise PydanticCustomError("path", "{sentence}", {"sentence": str(error).rstrip(".")}) from None


def _read(place: Place, file_time: FileTime, page: partial[Page], max_media_bytes: int) -> Result:
    if place.real == place.root:
        with open_folder(place) as folder:
            return _listed(folder)
    try:
        with open_folder(place.parent) as folder:
            status = folder.status(place.name)
            if status is None:
                return _missing(place, folder)
            if stat.S_ISDIR(status.st_mode):
                with folder.step(place.name) as inner:
                    return _listed(inner)
            for _ in range(_ATTEMPTS):
                with folder.open(place.name) as file:
                    kind = _kind(file, place)
                    file_time.read(place.real)
                    if _is_same(file, folder.status(place.name)):
                        # All content is read after it was noted: a later change is one that `check` sees.
                        return _content(file, place, kind, page, max_media_bytes)
    except FileNotFoundError:
        return _missing(place, None)
    raise ToolError(f"{str(place)!r} is replaced faster than it can be read; try again.")


def _kind(file: BinaryIO, place: Place) -> str | None:
    """Its media type, None for text.

    Raises:
        ToolError: it is binary, and nothing that a model can see.
    """
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    kind = media_type(head)
    if kind is None and b"\0" in head:
        raise ToolError(f"{str(place)!r} is a binary file, which can't be shown as text.")
    return kind


def _is_same(file: BinaryIO, status: os.stat_result | None) -> bool:
    return status is not None and os.path.samestat(os.fstat(file.fileno()), status)


def _content(file: BinaryIO, place: Place, kind: str | None, page: partial[Page], max_media_bytes: int) -> Result:
    if kind is not None:
        part = read_media(file, kind, name=str(place), max_bytes=max_media_bytes)
        return ToolExecutionResult(context=[part], result={"path": str(place), "mediaType": kind})
    shown = page(file)
    result = {"path": str(place), "start": shown.start, "lines": shown.shown, "total": shown.total}
    return ToolExecutionResult(context="\n".join(filter(None, [shown.text, *_notes(shown)])), result=result)


def _notes(page: Page) -> list[str]:
    """What the model has to know beside the lines."""
    notes = ["[some bytes are not UTF-8 and are shown as \ufffd]"] if page.broken else []
    if not page.shown:
        empty = (
            "[the file is empty]" if not page.total else f"[the file has {counted(page.total, 'line')}, and no more]"
        )
        return [*notes, empty]
    if page.is_cut or page.start:
        last = page.start + page.shown
        of = f"more than {last}" if page.total is None else page.total
        on = f"; go on with offset={last}" if page.is_cut else ""
        notes.append(f"[lines {page.start + 1} to {last} of {of}{on}]")
    return notes


def _listed(folder: Folder) -> Result:
    names = [f"{_printable(name)}/" if is_folder else _printable(name) for name, is_folder in folder.names()]
    shown = heapq.nsmallest(_MAX_NAMES, names)
    more = f"[{len(names) - len(shown)} more names left out]" if len(names) > len(shown) else ""
    head = (
        f"{str(folder.place)!r} is a folder with {counted(len(names), 'name')}:"
        if names
        else f"{str(folder.place)!r} is empty."
    )
    text = "\n".join(filter(None, [head, *shown, more]))
    return ToolExecutionResult(context=text, result={"path": str(folder.place), "names": shown})


def _printable(name: str) -> str:
    """A file name may hold a newline, and bytes that are no text."""
    return name if name.isprintable() else repr(name)[1:-1]


def _missing(place: Place, folder: Folder | None) -> Result:
    """A text and not an error: models look for files that may not be there."""
    text = f"{str(place)!r} was not found."
    if folder is None:
        text += f" There is no folder {str(place.parent)!r} either."
    else:
        by_folded = {name.casefold(): _printable(name) for name, _ in folder.names()[:_MAX_COMPARED]}
        close = [by_folded[match] for match in get_close_matches(place.name.casefold(), by_folded, n=3)]
        paths = [str(Place(place.root, f"{place.parent.real.rstrip('/')}/{name}")) for name in close]
        text += f" Did you mean {' or '.join(map(repr, paths))}?" if paths else ""
    return ToolExecutionResult(context=text, result={"path": str(place), "found": False})


read_tool = make_read_tool()
"""`read(path, offset, limit)`: files of the working directory. Options: `read_tool(root="data")`."""
