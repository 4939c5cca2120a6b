"""`patch_tool` with real files."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_nb.errors import ToolError, ToolInputError
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.tools import KnownFiles, patch_tool, plain_input, read_tool, validate_input
from llm_gateway_nb.tools.workspace import Folder
from llm_gateway_nb.types import Permissions, ToolCall, ToolContext, ToolDefinition, ToolExecutionResult


class Session:
    """A folder, and a model's view of it: what it has read, and patches to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = KnownFiles()

    def write(self, name: str, text: str) -> Path:
        """A file that the model has read."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        self.files.read(path)
        return path

    def text(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode()

    def names(self) -> list[str]:
        found = (path for path in self.folder.rglob("*") if not path.is_dir())
        return sorted(str(path.relative_to(self.folder)) for path in found)

    async def patch(self, *lines: str, tool: ToolDefinition = patch_tool) -> ToolExecutionResult[Any]:
        return await self.execute(self.given(*lines, tool=tool), tool)

    def given(self, *lines: str, tool: ToolDefinition = patch_tool) -> Any:
        return validate_input(tool, {"patch": "\n".join(["*** Begin Patch", *lines, "*** End Patch"])})

    async def execute(self, given: Any, tool: ToolDefinition = patch_tool) -> ToolExecutionResult[Any]:
        assert tool.execute is not None
        result = await tool.execute(given, ToolContext(file_time=self.files))
        assert isinstance(result, ToolExecutionResult)
        return result


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Session(folder)


async def test_a_file_is_added_with_its_folders_and_a_last_newline(here: Session) -> None:
    result = await here.patch("*** Add File: a/b/new.txt", "+one", "+two")
    assert here.text("a/b/new.txt") == "one\ntwo\n"
    assert result.context == "added a/b/new.txt (+2 -0)"
    assert result.result == {
        "diff": "--- /dev/null\n+++ b/a/b/new.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n",
        "files": [{"path": "a/b/new.txt", "action": "add", "added": 2, "removed": 0}],
    }


async def test_a_file_that_is_there_is_not_added_again(here: Session) -> None:
    (here.folder / "f").write_text("old")
    with pytest.raises(ToolError, match="'f' already exists"):
        await here.patch("*** Add File: f", "+new")
    assert here.text("f") == "old"


async def test_several_files_are_changed_in_one_patch(here: Session) -> None:
    here.write("u", "a\nb\n")
    here.write("d", "gone\n")
    here.write("m", "1\n2\n")
    result = await here.patch(
        "*** Add File: n", "+new",
        "*** Update File: u", "@@", " a", "-b", "+c",
        "*** Delete File: d",
        "*** Update File: m", "*** Move to: sub/m", "@@", "-2", "+3",
    )  # fmt: skip
    assert here.names() == ["n", "sub/m", "u"]
    assert (here.text("u"), here.text("sub/m")) == ("a\nc\n", "1\n3\n")
    assert str(result.context).split("\n") == [
        "added n (+1 -0)",
        "updated u (+1 -1)",
        "deleted d (+0 -1)",
        "moved m to sub/m (+1 -1)",
    ]
    assert result.result["files"][3] == {"path": "sub/m", "action": "move", "added": 1, "removed": 1, "from": "m"}
    assert "--- a/d\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n" in result.result["diff"]


async def test_a_file_may_come_more_than_once_in_a_patch(here: Session) -> None:
    here.write("f", "a\nb\n")
    here.write("swap", "old\n")
    result = await here.patch(
        "*** Update File: f", "@@", "-b", "+B",
        "*** Update File: f", "@@", "-a", "+A",
        "*** Add File: g", "+x",
        "*** Update File: ./g", "@@", "-x", "+y",
        "*** Delete File: swap",
        "*** Add File: swap", "+new",
    )  # fmt: skip
    assert (here.text("f"), here.text("g"), here.text("swap")) == ("A\nB\n", "y\n", "new\n")
    assert [file["action"] for file in result.result["files"]] == ["update", "add", "update"]


async def test_a_chain_of_moves_tells_what_became_of_every_file(here: Session) -> None:
    here.write("a", "1\n")
    here.write("b", "2\n")
    result = await here.patch(
        "*** Delete File: b", "*** Update File: a", "*** Move to: b", "*** Update File: b", "@@", "-1", "+3"
    )
    assert (here.names(), here.text("b")) == (["b"], "3\n")
    assert result.context == "updated b (+1 -1)\ndeleted a (+0 -1)"


async def test_a_second_patch_needs_no_second_read(here: Session) -> None:
    here.write("f", "a\n")
    await here.patch("*** Update File: f", "@@", "-a", "+b")
    here.files.check(here.folder / "f")
    await here.patch("*** Update File: f", "@@", "-b", "+c")
    assert here.text("f") == "c\n"


async def test_what_the_model_has_not_read_or_not_lately_is_not_changed(here: Session) -> None:
    (here.folder / "unread").write_text("a\n")
    for lines in (("*** Update File: unread", "-a"), ("*** Delete File: unread",)):
        with pytest.raises(ToolError, match=r"^'unread' has not been read yet; read it first\.$"):
            await here.patch(*lines)
    here.write("f", "a\n").write_text("b\n")
    with pytest.raises(ToolError, match=r"^'f' has changed since it was read; read it again\.$"):
        await here.patch("*** Update File: f", "@@", "-b", "+c")


async def test_without_a_context_of_its_own_it_knows_what_read_has_read(here: Session) -> None:
    (here.folder / "f").write_text("a\n")
    assert read_tool.execute is not None
    assert patch_tool.execute is not None
    await read_tool.execute(validate_input(read_tool, {"path": "f"}), ToolContext())
    await patch_tool.execute(here.given("*** Update File: f", "@@", "-a", "+b"), ToolContext())
    assert here.text("f") == "b\n"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("*** Update File: none", "@@", "-a"), "'none' was not found"),
        (("*** Delete File: none/deep",), "'none/deep' was not found"),
        (("*** Update File: f", "@@", "-x"), "does not fit: f does not have its context"),
        (("*** Update File: f", "*** Move to: g", "@@", "-a", "+b"), "'g' already exists"),
        (("*** Delete File: sub",), "'sub' is a folder"),
        (("*** Add File: sub", "+x"), "'sub' is a folder"),
        (("*** Add File: f/below", "+x"), "'f' is a file, not a folder"),
        (("*** Add File: .", "+x"), "workspace itself"),
        (("*** Update File: binary", "@@", "+x"), "'binary' is no text"),
        (("*** Update File: readonly", "@@", "-a", "+b"), "'readonly' is read-only"),
    ],
)
async def test_a_patch_that_does_not_fit_says_why_and_changes_nothing(
    here: Session, lines: tuple[str, ...], says: str
) -> None:
    for name in ("f", "g", "h", "sub/x", "binary", "readonly"):
        here.write(name, "\0" if name == "binary" else "a\n")
    (here.folder / "readonly").chmod(0o444)
    here.files.read(here.folder / "readonly")
    before = here.names()
    with pytest.raises(ToolError, match=says):
        await here.patch("*** Add File: first", "+x", "*** Delete File: h", *lines)
    assert here.names() == before
    assert here.text("f") == "a\n"


async def test_a_patch_that_changes_nothing_says_so(here: Session) -> None:
    here.write("f", "a\n")
    with pytest.raises(ToolError, match="changes nothing"):
        await here.patch("*** Update File: f", "@@", " a")


async def test_line_ends_a_missing_last_newline_and_bytes_that_are_no_text_stay(here: Session) -> None:
    here.write("crlf", "a\r\nb\r\n")
    here.write("open", "a\nb")
    latin = here.folder / "latin"
    latin.write_bytes(b"caf\xe9\nb\n")
    here.files.read(latin)
    result = await here.patch(
        "*** Update File: crlf", "@@", " a", "-b", "+c",
        "*** Update File: open", "@@", " a", "-b", "+c",
        "*** Update File: latin", "@@", "-b", "+ü",
    )  # fmt: skip
    assert (here.text("crlf"), here.text("open")) == ("a\r\nc\r\n", "a\nc")
    assert latin.read_bytes() == b"caf\xe9\n\xc3\xbc\n"
    result.model_dump_json()


async def test_the_mode_of_a_file_stays_also_where_it_moves(here: Session) -> None:
    here.write("run.sh", "a\n").chmod(0o750)
    here.files.read("run.sh")
    await here.patch("*** Update File: run.sh", "@@", "-a", "+b")
    await here.patch("*** Update File: run.sh", "*** Move to: go.sh", "@@", "-b", "+c")
    assert stat.S_IMODE((here.folder / "go.sh").stat().st_mode) == 0o750


async def test_a_link_in_the_workspace_stays_a_link_and_its_file_is_changed(here: Session) -> None:
    here.write("real", "a\n")
    (here.folder / "link").symlink_to("real")
    await here.patch("*** Update File: link", "@@", "-a", "+b")
    assert (here.folder / "link").is_symlink()
    assert here.text("real") == "b\n"


# All or nothing


@pytest.mark.parametrize("method", ["create", "link", "rename"])
@pytest.mark.parametrize("at", range(1, 8))
async def test_a_failure_at_any_step_leaves_everything_as_it_was(
    here: Session, monkeypatch: pytest.MonkeyPatch, method: str, at: int
) -> None:
    for name in ("u", "d", "m"):
        here.write(name, f"{name}\n")
    original, calls = getattr(Folder, method), 0

    def failing(self: Folder, *args: str) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(28, "No space left on device")
        return original(self, *args)

    inodes = {name: (here.folder / name).stat().st_ino for name in ("u", "d", "m")}
    monkeypatch.setattr(Folder, method, failing)
    lines = (
        "*** Update File: u", "@@", "-u", "+U",
        "*** Add File: deep/er/n", "+n",
        "*** Delete File: d",
        "*** Update File: m", "*** Move to: moved", "@@", "-m", "+M",
    )  # fmt: skip
    try:
        await here.patch(*lines)
    except ToolError as error:
        assert "Nothing was changed" in str(error)  # noqa: PT017
        assert here.names() == ["d", "m", "u"]
        assert [here.text(name) for name in ("d", "m", "u")] == ["d\n", "m\n", "u\n"]
        assert not (here.folder / "deep").exists()
        assert {name: (here.folder / name).stat().st_ino for name in inodes} == inodes
        for name in inodes:
            here.files.check(name)
    else:  # a file system without links, or fewer steps than that
        assert here.names() == ["deep/er/n", "moved", "u"]
        assert (here.text("u"), here.text("moved")) == ("U\n", "M\n")


async def test_what_can_not_be_undone_is_told_with_the_place_of_the_old_content(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.write("u", "old\n")
    original = Folder.rename

    def failing(self: Folder, old: str, new: str) -> None:
        if old.endswith(".old") or here.names() == []:
            raise OSError(5, "Input/output error")
        original(self, old, new)

    def no_link(self: Folder, old: str, new: str) -> None:
        if new == "zz":
            raise FileExistsError(17, "File exists")
        Folder.rename(self, old, new)

    monkeypatch.setattr(Folder, "rename", failing)
    monkeypatch.setattr(Folder, "link", no_link)
    with pytest.raises(
        ToolError, match=r"could not be undone: 'u' \(Input/output error; its old content is in '.patch-"
    ):
        await here.patch("*** Update File: u", "@@", "-old", "+new", "*** Add File: zz", "+x")
    [kept] = [name for name in here.names() if name.endswith(".old")]
    assert here.text(kept) == "old\n"


async def test_a_file_that_changes_while_the_patch_is_made_ready_is_not_overwritten(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.write("f", "a\n")
    original = Folder.create

    def meanwhile(self: Folder, name: str) -> Any:
        (here.folder / "f").write_text("somebody else was here\n")
        return original(self, name)

    monkeypatch.setattr(Folder, "create", meanwhile)
    with pytest.raises(ToolError, match="Nothing was changed: 'f' changed in this moment"):
        await here.patch("*** Update File: f", "@@", "-a", "+b")
    assert here.text("f") == "somebody else was here\n"
    assert here.names() == ["f"]


async def test_who_reads_meanwhile_sees_the_old_or_the_new_file_and_never_none(here: Session) -> None:
    here.write("f", "0\n" * 1000)
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add((here.folder / "f").read_text())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for n in range(50):
            await here.patch("*** Update File: f", *(line for _ in range(1000) for line in (f"-{n}", f"+{n + 1}")))
    finally:
        done.set()
        thread.join()
    assert seen <= {f"{n}\n" * 1000 for n in range(51)}


async def test_patches_to_one_file_go_strictly_one_after_another(here: Session) -> None:
    here.write("log", "start\n")
    context = ToolContext(file_time=here.files)
    assert patch_tool.execute is not None
    given = [here.given("*** Update File: log", "@@", f"+{n}") for n in range(20)]
    await asyncio.gather(*(patch_tool.execute(each, context) for each in given))
    assert here.text("log") == "start\n" + "".join(f"{n}\n" for n in range(20))


async def test_of_two_who_read_the_same_state_only_the_first_writes(here: Session) -> None:
    path = here.write("f", "a\n")
    other = Session(here.folder)
    other.files.read(path)
    mine, theirs = await asyncio.gather(
        here.patch("*** Update File: f", "@@", "-a", "+mine"),
        other.patch("*** Update File: f", "@@", "+theirs"),
        return_exceptions=True,
    )
    assert isinstance(mine, ToolExecutionResult)
    assert isinstance(theirs, ToolError)
    assert here.text("f") == "mine\n"


async def test_a_cancelled_patch_is_done_as_a_whole_or_not_at_all_and_is_over_when_it_says_so(here: Session) -> None:
    for turn in range(30):
        names = [f"{turn}-{n}" for n in range(5)]
        given = here.given(*(line for name in names for line in (f"*** Add File: {name}", "+x")))
        task = asyncio.create_task(here.execute(given))
        for _ in range(turn % 6):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=30)
        assert task.done()
        there = [name for name in here.names() if name.startswith((f"{turn}-", ".patch"))]
        assert there in ([], names)


# The workspace and the rules


@pytest.mark.parametrize("header", ["Add File: ../x", "Update File: link/x", "Delete File: /etc/passwd"])
async def test_a_patch_that_reaches_outside_says_so_and_is_refused_by_itself(
    here: Session, tmp_path: Path, header: str
) -> None:
    (here.folder / "link").symlink_to(tmp_path)
    given = here.given("*** Add File: fine", "+x", f"*** {header}", *(["+x"] if "Delete" not in header else []))
    assert patch_tool.goes_beyond is not None
    assert "lies outside the workspace" in str(patch_tool.goes_beyond(given))
    with pytest.raises(
        ToolError, match=r"outside the workspace .*/here; a rule .* the option `patch_tool\(root=...\)`"
    ):
        await here.execute(given)
    moved = here.given("*** Update File: a", "*** Move to: ../b", "@@", "-a")
    assert f"Move to: {tmp_path}/b" in moved.patch, "the person and the rules see where it leads"
    with pytest.raises(ToolError, match="outside the workspace"):
        await here.execute(moved)
    assert here.names() == []


async def test_a_patch_that_was_allowed_beyond_the_workspace_is_done_there(here: Session, tmp_path: Path) -> None:
    given = here.given("*** Add File: ../beside/new", "+x", "*** Add File: in", "+y")
    assert patch_tool.execute is not None
    result = await patch_tool.execute(given, ToolContext(file_time=here.files, beyond_workspace=True))
    assert result.context == f"added {tmp_path}/beside/new (+1 -0)\nadded in (+1 -0)"
    assert (tmp_path / "beside" / "new").read_text() == "x\n"


def test_a_broken_patch_is_refused_before_anybody_is_asked(here: Session) -> None:
    with pytest.raises(ToolInputError, match="do not fit: patch: A patch begins with a line"):
        validate_input(patch_tool, {"patch": "--- a\n+++ b {x}"})


async def test_a_link_put_in_the_way_after_the_patch_was_judged_is_not_followed(here: Session, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("a\n")
    here.files.read(outside / "f")
    here.write("sub/f", "a\n")
    update = here.given("*** Update File: sub/f", "@@", "-a", "+b")
    add = here.given("*** Add File: sub/new", "+x")
    add_deep = here.given("*** Add File: sub/deep/new", "+x")
    delete = here.given("*** Delete File: sub/f")
    (here.folder / "sub").rename(here.folder / "was")
    (here.folder / "sub").symlink_to(outside)
    for given in (update, add, add_deep, delete):
        with pytest.raises(ToolError, match="'sub' is a link that was not there"):
            await here.execute(given)
    assert [path.name for path in outside.iterdir()] == ["f"]
    assert (outside / "f").read_text() == "a\n"


async def test_a_folder_that_flips_to_a_link_all_the_time_never_leads_a_patch_outside(
    here: Session, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (here.folder / "sub").mkdir()
    done = threading.Event()

    def flip() -> None:
        sub, aside = here.folder / "sub", tmp_path / "aside"
        aside.mkdir()
        for turn in itertools.count():
            with contextlib.suppress(FileNotFoundError):
                sub.rename(aside / str(turn))
            with contextlib.suppress(FileExistsError):  # a patch has just made the folder
                sub.symlink_to(outside)
                sub.unlink()
            sub.mkdir(exist_ok=True)
            if done.is_set():
                return

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        for n in range(200):
            try:
                await here.patch(f"*** Add File: sub/{n}", "+x")
            except ToolError:
                continue
    finally:
        done.set()
        thread.join()
    assert list(outside.iterdir()) == []
    assert not [name for name in here.names() if ".patch-" in name]


async def test_a_root_of_its_own_is_an_option(here: Session, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    tool = patch_tool(root=tmp_path / "project")(max_bytes=5)
    result = await here.patch("*** Add File: f", "+x", tool=tool)
    assert (tmp_path / "project" / "f").read_text() == "x\n"
    assert result.context == "added f (+1 -0)"
    await here.patch("*** Update File: f", "@@", "-x", "+0123456789", tool=tool)
    with pytest.raises(ToolError, match="larger than 5 bytes"):
        await here.patch("*** Update File: f", "@@", "+x", tool=tool)
    with pytest.raises(TypeError, match="color"):
        patch_tool(color="red")


def test_always_covers_the_folder_that_is_really_patched_whatever_the_root(here: Session, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    tool = patch_tool(root=tmp_path / "project")
    grants = Grants(Permissions())

    def call(tool: ToolDefinition, path: str) -> ToolCall:
        arguments = plain_input(here.given(f"*** Add File: {path}", "+x", tool=tool))
        return ToolCall(id="1", name="patch", arguments=arguments)

    decision = grants.decide(call(tool, "src/a"), derive=tool.derive_permission)
    assert decision.rule is not None
    assert decision.rule.params == {"patch": f"{tmp_path}/project/src/**"}
    grants.grant(decision.rule)
    assert grants.decide(call(tool, "src/b")).outcome == "allow"
    assert grants.decide(call(tool, "b")).outcome == "ask"
    assert grants.decide(call(patch_tool, "src/b")).outcome == "ask"


async def test_where_a_system_can_not_open_below_a_folder_files_are_changed_by_their_paths(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_gateway_nb.tools.workspace._HAS_DIR_FD", False)
    here.write("sub/f", "a\n")
    await here.patch("*** Update File: sub/f", "*** Move to: new/g", "@@", "-a", "+b")
    assert (here.names(), here.text("new/g")) == (["new/g"], "b\n")
    assert read_tool.execute is not None
    listed = await read_tool.execute(validate_input(read_tool, {"path": "new"}), ToolContext())
    assert listed.result == {"path": "new", "names": ["g"]}
    with pytest.raises(ToolError, match="'none/f' was not found"):
        await here.patch("*** Delete File: none/f")


async def test_whatever_remembers_files_will_do(here: Session) -> None:
    class Notes:
        def __init__(self) -> None:
            self.noted: list[str] = []

        def read(self, path: str | Path) -> None:
            self.noted.append(str(path))

        def check(self, path: str | Path) -> None:
            if str(path) not in self.noted:
                raise ToolError("not noted")

    (here.folder / "f").write_text("a\n")
    context = ToolContext(file_time=Notes())
    assert read_tool.execute is not None
    assert patch_tool.execute is not None
    given = here.given("*** Update File: f", "@@", "-a", "+b")
    with pytest.raises(ToolError, match="not noted"):
        await patch_tool.execute(given, context)
    await read_tool.execute(validate_input(read_tool, {"path": "f"}), context)
    await patch_tool.execute(given, context)
    assert here.text("f") == "b\n"
