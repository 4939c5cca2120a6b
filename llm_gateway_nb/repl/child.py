"""The child's side of a REPL: an ipykernel that knows its host. Run as a script; it imports nothing of ours.

The host is reached over a unix socket in the REPL's private folder: frames of JSON behind four bytes of length. A thread
reads it, so that a call may come from any loop and any thread of the code, and the end of the host is seen at once.

What the code says is bounded here, where it is born: the beginning of a turn's output goes out as it comes, of the rest
only the end is kept. An endless `print` costs neither side its memory.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import ctypes
import fcntl
import hashlib
import importlib
import inspect
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from ipykernel.kernelapp import IPKernelApp

REPORT = "llm_gateway_nb_repl"
"""The module in which `client.py` finds a turn's report."""

OURS = "llm_gateway_nb/repl/child.py"
"""Frames of this file say nothing to whoever wrote the code."""
MAX_KEPT = 256 * 1024
MAX_FRAME = 64 * 1024 * 1024
MAX_ANSWER = 10_000_000
MAX_BUNDLE = 4 * 1024 * 1024
MAX_BUNDLES = 100
MAX_TEXT = 20_000


def main(folder: Path, lifeline: int) -> None:
    die_with(lifeline)
    adopt_orphans()
    app = IPKernelApp.instance()
    app.initialize(["-f", str(folder / "connection.json"), "--HistoryManager.enabled=False"])
    Host(folder, app.shell).install()
    app.start()


def die_with(lifeline: int) -> None:
    """Have the system kill this process group once the other end of the pipe is closed, however its owner ended.

    No thread of ours could promise that: code that holds the interpreter's lock would keep it from running. And
    `PR_SET_PDEATHSIG` goes by the thread that started us, which may end long before its process does.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    if select.select([lifeline], [], [], 0)[0]:  # it was closed before we were ready to hear of it
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of what the code's own children leave behind, so that it is found when the REPL is closed."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


class Host:
    """The line to the host, and what it put into the namespace."""

    def __init__(self, folder: Path, shell: Any) -> None:
        self._shell = shell
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(folder / "host"))
        self._sending = threading.Lock()
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]] = {}
        self._numbers = iter(range(1, sys.maxsize))
        self._functions: dict[str, Any] = {}
        self._given: dict[str, Any] = {}
        self._answer: str | None = None
        self._sent_state = ""
        key = json.loads((folder / "connection.json").read_text())["key"]
        self.send({"hello": key})

    def install(self) -> None:
        self._streams = [Stream(sys.stdout), Stream(sys.stderr)]
        self._rich = Rich(self._shell)
        module = ModuleType(REPORT)
        module.report = self.report  # type: ignore[attr-defined]
        sys.modules[REPORT] = module
        self._shell.events.register("pre_run_cell", self._begin)
        self._shell.events.register("post_run_cell", self._end)
        show = self._shell._showtraceback
        self._shell._showtraceback = lambda kind, error, lines: show(
            kind, cut(str(error)), [cut(line) for line in lines if OURS not in line]
        )
        self._bound_replies(self._shell.kernel.session)
        threading.Thread(target=self._read, daemon=True, name="host").start()

    @staticmethod
    def _bound_replies(session: Any) -> None:
        """The reply to a turn has the error's whole text once more."""
        send = session.send

        def bounded(stream: Any, kind: Any, content: Any = None, *args: Any, **options: Any) -> Any:
            if kind == "execute_reply" and content and content.get("status") == "error":
                content = {**content, "evalue": cut(str(content.get("evalue", ""))), "traceback": []}
            return send(stream, kind, content, *args, **options)

        session.send = bounded

    # -- the line ----------------------------------------------------------------------------------------------------

    def send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message, default=str).encode()
        if len(data) > MAX_FRAME:
            raise ValueError(
                f"These arguments have {len(data)} bytes, and {MAX_FRAME} is the most that can be passed on."
            )
        with self._sending:
            self._socket.sendall(struct.pack(">I", len(data)) + data)

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as stream:
            while len(head := stream.read(4)) == 4:
                size = struct.unpack(">I", head)[0]
                if len(data := stream.read(size)) < size:
                    break
                self._take(json.loads(data))
        os.killpg(os.getpgrp(), signal.SIGKILL)  # nobody is there any more

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"reply": int(number)}:
                loop, future = self._waiting.pop(number, (None, None))
                if loop is not None and future is not None:
                    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                        loop.call_soon_threadsafe(settle, future, message)
            case {"setup": dict(setup)}:
                problem = ""
                try:
                    self._set_up(setup)
                except Exception as error:  # noqa: BLE001  (whatever it is, the host has to hear of it)
                    problem = f"{type(error).__name__}: {error}"
                self.send({"ready": problem})
            case {"wake": _}:
                self._shell.kernel.io_loop.asyncio_loop.call_soon_threadsafe(lambda: None)
            case _:
                pass

    async def call(self, name: str, arguments: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        number = next(self._numbers)
        self._waiting[number] = loop, future
        try:
            self.send({"call": number, "name": name, "arguments": arguments})
            return await future
        finally:
            if self._waiting.pop(number, None) is not None:
                self.send({"cancel": number})

    # -- the namespace -----------------------------------------------------------------------------------------------

    def _set_up(self, setup: dict[str, Any]) -> None:
        os.chdir(setup["cwd"])
        os.environ.update(setup["env"])
        if setup["memoryBytes"]:
            resource.setrlimit(resource.RLIMIT_DATA, (setup["memoryBytes"],) * 2)
        for stream in self._streams:
            stream.limit = setup["maxOutput"] // 2
        self._functions = {name: function(self, name, known) for name, known in setup["functions"].items()}
        if setup["answers"]:
            self._functions.update(FINAL=self._final, FINAL_VAR=self._final_variable)
        namespace = self._shell.user_ns
        for name, text in setup["kept"].items():
            with contextlib.suppress(Exception):
                namespace[name] = revived(text)
        self._given = setup["variables"]
        namespace.update(self._given)
        self._shell.user_ns_hidden.update(self._functions)
        self._shell.ask_exit = lambda: None  # `exit()` ends no REPL: its host does

    def _final(self, value: Any = None) -> None:
        """Answer with `value`. The answer counts if the turn ends without an error."""
        self._answer = cut(as_text(value), MAX_ANSWER)

    def _final_variable(self, name: str) -> None:
        """Answer with the variable of this name."""
        if name not in self._shell.user_ns:
            raise NameError(f"FINAL_VAR: there is no variable {name!r}.")
        self._answer = cut(as_text(self._shell.user_ns[name]), MAX_ANSWER)

    def _begin(self, *_: Any) -> None:
        self._answer = None
        self._rich.begin()
        for stream in self._streams:
            stream.begin()
        self._shell.user_ns.update(self._functions)  # however the code has used their names

    def _end(self, *_: Any) -> None:
        for stream in self._streams:
            stream.finish()
        self._rich.finish()

    def report(self) -> Report:
        """What the host is told at the end of a turn without error."""
        names, kept = self._state()
        content: dict[str, Any] = {"cut": any(stream.was_cut for stream in self._streams) or self._rich.dropped > 0}
        if self._answer is not None:
            content["answer"] = self._answer
        state = hashlib.sha1(repr((names, kept)).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
        if state != self._sent_state:
            self._sent_state = state
            content["names"], content["kept"] = names, kept
        return Report(content)

    def _state(self) -> tuple[list[str], dict[str, str]]:
        """The names that the code has made, and of those with plain values what makes them again."""
        hidden = self._shell.user_ns_hidden
        names: list[str] = []
        kept: dict[str, str] = {}
        room = MAX_KEPT
        for name, value in list(self._shell.user_ns.items()):
            if name.startswith("_") or hidden.get(name, self) is value or name in self._functions:
                continue
            if name in self._given and self._given[name] is value:
                continue
            names.append(name)
            text = preserved(value, room)
            if text is not None:
                kept[name] = text
                room -= len(text)
        return names, kept


class Report:
    """A dict that a user expression gives out as JSON."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"application/json": self._content, "text/plain": ""}


class Result(SimpleNamespace):
    """A result with named parts: `done.stdout`, or `done["stdout"]`."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


def function(host: Host, name: str, known: dict[str, Any]) -> Callable[..., Any]:
    """A function of the host, as the code sees it. What the caller leaves out stays left out."""
    parameters = [
        inspect.Parameter(
            each, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None if optional else inspect.Parameter.empty
        )
        for each, optional in known["parameters"]
    ]
    signature = inspect.Signature(parameters)

    async def call(*args: Any, **kwargs: Any) -> Any:
        return await host.call(name, signature.bind(*args, **kwargs).arguments)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = known["doc"]
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def settle(future: asyncio.Future[Any], message: dict[str, Any]) -> None:
    if future.done():
        return
    if "error" in message:
        kind = getattr(builtins, str(message.get("kind")), RuntimeError)
        if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, UnicodeError):
            kind = RuntimeError  # one of the host's own, or one that takes more than a message
        future.set_exception(kind(message["error"]))
    else:
        value = message.get("value")
        future.set_result(Result(**value) if isinstance(value, dict) else value)


def as_text(value: Any) -> str:
    """`str(value)`, and something readable where that raises."""
    for how in (str, repr):
        with contextlib.suppress(Exception):
            return how(value)
    return f"<{type(value).__name__}>"


def preserved(value: Any, room: int) -> str | None:
    """Text that makes `value` again in another process, at most `room` of it; None for what is not plain data."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__}"
    if not is_plain(value, [10_000, room]):
        return None
    text = repr(value)
    return f"= {text}" if len(text) <= room else None


def is_plain(value: Any, room: list[int]) -> bool:
    """Whether a literal can say it. Gives up once `room`, in parts and in characters, is used up."""
    room[0] -= 1
    if value is None or type(value) in (bool, int, float, complex):
        return room[0] > 0
    if type(value) in (str, bytes):
        room[1] -= len(value)
        return min(room) > 0
    if type(value) is dict:
        return all(is_plain(key, room) and is_plain(each, room) for key, each in value.items())
    if type(value) in (list, tuple, set):
        return all(is_plain(each, room) for each in value)
    return False


def revived(text: str) -> Any:
    if text.startswith("import "):
        return importlib.import_module(text.removeprefix("import "))
    return eval(text.removeprefix("= "), {"__builtins__": {"set": set}, "inf": float("inf"), "nan": float("nan")})


def cut(text: str, limit: int = MAX_TEXT) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


class Stream:
    """stdout or stderr of a turn: `limit` characters as they come, of the rest the last `limit` at the end."""

    def __init__(self, stream: Any) -> None:
        self._write = stream.write
        self._lock = threading.Lock()
        self.limit = 100_000
        self.begin()
        stream.write = self.write

    def begin(self) -> None:
        with self._lock:
            self._room = self.limit
            self._tail: deque[str] = deque()
            self._tail_size = self._size = 0
            self.was_cut = False

    def write(self, text: str) -> int:
        with self._lock:
            head, rest = text[: self._room], text[self._room :]
            if head:
                self._room -= len(head)
                self._write(head)
            if rest:
                self._size += len(rest)
                self._tail.append(rest[-self.limit :])
                self._tail_size += len(self._tail[-1])
                while self._tail_size - len(self._tail[0]) >= self.limit:
                    self._tail_size -= len(self._tail.popleft())
        return len(text)

    def finish(self) -> None:
        with self._lock:
            if not self._size:
                return
            tail = "".join(self._tail)[-self.limit :]
            lost = self._size - len(tail)
            self._write(f"\n[… {lost} characters left out …]\n{tail}" if lost else tail)
            self.was_cut = lost > 0
            self._tail.clear()
            self._tail_size = self._size = 0


class Rich:
    """Displays and results of a turn: no more than a page can show."""

    def __init__(self, shell: Any) -> None:
        publish, result = shell.display_pub.publish, shell.displayhook.write_format_data
        shell.display_pub.publish = self._publisher(publish)
        shell.displayhook.write_format_data = lambda data, metadata=None: result(self._admit(data), metadata)
        self._say = publish
        self.begin()

    def begin(self) -> None:
        self.dropped = 0
        self._room, self._bundles = 4 * MAX_BUNDLE, MAX_BUNDLES

    def finish(self) -> None:
        if self.dropped:
            self._say({"text/plain": f"[… {self.dropped} displays left out …]"}, {})

    def _publisher(self, publish: Callable[..., Any]) -> Callable[..., Any]:
        def bounded(data: Any, metadata: Any = None, *args: Any, **options: Any) -> Any:
            self._bundles -= 1
            if self._bundles < 0 or self._room <= 0:
                self.dropped += 1
                return None
            return publish(self._admit(data), metadata, *args, **options)

        return bounded

    def _admit(self, data: dict[str, Any]) -> dict[str, Any]:
        return dict(self._fitting(data))

    def _fitting(self, data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for kind, value in data.items():
            size = len(value) if isinstance(value, str | bytes) else 1000
            if kind == "text/plain" and isinstance(value, str):
                yield kind, cut(value)
            elif size > MAX_BUNDLE:
                yield "text/plain", f"[{kind} of {size} bytes left out: too large to show]"
                self.dropped += 1
            else:
                self._room -= size
                yield kind, value


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
