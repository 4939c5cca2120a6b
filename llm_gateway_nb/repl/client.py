"""One conversation with a kernel, in the Jupyter protocol, over jupyter_client's asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient

from llm_gateway_nb.repl.output import Message

__all__ = ["KernelClient"]

_REPORT = "__import__('sys').modules['llm_gateway_nb_repl'].report()"
"""See `child.py`. Evaluated after a turn without an error."""
_MAX_MESSAGE = 64 * 1024 * 1024
_LOST_SECONDS = 2.0


class KernelClient:
    """Runs one request at a time. Belongs to the loop it was made in."""

    def __init__(self, connection_file: Path) -> None:
        self._context = zmq.asyncio.Context()
        self._context.setsockopt(zmq.LINGER, 0)
        self._context.setsockopt(zmq.RECONNECT_IVL, 10)
        self._context.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE)  # no message of the child's can cost us more
        self._client = AsyncKernelClient(context=self._context)
        self._client.load_connection_file(str(connection_file))
        self._client.start_channels(stdin=False, hb=False)

    async def connect(self) -> None:
        """Wait until what the kernel publishes arrives here."""
        while True:
            self._client.kernel_info()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await self._client.get_iopub_msg()
                    return

    async def run(self, code: str, on_message: Callable[[Message], None]) -> Message:
        """Run code; `on_message` gets what it publishes. The content of the reply, once everything has arrived."""
        await self._drain()
        request = self._client.execute(
            code, allow_stdin=False, stop_on_error=False, user_expressions={"report": _REPORT}
        )
        reply = asyncio.create_task(self._reply(request))
        published = asyncio.create_task(self._published(request, on_message))
        try:
            await asyncio.wait([reply, published], return_when=asyncio.FIRST_COMPLETED)
            # Both come at the same time. One may be lost: the message that says "that was all" among too many displays,
            # a reply because it is too large to be let in.
            await asyncio.wait([reply, published], timeout=_LOST_SECONDS)
            return reply.result() if reply.done() else {"status": "error", "ename": "Lost", "evalue": "no reply came"}
        finally:
            for task in (reply, published):
                task.cancel()
            await asyncio.wait([reply, published])

    async def interrupt(self) -> None:
        """Ask the kernel to interrupt what it runs; True once it says that it has."""
        message = self._client.session.msg("interrupt_request", {})
        self._client.control_channel.send(message)
        await self._client.get_control_msg()

    def close(self) -> None:
        """Close the sockets; nothing is sent any more."""
        self._client.stop_channels()
        self._context.destroy(linger=0)

    async def _reply(self, request: str) -> Message:
        while True:
            message = await self._client.get_shell_msg()
            if message["parent_header"].get("msg_id") == request:
                content: Message = message["content"]
                return content

    async def _published(self, request: str, on_message: Callable[[Message], None]) -> None:
        while True:
            message = await self._client.get_iopub_msg()
            ours = message["parent_header"].get("msg_id") == request
            if message["msg_type"] == "status":
                if ours and message["content"]["execution_state"] == "idle":
                    return
            elif ours or message["msg_type"] == "stream":  # a thread of an earlier turn still prints for its own
                on_message(message)

    async def _drain(self) -> None:
        """Throw away what came after the last turn had ended."""
        for channel in (self._client.iopub_channel, self._client.shell_channel):
            while await channel.msg_ready():
                await channel.get_msg()
