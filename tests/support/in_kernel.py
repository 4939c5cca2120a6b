"""The kernel's side of the kernel tests: the smallest thing that asks a person and waits for the click."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from comm import create_comm

from llm_gateway_nb.notebook.kernel import Bridge, until
from llm_gateway_nb.notebook.kernel.bridge import quietly

LOG: list[Any] = []
"""What happened, in order; the tests read it."""


class Asking:
    """A comm named `asking` that puts numbered questions and takes an answer a message."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.comm = create_comm(target_name="asking")
        self.comm.on_msg(self._answered)

    def _answered(self, message: dict[str, Any]) -> None:
        data = message["content"]["data"]
        if data == "raise":
            raise ValueError("the handler of this message fails")
        if isinstance(data, dict) and "echo" in data:
            self.comm.send(data)  # a click whose way there and back is measured
        else:
            self.answers.put_nowait(data)

    @contextmanager
    def attached(self) -> Iterator[None]:
        bridge = Bridge.current()
        assert bridge is not None
        bridge.attach(self.comm.comm_id, quietly(self.comm))
        try:
            yield
        finally:
            bridge.detach(self.comm.comm_id)


async def ask(times: int = 1, heartbeat: float = 0.2) -> list[Any]:
    """Put questions, one after the other; the answers. Cleaning up takes some turns of the loop, as in life."""
    asking = Asking()
    answers = []
    with asking.attached():
        try:
            for number in range(times):
                asking.comm.send({"question": number})
                answers.append(await until(asking.answers.get(), heartbeat))
            return answers
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            LOG.append("cleaned up")
            asking.comm.close()
