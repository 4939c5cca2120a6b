"""llama.cpp in this process: loading a model, and one streamed chat completion."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers.engine import EngineOptions

__all__ = ["LlamaOptions", "check_gguf", "complete"]

Chunk = dict[str, Any]

_BATCH = 64  # tokens of a prompt between two looks at the cancel flag: 0.8 s on one slow core, and no slower than 2048
_PROMPT_CACHE_MIB = 256  # llama.cpp's own default is 8 GiB


@dataclass(frozen=True, slots=True)
class LlamaOptions(EngineOptions):
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

    @property
    def name(self) -> str:
        return str(self.path)

    def threads(self) -> int:
        """Threads to compute with."""
        return self.n_threads or max(1, _cores() - 1)

    def load(self) -> Any:
        """llama.cpp's server object with the model in it.

        Raises:
            ConfigurationError: the runtime or the file is not there, or they do not fit.
        """
        return _load(self)


def complete(server: Any, request: Chunk, schemas: Sequence[Chunk], take: Callable[[Chunk], bool]) -> None:
    """One streamed chat completion; each chunk goes to `take`, which stops the model with True and must not raise.

    The first of the JSON `schemas` that llama.cpp can make a grammar of is what the answer is held to.

    Raises:
        Exception: what llama.cpp raised.
    """
    server.handle_chat_completions(request | _grammar(schemas), take)


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))  # a container's share, not the whole machine
    return os.cpu_count() or 1


def _load(options: LlamaOptions) -> Any:
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
