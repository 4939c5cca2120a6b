"""A conversation: turn after turn is a run, and all of them are one history in one panel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from IPython.display import display

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.graph import RunTree, fold_event
from llm_gateway_nb.notebook.approvals import Approvals, Attendance
from llm_gateway_nb.notebook.kernel import (
    call_in,
    cell_number,
    counts_sigint,
    in_kernel,
    let_through,
    stdin_allowed,
    until,
)
from llm_gateway_nb.notebook.live_run import Run
from llm_gateway_nb.notebook.outputs import CellOutputs, page_possible, static_bundle
from llm_gateway_nb.notebook.panel import RunPanel, live_and_plain
from llm_gateway_nb.notebook.result import RunResult
from llm_gateway_nb.types import GeneratorHarnessModule, GeneratorInvokeParams, HarnessEvent, Message, UserMessage

__all__ = ["Chat"]

_alive: set[asyncio.Task[None]] = set()
"""A loop holds its tasks weakly; a conversation that nobody has kept a name for goes on all the same."""


class Chat:
    """A conversation; see `chat`. `await` it for the result of the last turn, once nothing is left to answer.

    Attributes:
        messages: the history so far: valid, and what the next turn goes on from.
        results: what came of each turn.
        tree: all turns, folded.
        writable: whether somebody could write in the panel.
    """

    def __init__(
        self,
        source: GeneratorHarnessModule,
        params: GeneratorInvokeParams,
        *,
        approvals: Approvals,
        relay_timeout: float | None,
        title: str | None,
    ) -> None:
        self.messages: list[Message] = list(params.messages[:-1])
        self.results: list[RunResult] = []
        self.tree = RunTree()
        self.writable = in_kernel() and page_possible()
        self._source = source
        self._params = params
        self._approvals = approvals
        self._relay_timeout = relay_timeout
        self._title = title
        self._loop = asyncio.get_running_loop()
        self._shut: Callable[[], None] | None = None
        self._waiting: list[str] = []
        self._task: asyncio.Task[None] | None = None  # there is one while there is something to answer
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._run: Run | None = None
        self._outputs: CellOutputs | None = None
        self._panel = self._open_panel() if self.writable else None
        self._shown_in = cell_number()
        self._attendance = Attendance(
            stdin=stdin_allowed(),
            ready=self._panel.ready if self._panel is not None and self._shut is not None else None,
        )

    # -- what a person does with it --------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """The person's next turn, from any thread; behind those that still wait."""
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(f"say takes a text, not {text!r}.")
        call_in(self._loop, self._enqueue, text)

    def stop(self) -> None:
        """End the answer that is under way, from any thread, and forget what waits behind it. The conversation goes on."""
        call_in(self._loop, self._stop)

    def close(self) -> None:
        """The conversation is over: what is under way is cancelled, and nothing can be written any more."""
        call_in(self._loop, self._close)

    @property
    def busy(self) -> bool:
        """Whether an answer is under way, or waits to be."""
        return not self._idle.is_set()

    @property
    def text(self) -> str:
        """The last answer."""
        return self.results[-1].text if self.results else ""

    def __await__(self) -> Generator[Any, None, RunResult | None]:
        return self._until_answered().__await__()

    def __repr__(self) -> str:
        return f"Chat(turns={len(self.results)}, messages={len(self.messages)})"

    def show(self) -> None:
        """The panel once more, here: all of them live at once."""
        if self._panel is None:
            display({**static_bundle(self.tree, self._title), "text/plain": repr(self)}, raw=True)
            return
        if self._panel.comm is None:  # its cell has run again since
            self._panel = self._open_panel()
        display(live_and_plain(self._panel), raw=True)

    def _ipython_display_(self) -> None:
        """As the last line of the cell that started it there is nothing to add; elsewhere it is shown again."""
        if self._shown_in is None or self._shown_in != cell_number():
            self.show()

    # -- what happens ----------------------------------------------------------------------------------------------------

    def _enqueue(self, text: str) -> None:
        if self._closed:
            return
        self._waiting.append(text)
        self._idle.clear()
        if self._task is None:
            self._task = asyncio.create_task(self._converse(), name="llm_gateway_nb chat")
            _alive.add(self._task)
            self._task.add_done_callback(self._settled)

    async def _converse(self) -> None:
        try:
            while self._waiting:
                await self._answer(self._waiting.pop(0))
        finally:
            self._task = None
            self._idle.set()

    def _settled(self, task: asyncio.Task[None]) -> None:
        _alive.discard(task)
        if self._task is task:  # cancelled before it took its first step
            self._task = None
            self._idle.set()

    async def _answer(self, text: str) -> None:
        params = self._params.model_copy(update={"messages": [*self.messages, UserMessage(content=text)]})
        if self._panel is not None:
            self._panel.over(False)
        run = self._run = Run(
            self._source,
            params,
            approvals=self._approvals,
            relay_timeout=self._relay_timeout,
            show=False,
            attendance=self._attendance,
            on_event=self._take,
        )
        try:
            await run._until_over()
        except asyncio.CancelledError:  # the conversation is closed: first the run ends, with all that it has started
            run.cancel()
            await asyncio.wait([run._task])
            raise
        finally:
            self._run = None
            self.messages = run.messages
            self.results.append(run.result())
            if self._panel is not None:
                self._panel.over()
            self._changed()
            if self._outputs is not None:
                self._outputs.close()  # the file has the turn now, whatever comes next

    def _take(self, event: HarnessEvent) -> None:
        fold_event(self.tree, event)
        self._changed()

    def _stop(self) -> None:
        self._waiting.clear()
        if self._run is not None:
            self._run.cancel()

    def _close(self) -> None:
        self._closed = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        if self._panel is not None:
            self._panel.chat = False
        if self._shut is not None:
            self._shut()

    def _changed(self) -> None:
        if self._panel is not None:
            self._panel.changed()
        else:
            self.tree.changes.clear()  # nobody looks
        if self._outputs is not None:
            self._outputs.changed()

    async def _until_idle(self) -> None:
        """Until all is answered. Whoever interrupts it wants the answer to end, and gets that first."""
        with counts_sigint() as interrupts:
            try:
                await until(self._idle.wait())
            except asyncio.CancelledError:
                if not interrupts.count:
                    raise  # a clock of the cell, say: the conversation goes on
                self._stop()
                await until(self._idle.wait())
                raise KeyboardInterrupt from None

    async def _until_answered(self) -> RunResult | None:
        await asyncio.sleep(0)  # what was said from another thread just now
        await self._until_idle()
        if self._outputs is not None:
            self._outputs.refresh()
        return self.results[-1] if self.results else None

    def _open_panel(self) -> RunPanel:
        panel = RunPanel(self.tree, title=self._title, on_message=self._on_message, chat=not self._closed)
        self._shut = let_through(panel, self._loop)
        panel.over(not self.busy)
        return panel

    def _place_outputs(self) -> None:
        """In the cell itself: from a task they might land in another."""
        if in_kernel():
            self._outputs = CellOutputs(self.tree, self._panel, self._title, awaited=False)

    # -- from the page ---------------------------------------------------------------------------------------------------

    def _on_message(self, message: dict[str, Any]) -> None:
        match message:
            case {"k": "say", "text": str(text)}:
                with suppress(ConfigurationError):  # a page sends what it likes
                    self.say(text)
            case {"k": "stop"}:
                self.stop()
            case {"k": "relay"}:
                run = self._run
                if run is not None:
                    run._on_message(message)
