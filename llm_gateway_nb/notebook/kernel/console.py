"""A line from the person at a console, while the loop goes on turning; a question that is withdrawn leaves nobody reading.

`input()` blocks, so it is called in a thread. That alone would not do: where the question is withdrawn (a timeout, a
cancel), the thread would go on to wait for a line, and take the one that the next question, or the person's own `input()`,
is waiting for; and a process that ends while a thread reads its standard input may die of it.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import ctypes
import os
import select
import sys
import threading

from llm_gateway_nb.notebook.kernel.frontend import cell_running, in_kernel

__all__ = ["ask_line"]

_CELL_SECONDS = 0.2

_turn = threading.Lock()
"""One question at a time: two would read each other's answers."""


async def ask_line(question: str) -> str:
    """Put `question` and wait for the line; empty at the end of input. Cancelling withdraws the question.

    Several at once are put one after the other, from whatever threads and loops. In a kernel a question waits for a cell to
    be running: between cells a console does not listen.
    """
    while in_kernel() and not cell_running():  # noqa: ASYNC110  (a kernel has no event that says so)
        await asyncio.sleep(_CELL_SECONDS)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def settle(line: str) -> None:
        if not answer.done():
            answer.set_result(line)

    def done(line: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, line)

    asking = _Asking(question)
    # A thread with a new Context, and not ours: kernels then ask whoever runs a cell now, and not who started the run.
    threading.Thread(target=lambda: done(asking.ask()), name="llm_gateway_nb console question", daemon=True).start()
    try:
        return await answer
    finally:
        asking.withdraw()


class _Asking:
    """One question: `ask` in a thread, `withdraw` from another."""

    def __init__(self, question: str) -> None:
        self._question = question
        self._withdrawn = False
        self._lock = threading.Lock()
        self._reader: int | None = None  # the thread that is in `input()`
        self._open_line = False  # a prompt stands at the terminal
        self._wake, self._waker = os.pipe()

    def ask(self) -> str:
        try:
            with _turn:
                if self._withdrawn:
                    return ""
                return self._ask_kernel() if in_kernel() or os.name == "nt" else self._ask_terminal()
        except (EOFError, KeyboardInterrupt, RuntimeError, OSError, ValueError):
            return ""
        finally:
            os.close(self._wake)

    def withdraw(self) -> None:
        """To be called once; of a question that was answered nothing is left to be withdrawn."""
        with self._lock:
            self._withdrawn = True
            os.close(self._waker)  # the other end reads as closed
            if self._open_line:
                print("(withdrawn)", flush=True)  # noqa: T201  (what comes next stands on a line of its own)
            if self._reader is not None and os.name != "nt":
                # `raw_input` of a kernel looks for a reply a hundred times a second, and for this as often.
                # SystemExit, because a thread may end by it at any point without a word.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._reader), ctypes.py_object(SystemExit))

    def _ask_kernel(self) -> str:
        with self._lock:
            if self._withdrawn:
                return ""
            self._reader = threading.get_ident()
        try:
            return builtins.input(self._question)
        finally:
            with self._lock:
                self._reader = None

    def _ask_terminal(self) -> str:
        with self._lock:
            if self._withdrawn:
                return ""
            print(self._question, end="", flush=True)  # noqa: T201  (a prompt)
            self._open_line = True
        # A terminal gives whole lines: where there is something to read there is all of it.
        ready, _, _ = select.select([sys.stdin.fileno(), self._wake], [], [])
        if self._wake in ready:
            return ""
        line = sys.stdin.readline()
        with self._lock:
            self._open_line = False
        return line
