"""A front end without a browser: it speaks the Jupyter and widget protocols to a real kernel, as a page would.

Nothing sleeps. `wait` reads messages until a condition on what has been read holds, or fails at its time limit.
"""

from __future__ import annotations

import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

__all__ = ["Cell", "FrontEnd", "open_front_end"]

Message = dict[str, Any]


@dataclass
class Cell:
    """One execute request and all that has come of it so far."""

    id: str
    code: str
    outputs: list[Message] = field(default_factory=list)
    """In the order of their coming, as `{"type": ..., **content}`."""
    replies: list[Message] = field(default_factory=list)
    idle: bool = False

    @property
    def done(self) -> bool:
        """Whether the kernel has answered and said that it is through."""
        return self.idle and bool(self.replies)

    @property
    def text(self) -> str:
        """What it printed, stripped."""
        return "".join(output["text"] for output in self.outputs if output["type"] == "stream").strip()

    @property
    def error(self) -> str | None:
        """The name of the exception that ended it."""
        return next((output["ename"] for output in self.outputs if output["type"] == "error"), None)


class FrontEnd:
    """The page: cells, comms, and the stop button."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager, self._client = manager, client
        self._cells: dict[str, Cell] = {}
        self.replies: dict[str, Message] = {}
        """The reply to each request that was no cell, by the id of the request."""
        self.comms: dict[str, Message] = {}
        """The content of each `comm_open` of the kernel, by comm id."""
        self.comm_messages: list[tuple[str, Any]] = []
        """The comm id and data of each `comm_msg` of the kernel."""
        self.questions: list[str] = []
        """The prompt of each `input()` of the kernel."""
        self.states: list[tuple[str, str | None]] = []
        """Each status of the kernel, and the id of the request it was for."""

    def submit(self, code: str, subshell_id: str | None = None, *, cell_id: str | None = None) -> Cell:
        """Send a cell, as Shift+Enter does, and go on. `cell_id` tells the kernel which one of the page it is."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": True,
        }
        metadata = None if cell_id is None else {"cellId": cell_id}
        cell = Cell(self.request("execute_request", content, subshell_id, metadata), code)
        self._cells[cell.id] = cell
        return cell

    def execute(self, code: str, timeout: float = 60, *, cell_id: str | None = None) -> Cell:
        """Run a cell to its end; one that raises fails the test."""
        cell = self.submit(code, cell_id=cell_id)
        self.wait(lambda: cell.done, f"the end of {code!r}", timeout)
        assert cell.error is None, f"{code!r} raised {[output for output in cell.outputs if output['type'] == 'error']}"
        return cell

    def evaluate(self, expression: str) -> str:
        """What `print(expression)` prints."""
        return self.execute(f"print(({expression}))").text

    def request(self, kind: str, content: Message, subshell_id: str | None = None, metadata: Any = None) -> str:
        """Send any message on the shell channel; its id."""
        message = self._client.session.msg(kind, content, metadata=metadata)
        if subshell_id is not None:
            message["header"]["subshell_id"] = subshell_id
        self._client.shell_channel.send(message)
        return cast(str, message["header"]["msg_id"])

    def send(self, comm_id: str, data: Any) -> str:
        """Send data on a comm, as a click does."""
        return self.request("comm_msg", {"comm_id": comm_id, "data": data})

    def send_frames(self, frames: list[bytes]) -> None:
        """Send frames as they are, well formed or not."""
        self._client.shell_channel.socket.send_multipart(frames)

    def open_comm(self, target_name: str, data: Any = None, metadata: Any = None) -> str:
        """Open a comm from this side; its id."""
        comm_id = uuid.uuid4().hex
        content = {"comm_id": comm_id, "target_name": target_name, "data": data or {}}
        self.request("comm_open", content, metadata=metadata)
        return comm_id

    def answer(self, line: str) -> None:
        """Give a line to the kernel's `input()`, as a console does."""
        self._client.input(line)

    def interrupt(self) -> None:
        """The stop button."""
        self._manager.signal_kernel(signal.SIGINT)

    def request_control(self, kind: str) -> str:
        """Send a message on the control channel; its id."""
        message = self._client.session.msg(kind, {})
        self._client.control_channel.send(message)
        return cast(str, message["header"]["msg_id"])

    def create_subshell(self) -> str:
        """Ask the kernel for one more shell."""
        message = self._client.session.msg("create_subshell_request", {})
        self._client.control_channel.send(message)
        reply = cast(Message, self._client.get_control_msg(timeout=60))
        return cast(str, reply["content"]["subshell_id"])

    def data_from(self, comm_id: str) -> list[Any]:
        """What the kernel has sent on one comm."""
        return [data for sender, data in self.comm_messages if sender == comm_id]

    def senders_of(self, key: str) -> list[str]:
        """The comm id of each message of the kernel whose data is a dict with `key`, in order."""
        return [sender for sender, data in self.comm_messages if isinstance(data, dict) and key in data]

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Read messages until `condition()`; `what` says in the error what did not come."""
        limit = time.monotonic() + timeout
        channels = {self._client.iopub_channel.socket: self._client.iopub_channel}
        channels[self._client.shell_channel.socket] = self._client.shell_channel
        channels[self._client.stdin_channel.socket] = self._client.stdin_channel
        poller = zmq.Poller()
        for socket in channels:
            poller.register(socket, zmq.POLLIN)
        while not condition():
            left = limit - time.monotonic()
            if left <= 0:
                states = [(cell.code, cell.idle, cell.text, cell.error) for cell in list(self._cells.values())[-3:]]
                raise TimeoutError(f"No {what} within {timeout} s; the last cells: {states}")
            for socket, _ in poller.poll(left * 1000):
                self._read(cast(Message, channels[socket].get_msg(timeout=0)))

    def _read(self, message: Message) -> None:
        kind, content = message["msg_type"], message["content"]
        parent = message["parent_header"].get("msg_id")
        cell = self._cells.get(parent)
        if kind == "status":
            self.states.append((content["execution_state"], parent))
            if cell is not None and content["execution_state"] == "idle":
                cell.idle = True
        elif kind == "input_request":
            self.questions.append(content["prompt"])
        elif kind == "comm_open":
            self.comms[content["comm_id"]] = content
        elif kind == "comm_msg":
            self.comm_messages.append((content["comm_id"], content["data"]))
        elif kind == "execute_reply" and cell is not None:
            cell.replies.append(content)
        elif kind.endswith("_reply"):
            self.replies[parent] = content
        elif cell is not None and kind not in {"execute_input", "comm_close"}:
            cell.outputs.append({"type": kind, **content})


_LAUNCH = """
import zmq
from ipykernel import kernelapp

class Context(zmq.Context):
    def socket(self, kind, *args, **options):
        socket = super().socket(kind, *args, **options)
        if kind in (zmq.PUB, zmq.XPUB):
            socket.sndhwm = 0
        return socket

zmq.Context = Context
kernelapp.launch_new_instance()
"""
"""What `-m ipykernel_launcher` does, but that nothing is thrown away of what is published while this process gets no turn:
ZeroMQ would keep a thousand messages and lose the rest, and a test that waits for one of them would wait for ever."""


class _Manager(KernelManager):
    """Starts the kernel of a given interpreter, wherever kernel specs are installed."""

    python: Path

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [str(self.python), "-Xfrozen_modules=off", "-c", _LAUNCH, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python", language="python")


@contextmanager
def open_front_end(python: Path, cwd: Path) -> Iterator[FrontEnd]:
    """A kernel of `python`'s ipykernel and a page on it; both are gone at the end."""
    with tempfile.TemporaryDirectory(prefix="lgnb-") as folder:  # Unix sockets: no port to race for, and short paths
        manager = _Manager(transport="ipc", ip=f"{folder}/s", connection_file=f"{folder}/kernel.json")
        manager.python = python
        manager.start_kernel(cwd=str(cwd))
        context = zmq.Context()
        context.rcvhwm = 0  # see `_LAUNCH`
        client = BlockingKernelClient(context=context, parent=manager)
        client.load_connection_file(manager.connection_file)
        try:
            client.start_channels()
            client.wait_for_ready(timeout=100)
            yield FrontEnd(manager, client)
        finally:
            client.stop_channels()
            context.destroy(linger=0)
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
