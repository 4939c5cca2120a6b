"""Run a cell in the namespace of the notebook that this process is, and tell what a cell would show.

What stands here is IPython's way to run a cell, without what belongs to the person alone: no history, no `In` and `Out`, no
hooks of extensions. Output is taken by context, so that it does not mix with what else is printed meanwhile.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import signal
import sys
import threading
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from llm_gateway_nb._words import counted
from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.repl import Piece, ReplResult
from llm_gateway_nb.repl.output import Collector
from llm_gateway_nb.tools.capture import Output, capturing

__all__ = ["UserNamespace"]


class UserNamespace:
    """The person's own variables. One turn at a time, whoever asks; synchronous code holds up this process, as a cell does.

    Raises:
        ToolError: this process is no notebook.
    """

    def __init__(self, max_output: int) -> None:
        self._max_output = max_output
        get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
        shell = None if get_ipython is None else get_ipython()
        if shell is None:
            raise ToolError(
                "python_tool(namespace='user') works on the variables of a notebook, and this is none. "
                "In a script use python_tool(), which has a REPL of its own."
            )
        self._shell: Any = shell

    def kill(self) -> None:
        """A cancel is all that ends a turn here: the process is the person's."""

    async def execute(
        self, code: str, *, timeout: float | None = None, on_output: Callable[[Piece], None] | None = None
    ) -> ReplResult:
        """Run a cell. Never raises for what it does; a turn over its time, or interrupted, ends with that as its error."""
        output = Collector(self._max_output, on_output)
        started = time.perf_counter()
        figures = _open_figures()

        def take(given: Output) -> None:
            output.take({"msg_type": given["output_type"], "content": given})

        with capturing(take):
            error = await self._run(code, _Alarm(timeout))
            for figure in _open_figures() - figures:
                self._show_figure(figure, take)
        return ReplResult(
            stdout=output.text("stdout"),
            stderr=output.text("stderr"),
            mime=output.mime,
            error=error,
            truncated=output.truncated,
            duration_ms=(time.perf_counter() - started) * 1000,
        )

    async def _run(self, code: str, alarm: _Alarm) -> str | None:
        """The traceback, or why it was stopped; None if all went well."""
        shell = self._shell
        try:
            source = shell.transform_cell(code)
            name = shell.compile.cache(source, " ")  # no number: it is no cell of the person's
            cell = shell.transform_ast(shell.compile.ast_parse(source, filename=name))
            last = cell.body[-1] if cell.body else None
            shown = last if isinstance(last, ast.Expr) and not source.rstrip().endswith(";") else None
            if shown is not None:
                cell.body.pop()
            await alarm.run(_compiled(cell, name, shell.compile.flags), shell.user_ns)
            if shown is not None:
                value = await alarm.run(
                    _compiled(ast.Expression(shown.value), name, shell.compile.flags), shell.user_ns
                )
                if value is not None:
                    self._show(value)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except _OverTimeError:
            assert alarm.seconds is not None
            return f"Stopped: the turn took longer than {counted(alarm.seconds, 'second')}."
        except KeyboardInterrupt:
            return "Stopped: it was interrupted."
        except BaseException as error:  # noqa: BLE001  (whatever a cell raises, `SystemExit` too, is what came of it)
            return self._traceback(error)
        return None

    def _show(self, value: Any) -> None:
        data, metadata = self._shell.display_formatter.format(value)
        if data:  # an object that displays itself has done so
            self._shell.display_pub.publish(data, metadata)

    def _show_figure(self, number: int, take: Callable[[Output], None]) -> None:
        pyplot = sys.modules["matplotlib.pyplot"]
        figure = pyplot.figure(number)
        data, metadata = self._shell.display_formatter.format(figure)
        take({"output_type": "display_data", "data": data, "metadata": metadata, "transient": {}})
        pyplot.close(number)

    def _traceback(self, error: BaseException) -> str:
        """As a cell shows it, without the frames of this module."""
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        shell = self._shell
        try:
            if isinstance(error, SyntaxError) and frames is None:
                lines = shell.SyntaxTB.structured_traceback(type(error), error, [])
            else:
                lines = shell.InteractiveTB.structured_traceback(type(error), error, frames)
        except Exception:  # noqa: BLE001  (an exception may be too odd to be formatted)
            lines = [f"{type(error).__name__}: {error}"]
        return shell.InteractiveTB.stb2text(lines)  # type: ignore[no-any-return]


def _compiled(cell: ast.Module | ast.Expression, name: str, flags: int) -> types.CodeType:
    how = "exec" if isinstance(cell, ast.Module) else "eval"
    code: types.CodeType = compile(cell, name, how, flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


def _open_figures() -> set[int]:
    pyplot = sys.modules.get("matplotlib.pyplot")
    return set() if pyplot is None else set(pyplot.get_fignums())


class _OverTimeError(BaseException):
    """The time of a turn is up. No `Exception`, so that code does not take it for one of its own."""


class _Alarm:
    """Runs code within a limit of its own time, and lets the stop button through to it.

    Both are signals, and so reach code in the main thread alone, where the cells of a notebook run. In any other thread
    only what it awaits is limited.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._left = seconds
        self._can = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")

    async def run(self, code: types.CodeType, namespace: dict[str, Any]) -> Any:
        with self._armed():
            value = eval(code, namespace)
        if not code.co_flags & inspect.CO_COROUTINE:
            return value
        deadline = asyncio.timeout(self._left)
        try:
            async with deadline:
                return await self._driven(value)
        except TimeoutError:
            if deadline.expired():
                raise _OverTimeError from None
            raise

    def _driven(self, work: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        """The coroutine, with the alarm set only while a step of it runs: what runs between is somebody else's."""

        @types.coroutine
        def drive() -> Generator[Any, Any, Any]:
            send: Callable[[], Any] = partial(work.send, None)
            try:
                while True:
                    try:
                        with self._armed():
                            waiting = send()
                    except StopIteration as end:
                        return end.value
                    try:
                        got = yield waiting
                        send = partial(work.send, got)
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001  (a cancel, above all: it is the code's to handle)
                        send = partial(work.throw, error)
            finally:
                work.close()

        return drive()

    @contextmanager
    def _armed(self) -> Iterator[None]:
        if not self._can:
            yield
            return
        started = time.monotonic()
        before_interrupt = signal.getsignal(signal.SIGINT)

        def interrupt(number: int, frame: FrameType | None) -> None:
            if callable(before_interrupt) and before_interrupt is not signal.default_int_handler:
                before_interrupt(number, frame)  # the run has to know, too
            raise KeyboardInterrupt

        def over(_number: int, _frame: FrameType | None) -> None:
            raise _OverTimeError

        if before_interrupt is not None:
            signal.signal(signal.SIGINT, interrupt)
        before_alarm = signal.getsignal(signal.SIGALRM) if self._left is not None else None
        if self._left is not None:
            signal.signal(signal.SIGALRM, over)
            before_left, _ = signal.setitimer(signal.ITIMER_REAL, max(self._left, 0.001))
        try:
            yield
        finally:
            if self._left is not None:
                signal.setitimer(signal.ITIMER_REAL, before_left)
                signal.signal(signal.SIGALRM, before_alarm)
                self._left -= time.monotonic() - started
            if before_interrupt is not None and signal.getsignal(signal.SIGINT) is interrupt:
                signal.signal(signal.SIGINT, before_interrupt)
