"""One server and one Chromium for all browser tests of a worker, on every kernel of the matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser
from support import matrix
from support.jupyter import Server, chromium, jupyter_server
from support.jupyter import browser as launched_browser
from support.kernels import KERNELS, kernel_python

_SUBSHELLS = "@jupyterlab/apputils-extension:kernels-settings"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kernels = {name: kernel_python(name) for name in KERNELS}
    with jupyter_server(tmp_path_factory.mktemp("jupyter"), kernels=kernels) as running:
        yield running


@pytest.fixture(scope="session")
def server_without_subshells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose JupyterLab sends all comms to the main shell, behind the running cell."""
    kernels = {name: kernel_python(name) for name in KERNELS}
    settings = {_SUBSHELLS: '{"commsOverSubshells": "disabled"}'}
    with jupyter_server(tmp_path_factory.mktemp("jupyter"), kernels=kernels, settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if chromium() is None:
        pytest.fail("No chromium on this machine: `make chromium` installs Debian's (or set CHROMIUM to one).")
    with launched_browser() as launched:
        yield launched


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Notes a figure in the JUnit report, and prints it for `pytest -rP`."""

    def note(name: str, value: float) -> None:
        request.node.user_properties.append((name, value))
        print(f"measured {name} = {value:.3f}")

    return note


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """What a test of the matrix came to, for `docs/front_ends.md`. In the worker, where the page is known."""
    report = yield
    place = getattr(item, "funcargs", {}).get("place")
    if place is not None and call.when == "call":
        scenario = str(item.function.__doc__).partition("\n")[0].rstrip(".")
        matrix.note(matrix.Finding(place.front_end, place.kernel, place.way, scenario, report.passed))
    return report
