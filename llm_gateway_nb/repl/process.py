"""The process of a REPL: started with little, found with all it has started, gone without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from functools import cache
from pathlib import Path
from typing import Any, Literal

from llm_gateway_nb.repl.sandbox import sandboxed

__all__ = ["Child", "ReplKind"]

ReplKind = Literal["kernel", "sandbox"]

_SAFE_VARIABLES = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL",
    "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "MPLCONFIGDIR", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SYSTEMROOT",
)  # fmt: skip
"""All that a REPL inherits: keys live in the environment."""

CHILD = Path(__file__).with_name("child.py")
_PREFIX = "lgnb-repl-"
_LONGEST_SOCKET_PATH = 90
_GONE_SECONDS = 5.0


class Child:
    """A kernel's process and its private folder. It lives until `kill`, until this process ends, or until nobody holds it.

    It belongs to no event loop, so one may be started in advance.
    """

    def __init__(self, kind: ReplKind = "kernel") -> None:
        self.kind = kind
        self.folder, lock = _private_folder()
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            undo.callback(os.close, lock)
            self.key = os.urandom(32).hex()
            (self.folder / "connection.json").write_text(json.dumps(_connection(self.folder, self.key)))
            (self.folder / "work").mkdir()
            self.listener = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            self.listener.bind(str(self.folder / "host"))
            self.listener.listen(1)
            self.listener.setblocking(False)
            read_end, self._lifeline = os.pipe()
            undo.callback(os.close, self._lifeline)
            command = [sys.executable, "-P", str(CHILD), str(self.folder), str(read_end)]
            try:
                with (self.folder / "log").open("wb") as log:
                    self._process = subprocess.Popen(
                        sandboxed(command, self.folder) if kind == "sandbox" else command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd=self.folder / "work",
                        env=_inherited(self.folder),
                        pass_fds=(read_end,),
                        start_new_session=True,
                    )
            finally:
                os.close(read_end)
            undo.pop_all()
        self._destroy = weakref.finalize(
            self, _destroy, self._process, (self._lifeline, lock), self.folder, self.listener, os.getpid()
        )

    @property
    def pid(self) -> int:
        """Of the process that we started: in a sandbox that is bubblewrap's."""
        return self._process.pid

    @property
    def log(self) -> str:
        """The end of what it said before there was anybody to hear it: why it did not start."""
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_bytes()[-2000:].decode("utf-8", "replace").strip()
        return ""

    def ended(self) -> bool:
        """Whether the process is over."""
        return self._process.poll() is not None

    def cause(self) -> str:
        """How it ended, in words."""
        code = self._process.poll()
        if code is None:
            return "still running"
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else "?"
        return f"signal {-code}, {name}"

    async def wait_ended(self) -> None:
        """Wait until the process is over, by the system's own notice where it gives one."""
        if self.ended():
            return
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            while not self.ended():  # noqa: ASYNC110  (here nothing tells but asking)
                await asyncio.sleep(0.05)
            return
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        loop.add_reader(descriptor, _settle, over)
        try:
            await over
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self._process.poll()

    def kill(self) -> None:
        """End it with all that it has started, at once and for good. Harmless when it is over."""
        self._destroy()

    async def end(self) -> None:
        """`kill`, without holding up the loop while the system takes a large process apart."""
        if not self._destroy.alive:
            return
        _kill_all(self._process)
        try:
            async with asyncio.timeout(_GONE_SECONDS):
                await self.wait_ended()
        except TimeoutError:
            pass  # `kill` waits as long again, and then lets it be
        finally:
            self.kill()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _destroy(
    process: subprocess.Popen[bytes], descriptors: tuple[int, int], folder: Path, listener: socket.socket, owner: int
) -> None:
    if os.getpid() != owner:
        return  # a fork of this process, which owns nothing of it
    _kill_all(process)
    for descriptor in descriptors:
        os.close(descriptor)
    listener.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GONE_SECONDS)
    for _ in range(100):  # what was started by others is not ours to wait for, and may still be writing
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.01)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    doomed = _descendants(process.pid) if process.poll() is None else []
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # also when the kernel is gone: its group may not be
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """The processes below this one, in other sessions too; what was orphaned hangs from the kernel (`child.py`)."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def _private_folder() -> tuple[Path, int]:
    """Ours alone, and with a path that is short enough for a unix socket; and the lock on it, held as long as we live."""
    _sweep(Path(tempfile.gettempdir()))
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if len(str(folder)) + len("/zmq-1") > _LONGEST_SOCKET_PATH:
            folder.rmdir()
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)  # another process swept it away before it was locked


@cache
def _sweep(parent: Path) -> None:
    """Remove the folders of processes that were killed before they could do it themselves."""
    for lock in parent.glob(f"{_PREFIX}*/lock"):
        with contextlib.suppress(OSError):  # somebody else's, or in use
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(descriptor)


def _connection(folder: Path, key: str) -> dict[str, Any]:
    """What a kernel and its clients read in a connection file. Its "ports" are the ends of the sockets' names."""
    ports = {f"{name}_port": port for port, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
    return {
        **ports,
        "transport": "ipc",
        "ip": str(folder / "zmq"),
        "key": key,
        "signature_scheme": "hmac-sha256",
        "kernel_name": "",
    }


def _inherited(folder: Path) -> dict[str, str]:
    """Startup files, profiles and history of the person's IPython stay theirs."""
    known = {name: os.environ[name] for name in _SAFE_VARIABLES if name in os.environ}
    return {**known, "IPYTHONDIR": str(folder / "ipython"), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
