"""What a page asks for after a reload, answered while the kernel's cell still runs.

A page that comes back asks for the kernel's info and its comms, and then for the states of all widgets. The kernel
answers after the cell; for a run that waits in it for a click on this very page that is never. Measured: a panel is
back in 0.3 s with this, without it after the cell, or never.

The info and the list of comms are answered on the spot. Messages to widgets (`jupyter.widget.control`, and its older
form `request_state`) go to a loop, where widgets live; none of them runs code of the user.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from llm_gateway_nb.notebook.kernel import frontend

__all__ = ["ReloadedPage"]

Message = dict[str, Any]
Hand = Callable[[Callable[[Message], None]], bool]
"""Gives a callback the whole message in a run's loop; False if there is no such loop."""

_CONTROL_TARGET = "jupyter.widget.control"


class ReloadedPage:
    """Takes, in the thread of the shell stream, the messages with which a page restores itself."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._controls: set[str] = set()  # comms by which a page asks for the states of all widgets

    def forget(self) -> None:
        """Leave the comms seen so far to the kernel."""
        self._controls.clear()

    def take(self, identities: list[bytes], peek: Message, content: Message, hand: Hand) -> bool:
        """Answer or hand on one message; False if it is not of this kind.

        `peek` is the message with its content still packed, `content` that content.
        """
        match peek["msg_type"]:
            case "kernel_info_request":
                return self._reply(identities, peek, "kernel_info_reply", self._kernel.kernel_info)
            case "comm_info_request":
                return self._reply(identities, peek, "comm_info_reply", self._comm_info(content.get("target_name")))
            case "comm_open" if content.get("target_name") == _CONTROL_TARGET:
                self._controls.add(content["comm_id"])
                return hand(lambda message: self._kernel.comm_manager.comm_open(None, None, message))
            case "comm_msg" if content["comm_id"] in self._controls or _asks_for_state(content):
                return hand(self._deliver)
            case "comm_close":
                self._controls.discard(content["comm_id"])
        return False

    def say_busy(self) -> None:
        """Say again that a cell runs, if one does.

        Pages show the latest status, whoever it was for. JupyterLab asks the debugger, makes a subshell for a new widget,
        all on the control channel, and shows Idle from then on. Only in the main thread, where no cell can end meanwhile:
        a Busy that comes behind the cell's Idle would stay.
        """
        if threading.current_thread() is threading.main_thread() and frontend.cell_running():
            self._publish_status("busy", self._kernel.get_parent("shell"))

    def _deliver(self, message: Message) -> None:
        # Looked up here, in the loop, and not when the message is taken: the comm_open before it is run here, too.
        comm = self._kernel.comm_manager.get_comm(message["content"]["comm_id"])
        if comm is not None and comm._msg_callback is not None:
            comm._msg_callback(message)

    def _comm_info(self, target_name: str | None) -> Message:
        comms = list(self._kernel.comm_manager.comms.items())  # at once: this need not be the thread that adds them
        return {
            "comms": {
                comm_id: {"target_name": comm.target_name}
                for comm_id, comm in comms
                if target_name is None or comm.target_name == target_name
            }
        }

    def _reply(self, identities: list[bytes], request: Message, kind: str, content: Message) -> bool:
        kernel = self._kernel
        self._publish_status("busy", request)
        kernel.session.send(kernel.shell_stream, kind, {"status": "ok", **content}, request, ident=identities)
        self._publish_status("idle", request)  # the page takes a request as answered at its idle, not before
        if frontend.cell_running():
            # But pages show the latest status, whoever asked: say again what is so.
            self._publish_status("busy", kernel.get_parent("shell"))
        return True

    def _publish_status(self, state: str, parent: Message) -> None:
        kernel = self._kernel
        topic = f"kernel.{kernel.ident}.status".encode()
        kernel.session.send(kernel.iopub_socket, "status", {"execution_state": state}, parent, ident=topic)


def _asks_for_state(content: Message) -> bool:
    data = content.get("data")
    return isinstance(data, dict) and data.get("method") == "request_state"
