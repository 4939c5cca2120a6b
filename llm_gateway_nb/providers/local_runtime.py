"""llama.cpp in this process: one `Engine` a loaded model, shared by every `LocalLLM` that asks for the same one.

An engine works in a thread of its own that lives as long as there is something to do, takes its jobs in the order they
came (loading is the first half of the first), and knows nothing of messages: a chat request goes in, chunks come out.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError

__all__ = ["Engine", "EngineOptions", "acquire", "loaded_models", "release"]

Chunk = dict[str, Any]

_CANCEL_SECONDS = 15.0
_BATCH = 64  # tokens of a prompt between two looks at the cancel flag: 0.8 s on one slow core, and no slower than 2048
_PROMPT_CACHE_MIB = 256  # llama.cpp's own default is 8 GiB


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What makes two loaded models the same one.

    Attributes:
        n_ctx: tokens of prompt and answer together.
        n_threads: None leaves one core free. More threads than idle cores are much slower than fewer.
        n_gpu_layers: layers that go to a GPU where the runtime has one; -1 is all of them.
    """

    path: Path
    n_ctx: int = 8192
    n_threads: int | None = None
    n_gpu_layers: int = -1

    def threads(self) -> int:
        """Threads to compute with."""
        return self.n_threads or max(1, _cores() - 1)


class Engine:
    """One model. Made without I/O; loads itself when the first chat comes, and again after a failed load."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.users = 0
        self._server: Any = None
        self._jobs: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        # Re-entrant: a garbage collection inside it may end a `LocalLLM`, which comes back here to release its model.
        self._lock = threading.RLock()

    @property
    def loaded(self) -> bool:
        return self._server is not None

    async def chat(self, request: Chunk, schemas: Sequence[Chunk] = ()) -> AsyncGenerator[Chunk, None]:
        """The chunks of one streamed chat completion. The first is empty: its turn has come and the model is loaded.

        The first of the JSON `schemas` that llama.cpp can make a grammar of is what the answer is held to.

        Closing the generator, or cancelling the task that reads it, stops the model at its next token, and is over
        when the model has stopped.

        Raises:
            ConfigurationError: the model can't be loaded.
            Exception: what llama.cpp raised.
        """
        turn = _Turn(request, schemas)
        self._put(turn.job(self))
        try:
            while True:
                chunk = await turn.chunks.get()
                if chunk is None:
                    break
                yield chunk
            if turn.error is not None:
                raise turn.error
        finally:
            turn.cancelled.set()
            with self._lock:
                waiting = turn.run in self._jobs
                if waiting:
                    self._jobs.remove(turn.run)
            if not waiting:
                with contextlib.suppress(
                    TimeoutError
                ):  # one step of the model at most; a hung one must not hang us too
                    await asyncio.wait_for(turn.finished.wait(), _CANCEL_SECONDS)

    def unload(self) -> None:
        """Free the model when the jobs before this one are done."""
        self._put(self.free)

    def free(self) -> None:
        """Free the model now, in this thread."""
        self._server = None

    def join(self, seconds: float) -> None:
        """Wait until there is nothing left to do, at most so long."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def server(self) -> Any:
        """llama.cpp with the model in it, loaded if need be. Called in the engine's thread only."""
        if self._server is None:
            self._server = _load(self.options)
        return self._server

    def _put(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"local-model-{self.options.path.stem}")
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._thread = None
                    return
                job = self._jobs.popleft()
            job()


class _Turn:
    """One request between an event loop and an engine's thread."""

    def __init__(self, request: Chunk, schemas: Sequence[Chunk]) -> None:
        self.loop = asyncio.get_running_loop()
        self.chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()  # never longer than the answer: n_ctx tokens
        self.finished = asyncio.Event()
        self.cancelled = threading.Event()
        self.error: BaseException | None = None
        self.request = request
        self.schemas = schemas
        self.run: Callable[[], None] = lambda: None

    def job(self, engine: Engine) -> Callable[[], None]:
        """What the engine's thread is to do, once."""

        def run() -> None:
            try:
                if not self.cancelled.is_set():
                    self._serve(engine.server())
            except BaseException as error:  # noqa: BLE001  (raised again by the reader, in its own task)
                self.error = error
            self._tell(self.chunks.put_nowait, None)
            self._tell(self.finished.set)

        self.run = run
        return run

    def _serve(self, server: Any) -> None:
        self._tell(self.chunks.put_nowait, {})

        def take(chunk: Chunk) -> bool:  # True stops the model; what is raised in here would be swallowed
            if self.cancelled.is_set() or not threading.main_thread().is_alive():
                return True
            return not self._tell(self.chunks.put_nowait, chunk)

        server.handle_chat_completions(self.request | _grammar(self.schemas), take)

    def _tell(self, call: Callable[..., object], *args: object) -> bool:
        try:
            self.loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the reader's loop is closed: nobody is left to tell
            return False
        return True


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
    if engine.loaded:
        engine.unload()


def loaded_models() -> list[Path]:
    """The files of the models that are in memory now."""
    with _registry:
        return [engine.options.path for engine in _engines.values() if engine.loaded]


@atexit.register
def _free_all() -> None:
    for engine in list(_engines.values()):
        engine.join(_CANCEL_SECONDS)
        engine.free()


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))  # a container's share, not the whole machine
    return os.cpu_count() or 1


def _load(options: EngineOptions) -> Any:
    xllamacpp = _import_runtime()
    check_gguf(options.path)
    _read_ahead(options.path)
    params = xllamacpp.CommonParams()
    params.model.path = str(options.path)
    params.n_ctx = options.n_ctx
    params.n_batch = params.n_ubatch = _BATCH
    params.n_parallel = 1
    params.n_gpu_layers = options.n_gpu_layers
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads()
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.fit_params = False  # a trial load that only matters where a GPU is too small, and doubles the time
    params.verbosity = 0
    params.ui = False
    # We call it in process, yet it insists on listening: on a socket that nobody else can find, with a key nobody has.
    params.api_keys = [secrets.token_urlsafe()]
    params.cors_origins = "http://127.0.0.1"
    folder = Path(tempfile.mkdtemp(prefix="llm-gateway-nb-"))
    try:
        socket = str(folder / "model.sock")
        if sys.platform != "win32" and len(socket.encode()) < 100:  # the longest that every system takes is 103
            params.hostnames = [socket]
        return xllamacpp.Server(params)
    except Exception as error:
        raise ConfigurationError(
            f"llama.cpp could not load {str(options.path)!r} ({error}); is it a chat model that this version knows, and "
            f"is there memory for it and n_ctx={options.n_ctx}?"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a bound socket without a name can't be connected to


def _grammar(schemas: Sequence[Chunk]) -> Chunk:
    """Not `response_format`: with that llama.cpp parses the answer as well, and one that was cut off is an error."""
    runtime = _import_runtime()
    for schema in schemas:
        try:
            return {"grammar": runtime.json_schema_to_grammar(schema)}
        except (ValueError, RuntimeError):
            if schema is schemas[-1]:
                raise
    return {}


def check_gguf(path: Path) -> None:
    """See that `path` is a model file.

    Raises:
        ConfigurationError: there is no such file, or it is something else.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ConfigurationError(
            f"There is no readable model file {str(path)!r} ({error.strerror}); give the path of a .gguf file."
        ) from error
    if magic != b"GGUF":
        raise ConfigurationError(f"{str(path)!r} is not a GGUF file; the local model reads no other format.")


def _read_ahead(path: Path) -> None:
    """Bring the file into the system's cache: llama.cpp holds the GIL while it loads, reading does not."""
    buffer = bytearray(1 << 22)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _import_runtime() -> Any:
    try:
        import xllamacpp
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "The local model needs llama.cpp, which is not installed: pip install 'llm-gateway-nb[local]'."
        ) from error
    except ImportError as error:
        if "libgomp" in str(error):
            raise ConfigurationError(
                "llama.cpp needs the system library libgomp.so.1: install the package libgomp1 (apt install libgomp1)."
            ) from error
        raise ConfigurationError(f"llama.cpp is installed but does not start here: {error}.") from error
    return xllamacpp
