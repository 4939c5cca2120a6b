"""`repl="sandbox"`: what bubblewrap keeps from the code, where it is there; a plain refusal where it is not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.processes import gone

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.repl import Repl, check_sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def double(number: int) -> int:
    return 2 * number


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[Repl]:
    try:
        check_sandbox()
    except ConfigurationError as error:
        pytest.skip(str(error))
    async with Repl("sandbox", functions={"double": double}, variables={"context": "text"}) as repl:
        await repl.execute("import socket")  # no test may need another one to have run
        yield repl


async def test_code_runs_with_its_context_and_the_hosts_functions(sandbox: Repl) -> None:
    result = await sandbox.execute("print(len(context), await double(21))")
    assert (result.stdout, result.error) == ("4 42\n", None)


async def test_there_is_no_network(sandbox: Repl) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)"
        assert "ConnectionRefusedError" in str((await sandbox.execute(code)).error)
    assert (await sandbox.execute("socket.if_nameindex()")).mime[0]["text/plain"] == "[(1, 'lo')]"


async def test_the_system_can_only_be_read_and_the_home_is_not_there(sandbox: Repl) -> None:
    assert "Read-only file system" in str((await sandbox.execute("open('/etc/mine', 'w')")).error)
    assert (await sandbox.execute("len(open('/etc/passwd').read()) > 0")).mime[0]["text/plain"] == "True"
    secret = Path.home() / ".llm_gateway_nb_test_secret"
    secret.write_text("mine")
    try:
        assert "FileNotFoundError" in str((await sandbox.execute(f"open({str(secret)!r})")).error)
    finally:
        secret.unlink()


async def test_root_has_no_rights_in_it_either(sandbox: Repl) -> None:
    result = await sandbox.execute("print(open('/proc/self/status').read())")
    assert "CapEff:\t0000000000000000" in result.stdout
    code = "import subprocess\nprint(subprocess.run(['mount', '-o', 'remount,bind,rw', '/']).returncode)"
    assert not (await sandbox.execute(code)).stdout.startswith("0")
    assert "Read-only file system" in str((await sandbox.execute("open('/etc/mine', 'w')")).error)


async def test_its_tmp_is_its_own(sandbox: Repl, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    assert "FileNotFoundError" in str((await sandbox.execute(f"open({str(tmp_path / 'outside')!r})")).error)
    await sandbox.execute("open('/tmp/lgnb-test-inside', 'w').write('x'); open('here', 'w').write('y')")
    assert not await asyncio.to_thread(Path("/tmp/lgnb-test-inside").exists)
    assert (await sandbox.execute("open('/tmp/lgnb-test-inside').read() + open('here').read()")).mime[0] == {
        "text/plain": "'xy'"
    }


async def test_other_processes_are_not_seen(sandbox: Repl) -> None:
    code = "import os\nprint(sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[-1] < 20)"
    assert (await sandbox.execute(code)).stdout == "True\n"


async def test_an_endless_loop_is_interrupted_and_a_dead_process_replaced(sandbox: Repl) -> None:
    result = await sandbox.execute("x = 1\nwhile True: pass", timeout=0.3)
    assert "KeyboardInterrupt" in str(result.error)
    assert not result.restarted
    assert (await sandbox.execute("import os; os._exit(1)")).restarted
    assert (await sandbox.execute("context")).mime == [{"text/plain": "'text'"}]


async def test_nothing_is_left_of_it() -> None:
    try:
        check_sandbox()
    except ConfigurationError as error:
        pytest.skip(str(error))
    async with Repl("sandbox") as repl:
        await repl.execute("import subprocess\nsubprocess.Popen(['setsid', 'sleep', '1000'])")
        pid = repl.pid
    assert pid is not None
    assert await gone(pid)


async def test_where_bubblewrap_is_not_installed_the_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    check_sandbox.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=r"apt-get install bubblewrap.*not a sandbox"):
            Repl("sandbox")
    finally:
        check_sandbox.cache_clear()


async def test_where_it_may_not_make_namespaces_the_refusal_has_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check_sandbox.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match="No permissions to create new namespace"):
            Repl("sandbox")
    finally:
        check_sandbox.cache_clear()
