"""Every snippet of the async guide, as printed but for its imports, against services on this machine.

`snippets/` holds them in the guide's order; they are not formatted nor linted. A snippet that leaves names undefined gets
them here.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.util
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
import uvicorn
from support.documents import write_pdf
from support.tiny_folder import write_tiny_folder
from support.waiting import until

from llm_gateway_nb import create_llm
from llm_gateway_nb.testing import PracticeServices, practice_services

SNIPPETS = {int(path.name[:2]): path for path in Path(__file__).parent.joinpath("snippets").glob("[0-9][0-9]_*.py")}
ANSWERS = {"Earth": "No.", "capital of France": "Paris.", "line break": "one\ntwo"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries, at their import


@pytest.fixture
def services() -> Iterator[PracticeServices]:
    with practice_services(ANSWERS) as services:
        yield services


def run_script(number: int, **names: Any) -> str:
    """A whole snippet, as `python snippet.py` runs it; gives what it printed."""
    printed = io.StringIO()
    code = compile(SNIPPETS[number].read_text(), SNIPPETS[number].name, "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, {"__name__": "__main__", **names})
    return printed.getvalue()


async def run_cell(number: int, names: dict[str, Any]) -> str:
    """A fragment with `await` at its top, as a cell runs it."""
    printed = io.StringIO()
    source = SNIPPETS[number].read_text()
    code = compile(source, SNIPPETS[number].name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(printed):
        waiting = eval(code, names)
        if waiting is not None:
            await waiting
    return printed.getvalue()


def load_app(number: int) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"guide_app_{number}", SNIPPETS[number])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """A real uvicorn, in a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_every_snippet_of_the_guide_is_here() -> None:
    assert sorted(SNIPPETS) == list(range(1, 25))


# -- basic usage, streams, sessions --------------------------------------------------------------------------------------


def test_01_a_single_request(services: PracticeServices) -> None:
    assert run_script(1) == "This is gpt-4o-mini, asked: What is Python?\n"


def test_02_concurrent_requests_are_inside_at_once_and_answered_in_order(services: PracticeServices) -> None:
    services.together = 3
    printed = run_script(2)
    assert [line for line in printed.splitlines() if line] == [
        line
        for topic in ("Python", "JavaScript", "Rust")
        for line in (f"{topic}:", f"This is qwen3:4b, asked: Summarize {topic}")
    ]
    assert services.most_at_once == 3


def test_03_anthropics_stream_has_its_words(services: PracticeServices) -> None:
    assert run_script(3) == "This is claude-haiku-4-5, asked: Write a haiku about coding\n"


def test_04_concurrent_streams_lose_no_word(services: PracticeServices) -> None:
    services.together = 3
    printed = run_script(4)
    assert services.most_at_once == 3
    for word in ("Python", "JavaScript", "Rust"):
        assert f"{word}:" in printed
    assert printed.count("sentence") == 3


def test_05_a_session_keeps_its_history(services: PracticeServices) -> None:
    assert "Conversation length: 4 messages" in run_script(5)
    assert [len(request.messages) for request in services.requests] == [1, 3]


def test_06_concurrent_sessions_are_independent(services: PracticeServices) -> None:
    services.together = 3
    printed = run_script(6)
    assert services.most_at_once == 3
    assert all(f"Session {number}:" in printed for number in (1, 2, 3))
    for request in services.requests:
        assert sum(topic in str(request.messages) for topic in ("Python", "JavaScript", "Rust")) == 1


# -- several providers ---------------------------------------------------------------------------------------------------


def test_07_three_providers_answer_side_by_side(services: PracticeServices) -> None:
    printed = run_script(7)
    assert printed.count("Paris.") == 3
    assert {request.service for request in services.requests} == {"openai", "anthropic", "ollama"}


def test_08_the_consensus_is_as_the_guide_counts_it(services: PracticeServices) -> None:
    printed = run_script(8)
    assert printed == "Answers: ['no.', 'no.', 'no.']\nConsensus: No\n"  # "no." is not "no": the notebook counts better


# -- FastAPI -------------------------------------------------------------------------------------------------------------


async def test_09_the_endpoints_serve_concurrent_clients(services: PracticeServices) -> None:
    services.together = 20
    with serving(load_app(9).app) as url:
        async with aiohttp.ClientSession(url) as client:

            async def generate(prompt: str) -> Any:
                async with client.post("/generate", params={"prompt": prompt}) as response:
                    return await response.json()

            answers = await asyncio.gather(*(generate(f"client {number}") for number in range(20)))
            assert services.most_at_once == 20
            async with client.post("/batch", json=["a", "b", "c"]) as response:
                assert response.status == 200
                batch = await response.json()
    assert answers == [{"response": f"This is gpt-4o-mini, asked: client {number}"} for number in range(20)]
    assert batch == {"responses": [f"This is gpt-4o-mini, asked: {word}" for word in "abc"]}


async def test_10_the_streaming_endpoint_serves_concurrent_clients(services: PracticeServices) -> None:
    services.together = 20
    with serving(load_app(10).app) as url:
        async with aiohttp.ClientSession(url) as client:

            async def stream(prompt: str) -> str:
                async with client.post("/stream", params={"prompt": prompt}) as response:
                    assert response.content_type == "text/event-stream"
                    return await response.text()

            bodies = await asyncio.gather(*(stream(f"client {number}") for number in range(20)))
    assert services.most_at_once == 20
    for number, body in enumerate(bodies):
        words = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
        assert "".join(words) == f"This is claude-haiku-4-5, asked: client {number}"


async def test_10_a_client_that_leaves_ends_the_call_behind_it(services: PracticeServices) -> None:
    services.answers = lambda request: "word " * 200_000
    with serving(load_app(10).app) as url:
        async with aiohttp.ClientSession(url) as client:
            async with client.post("/stream", params={"prompt": "go on"}) as response:
                await response.content.readany()
        await until(lambda: not services._inside)  # it would take minutes to the end


# -- documents, errors ---------------------------------------------------------------------------------------------------


def test_11_documents_are_read_and_summarized(
    services: PracticeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 3):
        write_pdf(tmp_path / f"report{number}.pdf", f"Report number {number}")
    printed = run_script(11)
    assert [line for line in printed.splitlines() if line] == [
        line for number in (1, 2, 3) for line in (f"report{number}.pdf:", "An example of summary.")
    ]
    assert [f"Report number {number}" in str(services.requests[number - 1].messages) for number in (1, 2, 3)] == [
        True
    ] * 3


@pytest.mark.parametrize("failures", [0, 3, 9])
def test_12_a_failure_is_caught_and_the_other_answers_stay(services: PracticeServices, failures: int) -> None:
    services.fail(failures, status=401, message="no such key")
    printed = run_script(12)
    assert printed.count("ERROR") == min(failures, 3)
    assert printed.count("This is gpt-4o-mini") == 3 - min(failures, 3)


# -- tips ----------------------------------------------------------------------------------------------------------------


def test_13_every_provider_of_the_list_is_made_without_being_asked(services: PracticeServices) -> None:
    names: dict[str, Any] = {"create_llm": create_llm}
    exec(SNIPPETS[13].read_text(), names)
    assert names["llm"].provider == "mlx"
    assert services.requests == []


async def test_14_a_gather_is_ten_at_once_and_a_loop_one(services: PracticeServices) -> None:
    services.together = 10
    async with create_llm("openai", model="gpt-4o-mini") as llm:
        names: dict[str, Any] = {"llm": llm, "asyncio": asyncio}
        await run_cell(14, names)
    assert services.most_at_once == 10
    assert [answer.content for answer in names["results"]] == [
        f"This is gpt-4o-mini, asked: Task {number}" for number in range(10)
    ]


async def test_15_a_file_is_read_beside_the_call(services: PracticeServices, tmp_path: Path) -> None:
    read: list[str] = []
    names: dict[str, Any] = {"read_large_file": read.append}
    await run_cell(15, names)
    await names["main"]()
    assert read == ["data.txt"]
    assert services.requests[0].prompt == "Explain async"


def test_16_the_recipe_for_retries_works_around_ours(
    services: PracticeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds, *rest: real(seconds / 20, *rest))
    services.fail(3)
    assert "This is gpt-4o-mini, asked: What is Python?" in run_script(16)
    assert len(services.requests) == 4, "our own two retries and the recipe's first"


def test_17_the_recipe_for_a_rate_comes_to_its_end(services: PracticeServices, monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds, *rest: real(seconds / 20, *rest))  # it leaks, and takes 15 s
    assert run_script(17) == ""
    assert len(services.requests) == 20


def test_18_progress_is_told_until_all_is_done(services: PracticeServices) -> None:
    services.together = 10
    printed = run_script(18)
    assert printed.endswith("\nCompleted 10 tasks!\n")
    assert "Progress: 10/10 (100.0%)" in printed
    assert services.most_at_once == 10


def test_19_a_model_in_this_process_leaves_the_loop_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("mlx", "mlx_lm", "torch", "transformers"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    monkeypatch.chdir(tmp_path)
    write_tiny_folder(tmp_path / "mlx-community" / "Qwen3-4B-4bit")  # a random model under the guide's name
    turns = 0

    async def fetch_data_from_api() -> None:
        nonlocal turns
        for _ in range(200):
            turns += 1
            await asyncio.sleep(0)

    assert run_script(19, fetch_data_from_api=fetch_data_from_api) == ""
    assert turns == 200


async def test_20_a_local_server_is_reached_by_its_address(services: PracticeServices) -> None:
    names: dict[str, Any] = {"create_llm": create_llm}
    exec(SNIPPETS[20].read_text(), names)
    assert names["llm"].base_url == "http://localhost:1234/v1"
    async with create_llm("lmstudio", model="local-model", base_url=f"{services.url}/lmstudio/v1") as llm:
        assert (await llm.agenerate("hi")).content == "This is local-model, asked: hi"


# -- best practices ------------------------------------------------------------------------------------------------------


async def test_21_to_24_the_best_practices(services: PracticeServices) -> None:
    services.together = 3
    async with create_llm("openai", model="gpt-4o-mini") as llm:
        names: dict[str, Any] = {"llm": llm, "asyncio": asyncio, "prompts": ["a", "b", "c"], "prompt": "hi"}
        await run_cell(21, names)
        assert services.most_at_once == 3
        with pytest.raises(TypeError, match="__aiter__"), pytest.warns(RuntimeWarning, match="never awaited"):
            await run_cell(22, names)  # the guide shows the wrong way second, and says that it is an error
        services.fail(9, status=400, message="too odd")
        await run_cell(24, names)
    assert all(result.startswith("Error: openai") for result in names["results"])
    services.reset()
    names = {"create_llm": create_llm}
    await run_cell(23, names)
    assert (await names["llm"].agenerate("again")).content == "This is gpt-4o-mini, asked: again"
    await names["llm"].aclose()
