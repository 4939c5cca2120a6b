"""The questions of one run: each is put to whoever may answer it, and the first answer counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from llm_gateway_nb._words import counted
from llm_gateway_nb.notebook.approvals import Answer, Attendance, Question, decide
from llm_gateway_nb.notebook.options import RunOptions
from llm_gateway_nb.recording.decisions import answer_to
from llm_gateway_nb.types import PermissionResponse, RelayAnswerEvent, RelayEvent, RelayResponse

__all__ = ["Questions"]


class Questions:
    """Open questions, oldest first in `open`.

    Args:
        on_answer: gets the event of an answer that counted, in the run's loop.
        in_loop: calls a function with arguments in the run's loop, from any thread.
    """

    def __init__(
        self,
        options: RunOptions,
        attendance: Attendance,
        *,
        on_answer: Callable[[RelayAnswerEvent], None],
        in_loop: Callable[..., None],
    ) -> None:
        self.open: dict[str, Question] = {}
        self._approvals = options.approvals
        self._attendance = attendance
        self._relay_timeout = options.relay_timeout
        self._on_answer = on_answer
        self._in_loop = in_loop
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._by_call: dict[str, str] = {}

    def ask(self, relay: Question) -> None:
        """Find somebody to answer it."""
        self.open[relay.id] = relay
        if isinstance(relay, RelayEvent):
            self._by_call[relay.tool_call_id] = relay.id
        self._asking[relay.id] = asyncio.create_task(self._ask(relay))

    def respond(
        self, relay_id: str, response: PermissionResponse | Mapping[str, Any] | bool, *, by: str = "person"
    ) -> bool:
        """Answer one, from any thread. True if this answer counted.

        Raises:
            ValueError: `response` is not a response.
        """
        if isinstance(response, bool):
            response = RelayResponse(approved=response)
        whole = RelayResponse.model_validate(
            response.model_dump() if isinstance(response, PermissionResponse) else response
        )
        relay = self.open.pop(relay_id, None)
        if relay is None:
            return False
        asking = self._asking.pop(relay_id, None)
        if asking is not None:
            self._in_loop(asking.cancel)  # at a console: a question that was answered elsewhere is withdrawn
        taken = relay.respond(whole)
        if taken:
            self._in_loop(self._on_answer, answer_to(relay, whole, by=by))
        return taken

    def decided(self, tool_call_id: str) -> None:
        """This call goes on, or ends. If it is still being asked about, a rule or a clock was quicker: ask no longer."""
        relay_id = self._by_call.pop(tool_call_id, None)
        if relay_id is not None and self.open.pop(relay_id, None) is not None:
            asking = self._asking.pop(relay_id, None)
            if asking is not None:
                asking.cancel()

    async def close(self) -> None:
        """Withdraw what is open: nobody is asked any more."""
        for task in self._asking.values():
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking.values())
        self.open.clear()

    async def _ask(self, relay: Question) -> None:
        try:
            async with asyncio.timeout(self._relay_timeout):
                answer: Answer | None = await decide(relay, self._approvals, self._attendance)
                if answer is None:
                    await _for_ever()
        except TimeoutError:
            assert self._relay_timeout is not None
            reason = f"Nobody answered within {counted(self._relay_timeout, 'second')}."
            answer = RelayResponse(approved=False, reason=reason), "timeout"
        if answer is not None:
            response, by = answer
            self._asking.pop(relay.id, None)  # our own task, which has nothing to withdraw any more
            self.respond(relay.id, response, by=by)


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()
