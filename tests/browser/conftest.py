"""One server and one Chromium for all browser tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.jupyter import Server, chromium, jupyter_server
from support.jupyter import browser as launched_browser


@pytest.fixture(scope="session", autouse=True)
def _needs_chromium() -> None:
    if chromium() is None:
        pytest.fail("No chromium on this machine: `make chromium` installs Debian's (or set CHROMIUM to one).")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyter_server(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    with launched_browser() as launched:
        yield launched
