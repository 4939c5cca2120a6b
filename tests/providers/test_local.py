"""The local provider on a random model of 435 KB: everything but good sense is as with a real one."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llm_gateway_nb import create_llm
from llm_gateway_nb.errors import ConfigurationError, InvalidRequestError, ProviderTimeoutError
from llm_gateway_nb.providers import local_runtime
from llm_gateway_nb.providers.engine import loaded_models
from llm_gateway_nb.providers.local import LocalLLM
from llm_gateway_nb.testing.tiny_model import write_tiny_model
from llm_gateway_nb.types import (
    HarnessEndEvent,
    HarnessEvent,
    TextEvent,
    ToolCallEvent,
    ToolDefinition,
    UsageEvent,
    UserMessage,
)

from .test_envelope import MODELS

pytest.importorskip("xllamacpp", reason="the extra `local` is not installed", exc_type=ImportError)

ASKED = [UserMessage(content="Say something.")]
LONG = {"max_tokens": 900, "temperature": 1.0}  # noise that goes on and on


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
async def llm(tiny_path: Path) -> AsyncIterator[LocalLLM]:
    async with make(tiny_path) as llm:
        yield llm
    assert loaded_models() == []


def make(path: Path, **settings: Any) -> LocalLLM:
    llm = create_llm("local", str(path), **{"n_threads": 1, "n_ctx": 1024, "max_tokens": 32, **settings})
    assert isinstance(llm, LocalLLM)
    return llm


async def events_of(llm: LocalLLM, **fields: Any) -> list[HarnessEvent]:
    async with aclosing(llm.invoke(**{"messages": ASKED, **fields})) as events:
        return [event async for event in events]


def is_idle() -> bool:
    return not any(thread.name.startswith("local-model-") for thread in threading.enumerate())


async def until_idle() -> None:
    """The worker tells that it is done a moment before it ends."""
    for thread in threading.enumerate():
        if thread.name.startswith("local-model-"):
            await asyncio.to_thread(thread.join, 5)
    assert is_idle()


def test_the_tiny_model_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = write_tiny_model(tmp_path / "a.gguf"), write_tiny_model(tmp_path / "b.gguf")
    assert first.read_bytes() == second.read_bytes()


async def test_a_call_streams_and_ends_with_usage_and_a_reason(llm: LocalLLM) -> None:
    events = await events_of(llm)
    texts = [event for event in events if isinstance(event, TextEvent)]
    [usage] = [event for event in events if isinstance(event, UsageEvent)]
    end = events[-1]
    assert len(texts) > 1
    assert usage.output_tokens == 32
    assert usage.input_tokens > 0
    assert isinstance(end, HarnessEndEvent)
    assert end.finish_reason == "length"


async def test_the_same_prompt_gives_the_same_answer_and_is_read_from_the_cache(llm: LocalLLM) -> None:
    first, second = await llm.agenerate("Hi."), await llm.agenerate("Hi.")
    assert first.content == second.content
    assert second.usage is not None
    assert second.usage["cache_read_tokens"] > 0


async def test_a_closed_stream_stops_the_model_and_leaves_no_thread(llm: LocalLLM) -> None:
    async with aclosing(llm.invoke(messages=ASKED, settings=LONG)) as events:
        async for event in events:
            if isinstance(event, TextEvent):
                break
    await until_idle()
    assert (await llm.agenerate("Hi.", max_tokens=1)).output_tokens == 1


async def test_a_cancelled_task_stops_the_model_and_leaves_no_thread(llm: LocalLLM) -> None:
    began = asyncio.Event()

    async def read() -> None:
        async with aclosing(llm.invoke(messages=ASKED, settings=LONG)) as events:
            async for event in events:
                if isinstance(event, TextEvent):
                    began.set()

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_idle()


async def test_calls_at_once_are_served_in_the_order_they_came(llm: LocalLLM) -> None:
    done: list[int] = []

    async def ask(number: int) -> None:
        await llm.agenerate(f"Say {number}.")
        done.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(ask(number))
    assert done == [0, 1, 2, 3]


async def test_a_call_that_is_cancelled_in_the_queue_never_runs(llm: LocalLLM) -> None:
    async with aclosing(llm.invoke(messages=ASKED, settings=LONG)) as events:
        async for event in events:
            if isinstance(event, TextEvent):
                break
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(llm.agenerate("Me too."), timeout=0.01)
    await until_idle()


async def test_two_objects_share_one_model_until_the_last_lets_go(tiny_path: Path) -> None:
    first, second = make(tiny_path), make(tiny_path)
    await first.agenerate("Hi.")
    await second.agenerate("Hi.")
    assert loaded_models() == [str(tiny_path)]
    await first.aclose()
    assert loaded_models() == [str(tiny_path)]
    second.unload_model()
    assert loaded_models() == []
    await until_idle()


async def test_an_unloaded_model_loads_again(llm: LocalLLM) -> None:
    before = await llm.agenerate("Hi.")
    llm.unload_model(llm.model)
    assert loaded_models() == []
    assert (await llm.agenerate("Hi.")).content == before.content


async def test_an_object_that_is_forgotten_frees_its_model(tiny_path: Path) -> None:
    llm = make(tiny_path)
    await llm.agenerate("Hi.")
    del llm
    gc.collect()  # what was thrown and caught on the way may hold it in a cycle
    await until_idle()
    assert loaded_models() == []


def test_one_object_serves_several_loops_and_threads(tiny_path: Path) -> None:
    llm = make(tiny_path)
    answers: list[str | None] = []

    def work() -> None:
        answers.append(asyncio.run(llm.agenerate("Hi.")).content)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    llm.unload_model()
    assert len(answers) == 3
    assert len(set(answers)) == 1


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_a_call_is_held_to_the_schema_of_its_tool(llm: LocalLLM, model: type[BaseModel]) -> None:
    tool = ToolDefinition(name="probe", description="Try it", schema_=model)
    for seed in range(3):
        settings = {"tool_choice": "required", "temperature": 0.7, "seed": seed, "max_tokens": 500}
        events = await events_of(llm, tools=[tool], settings=settings)
        end, calls = events[-1], [event for event in events if isinstance(event, ToolCallEvent)]
        assert isinstance(end, HarnessEndEvent)
        if end.finish_reason == "length":  # noise need not come to an end
            continue
        [call] = calls
        assert call.name == "probe"
        assert isinstance(call.input, dict)
        assert set(model.model_json_schema().get("required", ())) <= set(call.input)
        assert end.finish_reason == "tool_calls"


async def test_the_model_may_answer_where_it_may_call(llm: LocalLLM) -> None:
    tool = ToolDefinition(name="probe", description="Try it", schema_=MODELS[0])
    for seed in range(4):
        response = await llm.agenerate("Hi.", tools=[tool], temperature=1.0, seed=seed, max_tokens=300)
        assert response.content is None or not response.content.startswith('{"')
        assert all(call.name == "probe" for call in response.tool_calls)


async def test_after_calls_a_turn_without_tools_gives_a_plain_answer(llm: LocalLLM) -> None:
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "Add 1 and 2."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "name": "add", "arguments": {"a": 1}}]},
        {"role": "tool", "tool_call_id": "1", "content": "3"},
    ]
    tool = ToolDefinition(name="add", description="Add", schema_=MODELS[0])
    for tools, choice in ([], "auto"), ([tool], "none"):
        response = await llm.agenerate(messages=history, tools=tools, tool_choice=choice)
        assert response.tool_calls == []
        assert response.content is not None
        assert "answer" not in response.content


async def test_a_response_model_shapes_the_answer(llm: LocalLLM) -> None:
    class Sum(BaseModel):
        total: int

    events = await events_of(llm, response_model=Sum, settings={"max_tokens": 300, "temperature": 0.7})
    written = "".join(event.content for event in events if isinstance(event, TextEvent))
    assert set(json.loads(written)) == {"total"}


async def test_a_conversation_that_is_too_long_is_refused_with_the_numbers(llm: LocalLLM) -> None:
    with pytest.raises(InvalidRequestError, match=r"has \d+ tokens and the context holds 1024"):
        await llm.agenerate("word " * 3000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temprature": 0.5}, "Did you mean 'temperature'"),
        ({"temperature": "hot"}, "temperature is a number from 0 up, not 'hot'"),
        ({"n_ctx": 2048}, "belongs to the loaded model"),
        ({"stop": [1]}, "stop is a text or a list of texts"),
        ({"tool_choice": "nope"}, "not among the tools"),
    ],
)
async def test_a_wrong_setting_of_a_call_is_named(llm: LocalLLM, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        await llm.agenerate("Hi.", **settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "qwen2.5-coder"}, "Did you mean 'qwen2.5-coder-0.5b'"),
        ({"base_url": "http://localhost"}, "takes no base_url"),
        ({"api_key": "k"}, "takes no api_key"),
        ({"n_thread": 2}, "Did you mean 'n_threads'"),
        ({"n_ctx": 0}, "n_ctx is a whole number"),
    ],
)
def test_a_wrong_option_is_named_when_the_object_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        create_llm("local", **options)


async def test_a_model_file_that_is_none_is_refused(tmp_path: Path) -> None:
    missing, wrong, broken = tmp_path / "missing.gguf", tmp_path / "wrong.gguf", tmp_path / "broken.gguf"
    wrong.write_text("no model")
    broken.write_bytes(b"GGUF" + bytes(100))
    for path, message in ((missing, "no readable model file"), (wrong, "not a GGUF file"), (broken, "could not load")):
        with pytest.raises(ConfigurationError, match=message):
            await make(path).agenerate("Hi.")


async def test_silence_is_a_timeout_and_the_queue_is_not(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent, loop = threading.Event(), asyncio.get_running_loop()

    class Silent:
        def handle_chat_completions(self, request: object, take: Any) -> None:
            loop.call_soon_threadsafe(loop.call_later, 0.2, silent.set)  # by one clock: this is later than 0.05 s
            silent.wait(60)

    monkeypatch.setattr(local_runtime, "_load", lambda options: Silent())
    for llm in (
        LocalLLM(tiny_path, timeout=0.05, max_retries=0),
        LocalLLM(tiny_path, max_retries=0).with_options(timeout=0.05),
    ):
        silent.clear()
        with pytest.raises(ProviderTimeoutError, match=r"said nothing for 0\.05 s"):
            await llm.agenerate("Hi.")
        await llm.aclose()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImportError("libgomp.so.1: cannot open shared object file"), "libgomp1"),
        (ModuleNotFoundError("No module named 'xllamacpp'"), r"pip install 'llm-gateway-nb\[local\]'"),
    ],
)
async def test_a_runtime_that_is_not_there_is_told_with_the_next_step(
    tiny_path: Path, monkeypatch: pytest.MonkeyPatch, error: ImportError, message: str
) -> None:
    class Missing:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "xllamacpp":
                raise error

    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    llm = make(tiny_path)
    with pytest.raises(ConfigurationError, match=message):
        await llm.agenerate("Hi.")
    await llm.aclose()


def test_nothing_is_printed_and_an_exit_with_a_loaded_model_is_clean(tiny_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from llm_gateway_nb import create_llm\n"
        f"llm = create_llm('local', {str(tiny_path)!r}, n_threads=1, n_ctx=512)\n"
        "print(asyncio.run(llm.agenerate('Hi.', max_tokens=4)).output_tokens)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "4", "")
