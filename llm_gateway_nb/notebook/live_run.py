"""`Run`: one run that is alive. It owns the task that reads the events, and everything that task started.

An event comes in, gets its number, is kept, folded into the tree, shown. A question goes to whoever may answer it. However
the run ends, its generator is closed, its questions are withdrawn and its tree says how it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from IPython.display import display

from llm_gateway_nb.graph import last_text, project_messages
from llm_gateway_nb.harnesses.record import request_of
from llm_gateway_nb.harnesses.replay import Replay, replay
from llm_gateway_nb.notebook.approvals import Attendance, Question
from llm_gateway_nb.notebook.kernel import (
    call_in,
    capturing,
    cell_number,
    check_loop,
    in_kernel,
    kept,
    let_through,
    stdin_allowed,
    until,
)
from llm_gateway_nb.notebook.options import RunOptions
from llm_gateway_nb.notebook.outputs import CellOutputs, page_possible
from llm_gateway_nb.notebook.panel import RunPanel, live_and_plain
from llm_gateway_nb.notebook.questions import Questions
from llm_gateway_nb.notebook.result import RunResult, last_run, result_of, root_of
from llm_gateway_nb.notebook.run_log import RunLog
from llm_gateway_nb.notebook.source import Source, as_events
from llm_gateway_nb.notebook.timeline import place_timeline
from llm_gateway_nb.notebook.tool_output import route_output
from llm_gateway_nb.recording.decisions import Decisions, current_decisions
from llm_gateway_nb.recording.recorder import Recorder
from llm_gateway_nb.recording.tap import with_tap
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    ErrorEvent,
    GeneratorInvokeParams,
    HarnessEvent,
    Message,
    PermissionResponse,
    RelayAnswerEvent,
    RelayEvent,
    ToolCallEvent,
    ToolResultEvent,
    UserEvent,
    UserMessage,
    new_id,
)

__all__ = ["Run"]


class Run:
    """A run. `await` it for its `RunResult`; read its events with `async for`, from the first one, at any time.

    Attributes:
        events: what has happened so far.
        tree: the same, folded.
    """

    def __init__(
        self,
        source: Source,
        params: GeneratorInvokeParams,
        options: RunOptions,
        *,
        show: bool = True,
        watched: bool = True,
        awaited: bool = False,
        attendance: Attendance | None = None,
        on_event: Callable[[HarnessEvent], None] | None = None,
    ) -> None:
        # First of all: where the file can't be written, nothing has begun.
        record, self.title = options.record, options.title
        recorder = Recorder(record) if isinstance(record, str | Path) else record
        self._recorder = None if recorder is None else recorder.invoked(request_of(params), title=self.title)
        self._log = RunLog(self._happened, self._recorder)
        self.events, self.tree = self._log.events, self._log.tree
        self._loop = asyncio.get_running_loop()
        self._params = params
        self._executor = options.executor
        self._played = False
        self._history_of: str | None = None  # of a recorded conversation, its last turn
        self._panel = RunPanel(self.tree, title=self.title, on_message=self._on_message) if show and watched else None
        self._shut = None if self._panel is None else let_through(self._panel, self._loop)
        # Without a way past the cell a click waits behind it: it reaches a run only that has left its own.
        clickable = self._shut is not None or not awaited
        ready = self._panel.ready if clickable and self._panel is not None else None
        attendance = attendance or Attendance(stdin=stdin_allowed(), ready=ready)
        self._on_event = on_event
        self._questions = Questions(
            options, attendance, on_answer=self._take_answer, in_loop=partial(call_in, self._loop)
        )
        self._shown_in = cell_number() if show else None
        replayed = source.timed(params) if isinstance(source, Replay) and show and not awaited else None
        self._timeline = None if replayed is None else place_timeline(replayed, self._panel)
        self._outputs = CellOutputs(self.tree, self._panel, self.title, awaited=awaited) if show else None
        self._awaited = awaited
        self._task = kept(asyncio.create_task(self._drive(source), name="llm_gateway_nb run"))
        self._task.add_done_callback(self._settled)

    @classmethod
    def load(cls, path: str | Path, *, panel: bool = True) -> Run:
        """A run that was saved (`RunResult.save`) or recorded (`start(…, record=path)`), shown again: after a restart of
        the kernel, or a crash. It is over; go on from it: `run(agent, "Go on.", messages=Run.load(path).messages)`.

        Raises:
            RecordingError: the file can't be read, or is no recording.
            ConfigurationError: no loop is running; in a script use `RunResult.load`.
        """
        source = replay(path)
        invokes = source.recording.invokes
        check_loop("Run.load(…)", "RunResult.load(…)")
        params = GeneratorInvokeParams(messages=invokes[-1].messages if invokes else [])
        title = invokes[0].title if invokes else None
        run = cls(source, params, RunOptions(title=title), show=panel and in_kernel(), watched=page_possible())
        for _, event in source.recording.events:  # at once: the next line of the cell may already want its messages
            run._log.take(event)
        run._played = True
        run._history_of = last_run(run.tree) if len(invokes) > 1 else None
        return run

    # -- what a person asks of it ------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._task.done()

    @property
    def relays(self) -> list[Question]:
        """The questions that wait for an answer, oldest first."""
        nodes = ((relay, self.tree.find(relay.id)) for relay in self._questions.open.values())
        return [relay for relay, node in nodes if node is not None and node.status == "pending"]

    @property
    def messages(self) -> list[Message]:
        """The history so far, valid at any moment: `run(agent, "Go on.", messages=live.messages)`."""
        return [*self._params.messages, *project_messages(self.tree, self._history_of)]

    @property
    def text(self) -> str:
        """The model's last text so far."""
        return last_text(self.tree, self._history_of)

    def respond(
        self, relay_id: str, response: PermissionResponse | Mapping[str, Any] | bool, *, by: str = "person"
    ) -> bool:
        """Answer a question, from any thread. True if this answer counted; False if it is unknown, answered or over.

        Raises:
            ValueError: `response` is not a response.
        """
        return self._questions.respond(relay_id, response, by=by)

    def cancel(self) -> None:
        """Stop it, from any thread: tools, subprocesses and the model's connection are gone when `await run` returns.
        Harmless when it is over."""
        call_in(self._loop, self._task.cancel)

    def __await__(self) -> Generator[Any, None, RunResult]:
        # Shielded: a cell that waits may be cancelled without the run being so.
        return self._wait().__await__()

    async def _wait(self) -> RunResult:
        await self._until_over()
        if self._outputs is not None and not self._awaited:
            self._outputs.refresh()
        return self.result()

    def __aiter__(self) -> AsyncIterator[HarnessEvent]:
        return self._log.follow()

    def result(self) -> RunResult:
        """What has come of it so far; of a run that is over, what came of it."""
        return result_of(
            self.tree,
            self.events,
            given=self._params.messages,
            title=self.title,
            response_model=self._params.response_model,
            history_of=self._history_of,
        )

    def __repr__(self) -> str:
        root = root_of(self.tree)
        return f"Run({root.status if root is not None else 'starting'!r}, relays={len(self.relays)}, {self.tree!r})"

    def _ipython_display_(self) -> None:
        """As the last line of the cell that started it there is nothing to add; elsewhere it is shown again."""
        if self._shown_in is None or self._shown_in != cell_number():
            self.show()

    def show(self) -> None:
        """The live view once more, here: all of them live at once."""
        if self._panel is None:
            display({"text/plain": repr(self), "text/html": self.result().to_html()}, raw=True)
            return
        if self._panel.comm is None:  # its cell has run again since
            self._panel = RunPanel.of(self.tree, self.title)
        display(live_and_plain(self._panel), raw=True)

    # -- what happens ------------------------------------------------------------------------------------------------

    async def _drive(self, source: Source) -> None:
        cancelled = isinstance(source, Replay) and source.recording.cut  # as far as anybody can tell
        with capturing(route_output):
            try:
                if not isinstance(source, Replay):  # which has the person's turn in it
                    self._say_what_was_asked()
                current_decisions.set(Decisions())  # of this task, and of those it starts
                if self._played:
                    return
                async with aclosing(self._heard(source)) as events:
                    async for event in events:
                        self._log.take(event)
            except asyncio.CancelledError:
                cancelled = True  # asked for, by `cancel()`: the run ends, and says so; nobody above is cancelled by it
            except Exception as error:  # noqa: BLE001  (whatever a source raises is how this run ended)
                self._log.take(ErrorEvent(run_id=self._log.root_id, error=error))
            finally:
                await self._questions.close()
                self._end(cancelled=cancelled)

    def _heard(self, source: Source) -> AsyncGenerator[HarnessEvent, None]:
        events = as_events(source, self._params, self._executor)
        return events if self._recorder is None else with_tap(lambda: events, self._recorder)

    def _say_what_was_asked(self) -> None:
        if self._params.messages and isinstance(last := self._params.messages[-1], UserMessage):
            self._log.take(UserEvent(run_id=new_id(), content=last.content))

    def _happened(self, event: HarnessEvent) -> None:
        if self._on_event is not None:
            self._on_event(event)
        match event:
            case RelayEvent() | BudgetRelayEvent():
                if event.answerable:
                    self._questions.ask(event)
            case ToolCallEvent() | ToolResultEvent():
                self._questions.decided(event.id)
            case _:
                pass
        if self._panel is not None:
            self._panel.changed()
        else:
            self.tree.changes.clear()  # nobody looks
        if self._outputs is not None:
            self._outputs.changed()

    def _take_answer(self, event: RelayAnswerEvent) -> None:
        if not self._log.over:  # an answer from another thread may arrive just after the end; nothing comes after that
            self._log.take(event)

    def _end(self, *, cancelled: bool) -> None:
        self._log.end(cancelled=cancelled)
        if self._panel is not None:
            self._panel.over()
        if self._timeline is not None:
            self._timeline.played()
        if self._shut is not None:
            self._shut()
        if self._outputs is not None and not self._awaited:
            self._outputs.close()

    def _settled(self, _task: asyncio.Task[None]) -> None:
        if not self._log.over:  # cancelled before it took its first step
            self._end(cancelled=True)

    async def _until_over(self) -> None:
        """Whoever waits here may be cancelled without the run being so."""
        await until(asyncio.wait([self._task]))

    def close_outputs(self) -> None:
        """Of an awaited run: make the static output, here in the cell, and let the live one go."""
        if self._outputs is not None and self._awaited:
            self._outputs.close()
            if self._panel is not None and self._panel.pages <= 1:
                self._panel.close()
                self._panel = None
            # A page that was reloaded in the middle gets no output of this cell any more: the panel is all that it has.

    def _on_message(self, message: dict[str, Any]) -> None:
        match message:
            case {"k": "relay", "id": relay_id, **answer}:
                with suppress(ValueError):  # a page sends what it likes; what is no response is no answer
                    self.respond(relay_id, {key: value for key, value in answer.items() if key != "k"})
            case {"k": "stop"}:
                self.cancel()
