"""A conversation: turn after turn is a run, and all of them are one history in one panel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any

from IPython.display import display

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.graph import RunTree, fold_event
from llm_gateway_nb.notebook.approvals import Attendance
from llm_gateway_nb.notebook.kernel import (
    call_in,
    cell_number,
    counts_sigint,
    in_kernel,
    kept,
    let_through,
    stdin_allowed,
    until,
)
from llm_gateway_nb.notebook.live_run import Run
from llm_gateway_nb.notebook.options import RunOptions
from llm_gateway_nb.notebook.outputs import CellOutputs, page_possible, static_bundle
from llm_gateway_nb.notebook.panel import RunPanel, live_and_plain
from llm_gateway_nb.notebook.result import RunResult
from llm_gateway_nb.providers.media import Media, media_parts
from llm_gateway_nb.types import (
    ContentPart,
    ErrorEvent,
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEvent,
    InvokeEnv,
    Message,
    TextContentPart,
    UserEvent,
    UserMessage,
    new_id,
)

__all__ = ["Chat"]


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
        options: RunOptions,
        *,
        media: Sequence[ContentPart] = (),
    ) -> None:
        self._given = list(params.messages[:-1])
        self.messages: list[Message] = list(self._given)
        self.results: list[RunResult] = []
        self.tree = RunTree()
        self.writable = in_kernel() and page_possible()
        self._source = source
        env = (params.env or InvokeEnv()).model_copy(update={"shared": {}})  # a budget is that of all turns
        self._params = params.model_copy(update={"env": env})
        self._media = list(media)
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._shut: Callable[[], None] | None = None
        self._waiting: list[UserMessage | None] = []  # None: begin anew
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

    def say(self, text: str, *, media: Media | Sequence[Media] | None = None) -> None:
        """The person's next turn, with images and documents if there are any; from any thread, behind those that wait.

        Raises:
            ConfigurationError: it is no text, or a file can't be read; nothing was said.
        """
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(f"say takes a text, not {text!r}.")
        call_in(self._loop, self._said, text, media_parts(media) if media is not None else [])

    def clear(self) -> None:
        """Begin anew, from any thread: the answer that is under way ends, and what was said is forgotten, but for
        what `chat` was given. What "always" allows and what the budget has used stay."""
        call_in(self._loop, self._clear)

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
            display({**static_bundle(self.tree, self._options.title), "text/plain": repr(self)}, raw=True)
            return
        if self._panel.comm is None:  # its cell has run again since
            self._panel = self._open_panel()
        display(live_and_plain(self._panel), raw=True)

    def _ipython_display_(self) -> None:
        """As the last line of the cell that started it there is nothing to add; elsewhere it is shown again."""
        if self._shown_in is None or self._shown_in != cell_number():
            self.show()

    # -- what happens ----------------------------------------------------------------------------------------------------

    def _said(self, text: str, parts: list[ContentPart]) -> None:
        parts, self._media = [*self._media, *parts], []
        self._enqueue(UserMessage(content=[*parts, TextContentPart(text=text)] if parts else text))

    def _enqueue(self, turn: UserMessage | None) -> None:
        if self._closed:
            return
        self._waiting.append(turn)
        self._idle.clear()
        if self._task is None:
            self._task = kept(asyncio.create_task(self._converse(), name="llm_gateway_nb chat"))
            self._task.add_done_callback(self._settled)

    async def _converse(self) -> None:
        try:
            while self._waiting:
                turn = self._waiting.pop(0)
                if turn is None:
                    self._begin_anew()
                else:
                    await self._answer(turn)
        finally:
            self._task = None
            self._idle.set()

    def _settled(self, task: asyncio.Task[None]) -> None:
        if self._task is task:  # cancelled before it took its first step
            self._task = None
            self._idle.set()

    async def _answer(self, turn: UserMessage) -> None:
        params = self._params.model_copy(update={"messages": [*self.messages, turn]})
        try:
            run = Run(
                self._source,
                params,
                self._options,
                show=False,
                attendance=self._attendance,
                on_event=self._take,
            )
        except ConfigurationError as error:  # the file that it is recorded to is gone, or was changed
            self._take(UserEvent(run_id=new_id(), content=turn.content))
            self._take(ErrorEvent(run_id=new_id(), error=error))
            return
        self._run = run
        if self._panel is not None:
            self._panel.over(False)
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

    def _clear(self) -> None:
        self._stop()
        self._enqueue(None)

    def _begin_anew(self) -> None:
        self.messages, self.results, self.tree = list(self._given), [], RunTree()
        if self._panel is not None:
            self._panel.retell(self.tree)
        if self._outputs is not None:
            self._outputs.retell(self.tree)

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
        panel = RunPanel(self.tree, title=self._options.title, on_message=self._on_message, chat=not self._closed)
        self._shut = let_through(panel, self._loop)
        panel.over(not self.busy)
        return panel

    def _place_outputs(self) -> None:
        """In the cell itself: from a task they might land in another."""
        if in_kernel():
            self._outputs = CellOutputs(self.tree, self._panel, self._options.title, awaited=False)

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
