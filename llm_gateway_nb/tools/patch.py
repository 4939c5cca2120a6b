"""`patch_tool`: several files changed at once, or none of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.permissions import derive_permission
from llm_gateway_nb.permissions.paths import run_by_others
from llm_gateway_nb.tools.known_files import known_files
from llm_gateway_nb.tools.patch_parse import Operation, anchor_paths, parse_patch, paths_of
from llm_gateway_nb.tools.patch_plan import Action, Plan, Report
from llm_gateway_nb.tools.patch_write import write_all
from llm_gateway_nb.tools.workspace import Place, Workspace, in_thread, outside
from llm_gateway_nb.types import FileTime, ToolContext, ToolDefinition, ToolExecutionResult

__all__ = ["patch_tool"]

_DESCRIPTION = """Add, update, move and delete files: all that the patch says, or nothing. Read a file before you change it.

*** Begin Patch
*** Add File: notes/new.md
+each line of a new file begins with a plus
*** Update File: src/app.py
@@ def main():
 context, as it stands in the file, begins with a space
-a line to take out
+a line to put in
*** Delete File: old.txt
*** End Patch

After @@ may stand a line that comes before the hunk, such as its function. Give about three lines of context above and \
below a change. Hunks of a file go from top to bottom. `*** Move to: path` under an `*** Update File:` moves the file."""

_DONE: dict[Action, str] = {"add": "added", "update": "updated", "delete": "deleted", "move": "moved"}

Result = ToolExecutionResult[dict[str, Any]]


def make_patch_tool(*, root: str | Path | None = None, max_bytes: int = 10_000_000) -> ToolDefinition:
    """The tool with other options.

    Args:
        root: the workspace; what lies outside asks, unless a rule names its path. None is the working
            directory at the time of the call.
        max_bytes: a larger file is not updated.
    """
    workspace = Workspace(root, tool="patch_tool")

    class Patch(BaseModel):
        model_config = ConfigDict(extra="forbid")

        patch: str = Field(description="From `*** Begin Patch` to `*** End Patch`.", min_length=1)
        _operations: list[Operation] = PrivateAttr()
        _places: dict[str, Place] = PrivateAttr()

        @field_validator("patch")
        @classmethod
        def _makes_sense(cls, patch: str) -> str:
            _understood(patch, workspace)
            return anchor_paths(patch, workspace.anchored)

        @model_validator(mode="after")
        def _resolve_now(self) -> Patch:
            self._operations, self._places = _understood(self.patch, workspace)  # now, as the rules do
            return self

    async def execute(given: Patch, ctx: ToolContext) -> Result:
        for place in given._places.values():
            workspace.check(place, ctx)
        file_time = known_files if ctx.file_time is None else ctx.file_time

        def work(stop: threading.Event) -> Result:
            def check() -> None:
                if stop.is_set():
                    raise ToolError("The patch was stopped; nothing was changed.")

            plan = Plan(given._places, file_time, max_bytes=max_bytes, check=check)
            try:
                for operation in given._operations:
                    plan.apply(operation)
                return _carry_out(plan, file_time, check)
            except OSError as error:
                raise ToolError(f"Nothing was changed, because a file can't be read: {error.strerror}.") from None

        async with known_files.with_lock(*(place.real for place in given._places.values())):
            return await in_thread(work)

    definition = ToolDefinition(
        name="patch",
        description=_DESCRIPTION,
        schema_=Patch,
        execute=execute,
        derive_permission=lambda params: derive_permission("patch", {"patch": params["patch"]}, root=workspace.root()),
        goes_beyond=lambda given: outside(given._places.values()) or _hidden(given._places.values()),
    )
    definition._configure = partial(make_patch_tool, root=root, max_bytes=max_bytes)
    return definition


def _understood(patch: str, workspace: Workspace) -> tuple[list[Operation], dict[str, Place]]:
    """As a validator says it: a patch that can't be applied anywhere is refused before a person is asked about it."""
    try:
        operations = parse_patch(patch)
        return operations, {path: workspace.place(path) for path in paths_of(operations)}
    except ToolError as error:
        raise PydanticCustomError("patch", "{sentence}", {"sentence": str(error).rstrip(".")}) from None


def _hidden(places: Iterable[Place]) -> str | None:
    """Who may change any file of the workspace has not thought of its git hooks."""
    found = next((place for place in places if run_by_others(place.real, below=place.root)), None)
    return None if found is None else f"other programs run what is in {str(found)!r}"


def _carry_out(plan: Plan, file_time: FileTime, check: Callable[[], None]) -> Result:
    changes, reports = plan.changes(), plan.reports()
    if not changes:
        raise ToolError("The patch changes nothing: every file is already as it says.")
    check()
    write_all(changes)
    for change in changes:
        if change.content is not None:
            with contextlib.suppress(ToolError):  # gone again already; the patch is done all the same
                file_time.read(change.place.real)
    return ToolExecutionResult(
        context="\n".join(map(_sentence, reports)),
        result={
            "diff": "".join(report.diff.text for report in reports),
            "files": [
                {
                    "path": report.path,
                    "action": report.action,
                    "added": report.diff.added,
                    "removed": report.diff.removed,
                    **({} if report.moved_from is None else {"from": report.moved_from}),
                }
                for report in reports
            ],
        },
    )


def _sentence(report: Report) -> str:
    source = "" if report.moved_from is None else f"{report.moved_from} to "
    return f"{_DONE[report.action]} {source}{report.path} (+{report.diff.added} -{report.diff.removed})"


patch_tool = make_patch_tool()
"""`patch(patch)`: files of the working directory. Options: `patch_tool(root="project")`."""
