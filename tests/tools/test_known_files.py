"""`KnownFiles` knows files by what they are, and gives each to one at a time."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from pathlib import Path

import pytest

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.tools import KnownFiles
from llm_gateway_nb.types import FileTime, ToolContext


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("one")
    return path


def test_it_is_what_a_context_wants() -> None:
    files = KnownFiles()
    assert isinstance(files, FileTime)
    assert ToolContext(file_time=files).file_time is files


def test_a_file_that_was_read_and_left_alone_passes(file: Path) -> None:
    files = KnownFiles()
    files.read(file)
    files.check(file)
    files.check(str(file))


def test_a_file_that_was_never_read_does_not_pass(file: Path) -> None:
    with pytest.raises(ToolError, match=r"file.txt' has not been read yet; read it first\.$"):
        KnownFiles().check(file)


def test_a_file_that_is_gone_or_replaced_or_longer_does_not_pass(file: Path) -> None:
    files = KnownFiles()
    files.read(file)
    file.write_text("longer")
    with pytest.raises(ToolError, match="has changed since it was read; read it again"):
        files.check(file)
    files.read(file)
    twin = file.with_name("twin")
    twin.write_text("longer")
    os.utime(twin, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    twin.replace(file)
    with pytest.raises(ToolError, match="has changed"):
        files.check(file)
    files.read(file)
    file.unlink()
    with pytest.raises(ToolError, match="is gone"):
        files.check(file)
    with pytest.raises(ToolError, match="can't be read: No such file"):
        files.read(file)
    with pytest.raises(ToolError, match="has not been read"):
        files.check(file)


def test_a_change_that_the_clock_of_the_file_system_does_not_show_is_seen(file: Path) -> None:
    files = KnownFiles()
    files.read(file)
    before = file.stat()
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(ToolError, match="has changed"):
        files.check(file)


def test_two_spellings_of_a_path_are_one_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    (file.parent / "folder").mkdir()
    (file.parent / "link").symlink_to(file)
    files = KnownFiles()
    files.read("folder/../file.txt")
    for spelling in (file, "file.txt", "./file.txt", "link"):
        files.check(spelling)
    files.forget("link")
    with pytest.raises(ToolError, match="has not been read"):
        files.check(file)


def test_it_remembers_so_many_files_and_forgets_the_oldest(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    files = KnownFiles(remembered=2)
    for path in paths:
        path.touch()
    files.read(paths[0])
    files.read(paths[1])
    files.read(paths[0])
    files.read(paths[2])
    files.check(paths[0])
    files.check(paths[2])
    with pytest.raises(ToolError, match="has not been read"):
        files.check(paths[1])


async def test_two_who_want_one_file_have_it_one_after_the_other_in_the_order_they_asked(file: Path) -> None:
    happened: list[int] = []

    async def work(number: int, path: Path | str) -> None:
        async with KnownFiles().with_lock(path):  # whoever's they are
            happened.append(number)
            for _ in range(5):
                await asyncio.sleep(0)
            happened.append(number)

    async with asyncio.TaskGroup() as group:
        for number, path in enumerate([file, str(file), file.parent / "." / "file.txt"]):
            group.create_task(work(number, path))
    assert happened == [0, 0, 1, 1, 2, 2]


async def test_different_files_are_had_together(file: Path) -> None:
    files = KnownFiles()
    both = asyncio.Barrier(2)

    async def work(path: Path) -> None:
        async with files.with_lock(path):
            await asyncio.wait_for(both.wait(), 30)

    async with asyncio.TaskGroup() as group:
        group.create_task(work(file))
        group.create_task(work(file.with_name("other")))


async def test_several_files_at_once_in_any_order_never_block_each_other(tmp_path: Path) -> None:
    files = KnownFiles()
    paths = [tmp_path / name for name in "abc"]
    inside = 0

    async def work(order: list[Path]) -> None:
        nonlocal inside
        async with files.with_lock(*order):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for turn in range(30):
            group.create_task(work(paths[turn % 3 :] + paths[: turn % 3] + [paths[0]]))


async def test_one_that_is_cancelled_while_waiting_or_when_its_turn_comes_leaves_the_line(file: Path) -> None:
    files = KnownFiles()
    had: list[str] = []

    async def work(name: str) -> None:
        async with files.with_lock(file):
            had.append(name)

    async with files.with_lock(file):
        waiting, next_one, last = (asyncio.create_task(work(name)) for name in ("waiting", "next", "last"))
        await asyncio.sleep(0)
        waiting.cancel()
    next_one.cancel()  # its turn has come, and it has not run yet
    await asyncio.wait([waiting, next_one, last], timeout=30)
    assert had == ["last"]
    async with asyncio.timeout(30), files.with_lock(file):
        pass


async def test_an_error_inside_gives_the_file_back(file: Path) -> None:
    files = KnownFiles()
    with pytest.raises(ZeroDivisionError):
        async with files.with_lock(file):
            raise ZeroDivisionError
    async with asyncio.timeout(30), files.with_lock(file):
        pass


def test_event_loops_in_several_threads_share_the_line(file: Path) -> None:
    inside: list[int] = []
    most = 0

    async def work() -> None:
        nonlocal most
        for _ in range(50):
            async with KnownFiles().with_lock(file):
                inside.append(1)
                most = max(most, len(inside))
                await asyncio.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 1


def test_another_process_has_read_nothing_yet(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a")
    files = KnownFiles(remembered=7)
    files.read(path)
    with pytest.raises(ToolError, match="read"):
        pickle.loads(pickle.dumps(files)).check(path)
    files.check(path)
