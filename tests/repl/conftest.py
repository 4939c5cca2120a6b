"""REPLs are shared where a test leaves them as they were, and no test leaves a process behind."""

from __future__ import annotations

import fcntl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import gettempdir

import pytest
import pytest_asyncio
from support.processes import below

from llm_gateway_nb.repl import Repl


@pytest.fixture(autouse=True, scope="package")
def no_process_is_left() -> Iterator[None]:
    before = below()
    yield
    assert below() - before == set()
    assert [folder for folder in Path(gettempdir()).glob("lgnb-repl-*") if not _in_use(folder)] == []


def _in_use(folder: Path) -> bool:
    """Other workers of the suite have REPLs of their own."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):  # just made, or just going; or held
        return True
    return False


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def repl() -> AsyncIterator[Repl]:
    async with Repl(max_output=2_000) as repl:
        await repl.execute("import asyncio, os")  # no test may need another one to have run
        yield repl
