from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.frontend import FrontEnd, open_front_end
from support.kernels import KERNELS, kernel_python

SETUP = """
import asyncio
from llm_gateway_nb.notebook.kernel import *
from tests.support.in_kernel import LOG, Asking, ask
"""


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Notes a figure in the JUnit report; `record_property` does not go with pytest's default kind of report."""
    return lambda name, value: request.node.user_properties.append((name, value))


@pytest.fixture(scope="session", params=KERNELS)
def kernel_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def shared_page(kernel_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    with open_front_end(kernel_python(kernel_name), tmp_path_factory.mktemp("cwd")) as page:
        yield page


@pytest.fixture
def page(shared_page: FrontEnd) -> FrontEnd:
    """A page on a kernel that the tests of one worker share: each one finds it as if nothing had happened."""
    shared_page.execute("%reset -f\n" + SETUP + "LOG.clear()")
    return shared_page


@pytest.fixture
def own_page(kernel_name: str, tmp_path: Path) -> Iterator[FrontEnd]:
    """A page on a kernel of this test's own, for what a kernel does not recover from."""
    with open_front_end(kernel_python(kernel_name), tmp_path) as page:
        page.execute(SETUP)
        yield page
