"""A model in this process: one `Engine` a loaded model, shared by every `LLM` that asks for the same one.

An engine works in a thread of its own that lives as long as there is something to do, and takes its jobs in the order they
came (loading is the first half of the first). It knows nothing of messages, nor of the runtime that it keeps.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from llm_gateway_nb.providers.base import Piece

__all__ = ["Alive", "Engine", "EngineOptions", "Serve", "Turn", "acquire", "loaded_models", "release"]

_CANCEL_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Alive:
    """The model is at work, and has nothing to say yet."""


class EngineOptions(ABC):
    """What makes two loaded models the same one; hashable."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What people call the model."""

    @abstractmethod
    def load(self) -> Any:
        """The runtime with the model in it; blocks, in the engine's thread.

        Raises:
            ConfigurationError: the runtime is not installed, or can't load the model.
        """

    def freed(self) -> None:  # noqa: B027  (most runtimes have nothing left to do)
        """The model was let go: give back what its runtime keeps beside it."""

    def thread_ends(self) -> None:  # noqa: B027
        """The last thing that happens in a thread of the engine, of which there may be many, one after the other."""


class Engine:
    """One model. Made without I/O; loads itself when the first job comes, and again after a failed load."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.users = 0
        self._runtime: Any = None
        self._jobs: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        # Re-entrant: a garbage collection inside it may end an `LLM`, which comes back here to release its model.
        self._lock = threading.RLock()

    @property
    def loaded(self) -> bool:
        return self._runtime is not None

    @property
    def busy(self) -> bool:
        """Whether it has something to do: a load can't be stopped in the middle."""
        return self._thread is not None

    async def stream(self, serve: Serve) -> AsyncGenerator[Piece | Alive, None]:
        """What `serve(runtime, turn)` tells its turn, in the engine's thread. The first is `Alive`: its turn has come and
        the model is loaded.

        Closing the generator, or cancelling the task that reads it, sets `turn.stopped`, and is over when the model has
        stopped.

        Raises:
            Exception: what `serve` raised, or loading.
        """
        turn = Turn()
        job = turn.job(self, serve)
        self._put(job)
        try:
            while (said := await turn.said.get()) is not None:
                yield said
                if not turn.said.empty():  # a reader who never has to wait would leave nobody else a turn
                    await asyncio.sleep(0)
            if turn.error is not None:
                raise turn.error
        finally:
            turn.stop()
            with self._lock:
                waiting = job in self._jobs
                if waiting:
                    self._jobs.remove(job)
            if turn.begun and not waiting:  # what is being loaded will serve another call
                # One step of the model at most; a hung one must not hang us too.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(turn.finished.wait(), _CANCEL_SECONDS)

    def unload(self) -> None:
        """Free the model when the jobs before this one are done."""
        self._put(self.free)

    def free(self) -> None:
        """Free the model now, in this thread."""
        if self._runtime is not None:
            self._runtime = None
            self.options.freed()

    def join(self, seconds: float) -> None:
        """Wait until there is nothing left to do, at most so long."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def runtime(self) -> Any:
        """What the options load. Called in the engine's thread only."""
        if self._runtime is None:
            self._runtime = self.options.load()
        return self._runtime

    def _put(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"local-model-{self.options.name}")
                self._thread.start()

    def _work(self) -> None:
        try:
            while True:
                with self._lock:
                    if not self._jobs:
                        self._thread = None
                        return
                    job = self._jobs.popleft()
                job()
        finally:
            self.options.thread_ends()


class Turn:
    """One job between an event loop and an engine's thread, which tells what the model says until it is stopped."""

    def __init__(self) -> None:
        self.finished = asyncio.Event()
        self.said: asyncio.Queue[Piece | Alive | None] = asyncio.Queue()  # never longer than one answer
        self.begun = False
        self.error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Nobody reads any more. To be looked at before each token."""
        return self._stopped.is_set() or not threading.main_thread().is_alive()

    def stop(self) -> None:
        self._stopped.set()

    def tell(self, piece: Piece | Alive) -> None:
        """Hand a piece to the reader. In the engine's thread."""
        if not self._call(self.said.put_nowait, piece):
            self.stop()

    def job(self, engine: Engine, serve: Serve) -> Callable[[], None]:
        """What the engine's thread is to do, once."""

        def run() -> None:
            try:
                if not self.stopped:
                    runtime = engine.runtime()
                    self.begun = True
                    self.tell(Alive())
                    if not self.stopped:
                        serve(runtime, self)
            except BaseException as error:  # noqa: BLE001  (raised again by the reader, in its own task)
                self.error = error
            self._call(self.said.put_nowait, None)
            self._call(self.finished.set)

        return run

    def _call(self, call: Callable[..., object], *args: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the reader's loop is closed: nobody is left to tell
            return False
        return True


Serve = Callable[[Any, Turn], None]
"""One answer, given by the runtime and told to the turn."""

_engines: dict[EngineOptions, Engine] = {}
_registry = threading.RLock()


def acquire(options: EngineOptions) -> Engine:
    """The engine of these options, with one more user. Give it back with `release`."""
    with _registry:
        engine = _engines.get(options)
        if engine is None:
            engine = _engines[options] = Engine(options)
        engine.users += 1
        return engine


def release(engine: Engine) -> None:
    """One user less; the last one frees the model."""
    with _registry:
        engine.users -= 1
        if engine.users > 0:
            return
        if _engines.get(engine.options) is engine:
            del _engines[engine.options]
    if engine.busy or engine.loaded:  # what is being loaded for nobody is freed once it is there
        engine.unload()


def loaded_models() -> list[str]:
    """The names of the models that are in memory now."""
    with _registry:
        return [engine.options.name for engine in _engines.values() if engine.loaded]


@atexit.register
def _free_all() -> None:
    for engine in list(_engines.values()):
        engine.join(_CANCEL_SECONDS)
        engine.free()
