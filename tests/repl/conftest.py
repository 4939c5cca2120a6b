"""REPLs are shared where a test leaves them as they were, and no test leaves a process behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from support.processes import below
from support.repls import folders_left

from llm_gateway_nb.repl import Repl, kernel


@pytest.fixture(autouse=True, scope="module")
def no_process_is_left() -> Iterator[None]:
    before = below()
    yield
    assert below() - before == set()
    assert folders_left() == []


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is interrupted has all the time that it needs on a busy machine; one test takes it away again."""
    monkeypatch.setattr(kernel, "_GRACE_SECONDS", 60.0)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def repl() -> AsyncIterator[Repl]:
    async with Repl(max_output=2_000) as repl:
        await repl.execute("import asyncio, os")  # no test may need another one to have run
        yield repl
