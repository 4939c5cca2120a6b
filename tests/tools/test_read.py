"""`read_tool` with real files."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_nb.errors import ToolError, ToolInputError
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.tools import KnownFiles, plain_input, read_tool, validate_input
from llm_gateway_nb.types import (
    DocumentContentPart,
    ImageContentPart,
    Permissions,
    ToolCall,
    ToolContext,
    ToolDefinition,
    ToolExecutionResult,
    ToolPermission,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


async def read(path: Any, tool: ToolDefinition = read_tool, file_time: Any = None, **arguments: Any) -> Any:
    given = validate_input(tool, {"path": str(path), **arguments})
    assert tool.execute is not None
    result = await tool.execute(given, ToolContext(file_time=file_time))
    assert isinstance(result, ToolExecutionResult)
    return result


async def text(path: Any, tool: ToolDefinition = read_tool, **arguments: Any) -> str:
    return str((await read(path, tool, **arguments)).context)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


async def test_lines_are_numbered(here: Path) -> None:
    (here / "two.txt").write_text("first\nsecond\n")
    assert await text("two.txt") == "   1 | first\n   2 | second"
    assert await text(here / "two.txt") == "   1 | first\n   2 | second"
    assert (await read("two.txt")).result == {"path": "two.txt", "start": 0, "lines": 2, "total": 2}


async def test_a_range_says_where_it_stands_and_how_to_go_on(here: Path) -> None:
    (here / "ten.txt").write_text("".join(f"line {n}\n" for n in range(1, 11)))
    assert await text("ten.txt", limit=2) == "   1 | line 1\n   2 | line 2\n[lines 1 to 2 of 10; go on with offset=2]"
    assert await text("ten.txt", offset=8) == "   9 | line 9\n  10 | line 10\n[lines 9 to 10 of 10]"
    assert await text("ten.txt", offset=10) == "[the file has 10 lines, and no more]"
    assert await text("ten.txt", offset=99) == "[the file has 10 lines, and no more]"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", "[the file is empty]"),
        (b"\n", "   1 | "),
        (b"a", "   1 | a"),
        (b"a\n\nb", "   1 | a\n   2 | \n   3 | b"),
        (b"a\r\nb\r\n", "   1 | a\n   2 | b"),
        (b"\xef\xbb\xbfa\n", "   1 | a"),
        ("ä€😀\u2028x\n".encode(), "   1 | ä€😀\u2028x"),
        (b"caf\xe9\n", "   1 | caf\ufffd\n[some bytes are not UTF-8 and are shown as \ufffd]"),
        ("\ufffd\n".encode(), "   1 | \ufffd"),
    ],
)
async def test_text_of_every_kind_is_shown_as_it_is(here: Path, content: bytes, shown: str) -> None:
    (here / "f").write_bytes(content)
    assert await text("f") == shown


async def test_a_long_line_is_cut_with_a_mark(here: Path) -> None:
    (here / "long.txt").write_text("é" * 3000 + "\nnext\n" + "x" * 2000 + "\n" + "😀" * 200_000)
    first, second, third, fourth = (await text("long.txt")).split("\n")
    assert first == "   1 | " + "é" * 2000 + "… [truncated]"
    assert second == "   2 | next"
    assert third == "   3 | " + "x" * 2000
    assert fourth == "   4 | " + "😀" * 2000 + "… [truncated]"


async def test_more_than_50_kb_is_cut_with_a_hint_and_the_hint_is_right(here: Path) -> None:
    (here / "big.txt").write_text("".join(f"{n} " + "é" * 500 + "\n" for n in range(200)))
    first = await text("big.txt")
    assert len(first.encode()) < 50_200
    assert "of 200; go on with offset=49]" in first
    assert (await text("big.txt", offset=49)).startswith("  50 | 49 é")
    assert len(await text("big.txt", read_tool(max_text_bytes=10))) < 600, "one line at least"


async def test_a_file_of_100_mb_is_read_in_little_memory(here: Path) -> None:
    with (here / "huge.txt").open("wb") as file:
        block = b"".join(b"%07d a line of some length, as they are in logs\n" % n for n in range(20_000))
        for _ in range(100_000_000 // len(block)):
            file.write(block)
        lines = 20_000 * (100_000_000 // len(block))
        file.write(b"x" * 20_000_000)
    tracemalloc.start()
    try:
        start = await text("huge.txt", limit=3)
        end = await text("huge.txt", offset=lines)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert start.endswith(f"[lines 1 to 3 of {lines + 1}; go on with offset=3]")
    assert end.split("\n")[0] == f"{lines + 1:>4} | " + "x" * 2000 + "… [truncated]"
    assert peak < 8_000_000


async def test_a_cancelled_read_leaves_no_thread_at_work(here: Path) -> None:
    with (here / "huge.txt").open("wb") as file:
        file.truncate(200_000_000_000)  # a hole of zeros, after a text that is long enough to pass for one
        file.seek(0)
        file.write(b"a line\n" * 2_000)
    given = validate_input(read_tool, {"path": "huge.txt", "offset": 5_000})
    assert read_tool.execute is not None
    task = asyncio.ensure_future(read_tool.execute(given, ToolContext()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.png", PNG, "image/png"),
        ("photo", b"\xff\xd8\xff\xe0 jpeg", "image/jpeg"),
        ("a.gif", b"GIF89a...", "image/gif"),
        ("a.txt", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
async def test_an_image_is_a_part_that_the_model_sees(here: Path, name: str, content: bytes, kind: str) -> None:
    (here / name).write_bytes(content)
    result = await read(name)
    assert result.context == [ImageContentPart(media_type=kind, data=base64.b64encode(content).decode())]
    assert result.result == {"path": name, "mediaType": kind}


async def test_a_pdf_is_a_document(here: Path) -> None:
    (here / "paper.pdf").write_bytes(b"%PDF-1.7\n\0")
    assert (await read("paper.pdf")).context == [
        DocumentContentPart(media_type="application/pdf", data=base64.b64encode(b"%PDF-1.7\n\0").decode())
    ]


async def test_an_image_over_the_limit_is_refused(here: Path) -> None:
    (here / "big.png").write_bytes(PNG + bytes(5 * 2**20))
    with pytest.raises(ToolError, match=r"^'big.png' \(image/png\) is larger than 5 MB, the most that can be shown\.$"):
        await read("big.png")
    with pytest.raises(ToolError, match="larger than 10 bytes"):
        await read("big.png", read_tool(max_media_bytes=10))


async def test_what_is_no_text_and_no_image_is_refused(here: Path) -> None:
    (here / "program").write_bytes(b"\x7fELF\0\0")
    with pytest.raises(ToolError, match=r"^'program' is a binary file, which can't be shown as text\.$"):
        await read("program")
    os.mkfifo(here / "pipe")
    with pytest.raises(ToolError, match="'pipe' is a device, pipe or socket, not a file"):
        await asyncio.wait_for(read("pipe"), 30)


async def test_a_missing_file_is_a_text_with_names_that_are_close(here: Path) -> None:
    (here / "src").mkdir()
    (here / "src" / "Main.py").touch()
    assert await text("src/main.py") == "'src/main.py' was not found. Did you mean 'src/Main.py'?"
    assert await text("zzz") == "'zzz' was not found."
    assert await text("no/such/file") == "'no/such/file' was not found. There is no folder 'no/such' either."
    assert (await read("zzz")).result == {"path": "zzz", "found": False}


async def test_a_folder_is_its_names(here: Path) -> None:
    assert await text(".") == "'.' is empty."
    (here / "sub").mkdir()
    (here / "b.txt").touch()
    (here / "a\nb").touch()
    (here / os.fsdecode(b"caf\xe9")).touch()
    names = "a\\nb\nb.txt\ncaf\\udce9\nsub/"
    assert await text(".") == f"'.' is a folder with 4 names:\n{names}"
    for n in range(600):
        (here / "sub" / f"{n:03}").touch()
    listed = await text("sub")
    assert listed.startswith("'sub' is a folder with 600 names:\n000\n001\n")
    assert listed.endswith("499\n[100 more names left out]")


async def test_a_file_in_the_place_of_a_folder_and_one_that_may_not_be_read_are_told_in_a_sentence(here: Path) -> None:
    (here / "file").touch()
    with pytest.raises(ToolError, match=r"^'file' is a file, not a folder\.$"):
        await read("file/below")
    (here / "secret").touch(mode=0o000)
    if os.geteuid() != 0:
        with pytest.raises(ToolError, match=r"^'secret' can't be read: Permission denied\.$"):
            await read("secret")


async def test_what_was_read_is_noted_and_what_was_refused_is_not(here: Path) -> None:
    files = KnownFiles()
    (here / "a").write_text("text")
    (here / "b").write_bytes(b"\0")
    await read("a", file_time=files)
    files.check(here / "a")
    with pytest.raises(ToolError):
        await read("b", file_time=files)
    with pytest.raises(ToolError, match="has not been read"):
        files.check(here / "b")


# The workspace


@pytest.mark.parametrize(
    "path", ["../secret", "{tmp}/secret", "out", "up/secret", "{tmp}", "/etc/passwd", "../here2/x"]
)
async def test_a_path_outside_the_workspace_says_so_and_is_refused_by_itself(
    here: Path, tmp_path: Path, path: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    (here / "out").symlink_to(tmp_path / "secret")
    (here / "up").symlink_to(tmp_path)
    given = validate_input(read_tool, {"path": path.format(tmp=tmp_path)})
    assert given.path == str((here / path.format(tmp=tmp_path)).resolve()), (
        "the person and the rules see where it leads"
    )
    assert read_tool.goes_beyond is not None
    assert read_tool.goes_beyond(given) == f"{given.path!r} lies outside the workspace {here}"
    with pytest.raises(ToolError, match=r"outside the workspace .*/here; a rule .* the option `read_tool\(root=...\)`"):
        await text(path.format(tmp=tmp_path))


async def test_what_was_allowed_beyond_the_workspace_is_read_there_and_no_link_is_followed(
    here: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f").write_text("data")
    given = validate_input(read_tool, {"path": "../data/f"})
    allowed = ToolContext(beyond_workspace=True)
    assert read_tool.execute is not None
    result = await read_tool.execute(given, allowed)
    assert (result.context, result.result["path"]) == ("   1 | data", f"{tmp_path}/data/f")
    (tmp_path / "data" / "f").unlink()
    (tmp_path / "data" / "f").symlink_to("/etc/passwd")
    with pytest.raises(ToolError, match="is a link that was not there"):
        await read_tool.execute(given, allowed)


@pytest.mark.parametrize("path", ["~/x", "up/../x", "a\0b", "x" * 5000])
def test_a_path_that_could_be_read_in_two_ways_is_refused(here: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (here / "up").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ToolInputError, match="could mean more than one file"):
        validate_input(read_tool, {"path": path})


async def test_a_root_of_its_own_is_an_option_and_stays_with_further_options(here: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f").write_text("data")
    (here / "f").write_text("here")
    tool = read_tool(root=tmp_path / "data")(max_text_bytes=1_000)
    assert await text("f", tool) == "   1 | data"
    with pytest.raises(ToolError, match="outside the workspace"):
        await text(here / "f", tool)
    with pytest.raises(TypeError, match="color"):
        read_tool(color="red")
    with pytest.raises(ToolError, match=r"^The workspace .*/none can't be opened: No such file or directory\.$"):
        await text("f", read_tool(root=tmp_path / "none"))


async def test_the_whole_file_system_can_be_the_workspace(here: Path) -> None:
    (here / "f").write_text("x")
    assert await text(here / "f", read_tool(root="/")) == "   1 | x"


def test_permission_rules_see_the_file_that_is_read_whatever_the_root(here: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    grants = Grants(Permissions(allowlist=[ToolPermission(tool="read", params={"path": f"{here}/**"})]))

    def decide(tool: ToolDefinition) -> str:
        arguments = plain_input(validate_input(tool, {"path": "f"}))
        return grants.decide(ToolCall(id="1", name="read", arguments=arguments)).outcome

    assert decide(read_tool) == "allow"
    assert decide(read_tool(root=here)) == "allow"
    assert decide(read_tool(root=tmp_path / "data")) == "ask"
    assert plain_input(validate_input(read_tool(root=here), {"path": "f"}))["path"] == "f", (
        "as written, where it can be"
    )


async def test_links_inside_the_workspace_are_followed(here: Path) -> None:
    (here / "real").mkdir()
    (here / "real" / "f").write_text("x")
    (here / "link").symlink_to("real")
    assert await text("link/f") == "   1 | x"


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_a_link_put_in_the_way_after_the_call_was_judged_is_not_followed(
    here: Path, tmp_path: Path, what: str
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("secret")
    (here / "sub").mkdir()
    (here / "sub" / "f").write_text("harmless")
    given = validate_input(read_tool, {"path": "sub/f"})
    if what == "file":
        (here / "sub" / "f").unlink()
        (here / "sub" / "f").symlink_to(tmp_path / "outside" / "f")
    else:
        (here / "sub").rename(here / "was")
        (here / "sub").symlink_to(tmp_path / "outside")
    assert read_tool.execute is not None
    with pytest.raises(ToolError, match="is a link that was not there when the call was made"):
        await read_tool.execute(given, ToolContext())


async def test_a_link_that_flips_all_the_time_never_shows_what_lies_outside(here: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("secret")
    (here / "inside").mkdir()
    (here / "inside" / "f").write_text("harmless")
    (here / "to-out").symlink_to(tmp_path / "outside")
    (here / "sub").symlink_to(here / "inside")
    done = threading.Event()

    def flip() -> None:
        while not done.is_set():
            (here / "to-out").replace(here / "sub")
            (here / "to-out").symlink_to(tmp_path / "outside")
            (here / "to-in").symlink_to(here / "inside")
            (here / "to-in").replace(here / "sub")

    thread = threading.Thread(target=flip)
    thread.start()
    seen: set[str] = set()
    refused: list[str] = []
    try:
        for _ in range(400):
            try:
                seen.add(await text("sub/f"))
            except ToolError as error:
                refused.append(str(error))
    finally:
        done.set()
        thread.join()
    assert seen <= {"   1 | harmless"}
    assert all("outside the workspace" in sentence or "is a link" in sentence for sentence in refused)


@pytest.mark.parametrize("arguments", [{}, {"path": ""}, {"path": "x", "offset": -1}, {"path": "x", "limit": 0}])
def test_arguments_that_name_no_file_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolInputError):
        validate_input(read_tool, arguments)
