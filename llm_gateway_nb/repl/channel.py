"""The line from a REPL to the functions of its host: a unix socket in the REPL's private folder, one task a call.

Calls run side by side, as the code awaits them; a call that the code gives up is cancelled here. Between turns there is
nobody whom a call could belong to, and it is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import inspect
import json
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

__all__ = ["HostChannel", "HostFunction", "declared"]

HostFunction = Callable[..., Awaitable[Any]]
"""Called with the arguments by name that the code gave; gives JSON. What it raises is raised in the code."""

_MAX_FRAME = 64 * 1024 * 1024


class HostChannel:
    """The host's end. Read by one task from `open` to `close`.

    Attributes:
        accepting: whether a turn is running.
        on_change: called when a call begins or ends.
    """

    def __init__(self, functions: Mapping[str, HostFunction]) -> None:
        self._functions = functions
        self.on_change: Callable[[], None] = lambda: None
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._ready = asyncio.Event()
        self._problem = ""
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.accepting = False

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return bool(self._calls)

    async def open(self, listener: Any, key: str, setup: dict[str, Any]) -> None:
        """Wait for the child to come, check that it is ours, set it up, and wait until it is."""
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        stream, self._writer = await asyncio.open_unix_connection(sock=connection)
        hello = await _frame(stream)
        if not hmac.compare_digest(str(hello.get("hello")), key):
            raise ConnectionError("Somebody else has called at the REPL's socket.")
        self._reader = asyncio.create_task(self._read(stream))
        self._send({"setup": setup})
        await self._ready.wait()
        if self._problem:
            raise ConnectionError(self._problem)

    def wake(self) -> None:
        """Have the kernel's loop turn once: an interrupt does not wake a loop that sleeps."""
        self._send({"wake": True})

    async def settle(self) -> None:
        """Wait until no call is under way."""
        while self._calls:
            await asyncio.wait(self._calls.values())

    async def drop_calls(self) -> None:
        """Cancel what is under way, and wait until it is gone."""
        for task in list(self._calls.values()):
            task.cancel()
        await self.settle()

    async def close(self) -> None:
        """Close the line; harmless when it is closed."""
        self.accepting = False
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        await self.drop_calls()
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        # A child that has died, or that talks nonsense: no JSON, or JSON that is nested without end.
        with contextlib.suppress(EOFError, OSError, ValueError, RecursionError):
            while True:
                self._take(await _frame(stream))

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"call": int(number), "name": str(name), "arguments": dict(arguments)} if number not in self._calls:
                task = asyncio.create_task(self._serve(number, name, arguments))
                self._calls[number] = task
                task.add_done_callback(lambda _: self._served(number))
                self.on_change()
            case {"cancel": int(number)}:
                if (task := self._calls.get(number)) is not None:  # type: ignore[assignment]
                    task.cancel()
            case {"ready": str(problem)}:
                self._problem = problem
                self._ready.set()
            case _:
                pass

    def _served(self, number: int) -> None:
        del self._calls[number]
        self.on_change()

    async def _serve(self, number: int, name: str, arguments: dict[str, Any]) -> None:
        try:
            if not self.accepting:
                raise RuntimeError(
                    f"{name}: no turn is running, so nobody can be asked; call it in a turn and await it."
                )
            if name not in self._functions:
                raise RuntimeError(f"{name} is not available here.")
            answer = {"reply": number, "value": await self._functions[name](**arguments)}
        except Exception as error:  # noqa: BLE001  (whatever it is, it is raised where the function was called)
            answer = {"reply": number, "error": str(error) or type(error).__name__, "kind": type(error).__name__}
        self._send(answer)

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            data = json.dumps(message, default=str).encode()
            self._writer.write(struct.pack(">I", len(data)) + data)


async def _frame(stream: asyncio.StreamReader) -> dict[str, Any]:
    (size,) = struct.unpack(">I", await stream.readexactly(4))
    if size > _MAX_FRAME:
        raise ValueError(f"a frame of {size} bytes")
    message = json.loads(await stream.readexactly(size))
    return message if isinstance(message, dict) else {}


def declared(functions: Mapping[str, HostFunction]) -> dict[str, Any]:
    """What the child has to know to offer them: parameters, which may be left out, and the docstring."""
    return {
        name: {
            "parameters": [
                (each.name, each.default is not each.empty) for each in inspect.signature(function).parameters.values()
            ],
            "doc": inspect.getdoc(function),
        }
        for name, function in functions.items()
    }
