"""`huggingface` and `mlx` on the same random model: everything but good sense is as with a real one."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from support.tiny_folder import NO_SYSTEM, write_tiny_folder

from llm_gateway_nb import create_llm, tool
from llm_gateway_nb.errors import ConfigurationError, InvalidRequestError, ProviderAPIError, ProviderTimeoutError
from llm_gateway_nb.providers.engine import loaded_models
from llm_gateway_nb.providers.in_process import InProcessLLM
from llm_gateway_nb.types import HarnessEndEvent, HarnessEvent, TextEvent, UsageEvent, UserMessage

NEEDS = {"huggingface": ("torch", "transformers"), "mlx": ("torch", "transformers", "mlx", "mlx_lm")}
ASKED = [UserMessage(content="Say something.")]
LONG = {"max_tokens": 450, "temperature": 1.0}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries, at their import


@pytest.fixture(params=sorted(NEEDS))
def provider(request: pytest.FixtureRequest) -> str:
    for module in NEEDS[request.param]:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'llm-gateway-nb[{request.param}]'")
    return str(request.param)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    pytest.importorskip("torch").set_num_threads(1)  # several on a busy machine wait for one another
    return write_tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
async def llm(provider: str, folder: Path) -> AsyncIterator[InProcessLLM]:
    async with make(provider, folder) as llm:
        yield llm
    await until_idle()
    assert loaded_models() == []


def make(provider: str, folder: Path, **settings: Any) -> InProcessLLM:
    llm = create_llm(provider, str(folder), **{"max_tokens": 24, **settings})
    assert isinstance(llm, InProcessLLM)
    return llm


async def until_idle() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("local-model-"):
            await asyncio.to_thread(thread.join, 10)
    assert not any(thread.name.startswith("local-model-") for thread in threading.enumerate())


async def events_of(llm: InProcessLLM, **fields: Any) -> list[HarnessEvent]:
    async with aclosing(llm.invoke(**{"messages": ASKED, **fields})) as events:
        return [event async for event in events]


async def test_a_call_streams_and_ends_with_usage_and_a_reason(llm: InProcessLLM) -> None:
    events = await events_of(llm)
    [usage] = [event for event in events if isinstance(event, UsageEvent)]
    end = events[-1]
    assert sum(isinstance(event, TextEvent) for event in events) > 1
    assert (usage.input_tokens, usage.output_tokens) == (len("user: Say something.\nassistant: "), 24)
    assert isinstance(end, HarnessEndEvent)
    assert (end.reason, end.finish_reason) == ("final", "length")


async def test_the_same_prompt_gives_the_same_answer_and_a_seed_another(llm: InProcessLLM) -> None:
    cold = [(await llm.agenerate("Hi.")).content for _ in range(2)]
    warm = [(await llm.agenerate("Hi.", temperature=1.0, seed=seed)).content for seed in (1, 1, 2)]
    assert cold[0] == cold[1]
    assert warm[0] == warm[1] != warm[2]


def test_the_users_own_random_numbers_are_left_alone(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    llm = make("huggingface", folder)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    llm.generate("Hi.", temperature=1.0)
    assert torch.equal(torch.rand(1), expected)
    llm.unload_model()


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_letting_go_stops_the_model_at_its_next_token_and_leaves_no_thread(llm: InProcessLLM, how: str) -> None:
    began = asyncio.Event()
    seen = 0

    async def read() -> None:
        nonlocal seen
        async with aclosing(llm.invoke(messages=ASKED, settings=LONG)) as events:
            async for event in events:
                if isinstance(event, TextEvent):
                    seen += 1
                    began.set()
                    if how == "close":
                        break

    task = asyncio.create_task(read())
    await began.wait()
    if how == "cancel":
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() == (how == "cancel")
    await until_idle()
    assert seen < 400
    assert (await llm.agenerate("Hi.", max_tokens=1)).output_tokens == 1


async def test_calls_at_once_are_served_in_order_while_the_loop_stays_free(llm: InProcessLLM) -> None:
    done: list[int] = []
    turns = 0

    async def ask(number: int) -> None:
        await llm.agenerate(f"Say {number}.")
        done.append(number)

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await asyncio.gather(*(ask(number) for number in range(3)))
    turning.cancel()
    assert done == [0, 1, 2]
    assert turns > 100, "other tasks had their turns, many between any two tokens"


async def test_silence_is_a_timeout_and_loading_is_not(provider: str, folder: Path) -> None:
    async with make(provider, folder, timeout=5.0) as llm:
        await llm.agenerate("Hi.")
        with pytest.raises(ProviderTimeoutError, match="said nothing for 1e-05 s"):
            await llm.agenerate("Hi.", timeout=0.00001, max_retries=0)


async def test_two_objects_share_one_model_and_an_unloaded_one_loads_again(provider: str, folder: Path) -> None:
    first, second = make(provider, folder), make(provider, folder)
    answers = [(await llm.agenerate("Hi.")).content for llm in (first, second)]
    assert loaded_models() == [str(folder)]
    await first.aclose()
    assert loaded_models() == [str(folder)]
    second.unload_model(str(folder))
    await until_idle()
    assert loaded_models() == []
    assert [(await first.agenerate("Hi.")).content, *answers] == [answers[0]] * 3
    del first, second
    gc.collect()
    await until_idle()
    assert loaded_models() == []


def test_one_object_serves_several_loops_and_synchronous_code(provider: str, folder: Path) -> None:
    llm = make(provider, folder)
    answers = [asyncio.run(llm.agenerate("Hi.")).content for _ in range(2)]
    answers.append(llm.generate("Hi.").content)
    answers.append("".join(chunk.content or "" for chunk in llm.generate("Hi.", stream=True)))
    llm.unload_model()
    assert len(set(answers)) == 1


async def test_an_answer_ends_before_a_stop_text(llm: InProcessLLM) -> None:
    whole = (await llm.agenerate("Hi.")).content or ""
    stop = whole[5:8]
    answer = await llm.agenerate("Hi.", stop=stop)
    assert answer.content == whole[: whole.index(stop)]
    assert answer.finish_reason == "stop"


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


async def test_tools_are_offered_in_the_envelope_and_noise_is_an_answer(llm: InProcessLLM) -> None:
    with pytest.raises(InvalidRequestError, match=r"has \d+ tokens and the context holds 512"):
        await llm.agenerate("Hi.", tools=[look_up])  # the instructions alone are longer than this model's window
    with pytest.raises(InvalidRequestError, match="not among the tools: look_up"):
        await llm.agenerate("Hi.", tools=[look_up], tool_choice="look_down")


async def test_an_envelope_is_read_whatever_runs_the_model(provider: str, tmp_path: Path) -> None:
    async with make(provider, write_tiny_folder(tmp_path, window=4096), max_tokens=8) as llm:
        response = await llm.agenerate("Hi.", tools=[look_up])
    assert response.content is not None
    assert (response.tool_calls, response.finish_reason) == ([], "length")


async def test_a_response_model_is_asked_for_in_words_and_once_more(provider: str, tmp_path: Path) -> None:
    class Sum(BaseModel):
        total: int

    async with make(provider, write_tiny_folder(tmp_path, window=4096), max_tokens=8) as llm:
        with pytest.raises(ProviderAPIError, match="gave no Sum, also when asked twice"):
            await llm.agenerate("1 and 1?", response_model=Sum)


async def test_a_template_without_a_system_role_gets_it_with_the_question(provider: str, tmp_path: Path) -> None:
    plain, strict = (
        write_tiny_folder(tmp_path / "plain"),
        write_tiny_folder(tmp_path / "strict", template=NO_SYSTEM),
    )
    async with make(provider, strict) as llm:
        told = await llm.agenerate("Hi.", system_prompt="Be kind.")
    async with make(provider, plain) as llm:
        same = await llm.agenerate("Be kind.\n\nHi.")
    assert told.content == same.content


async def test_a_model_without_a_template_is_no_chat_model(provider: str, tmp_path: Path) -> None:
    async with make(provider, write_tiny_folder(tmp_path, template=None)) as llm:
        with pytest.raises(InvalidRequestError, match="no chat template"):
            await llm.agenerate("Hi.")


async def test_a_conversation_that_is_too_long_is_refused_with_the_numbers(llm: InProcessLLM) -> None:
    with pytest.raises(InvalidRequestError, match=r"has \d+ tokens and the context holds 512"):
        await llm.agenerate("word " * 300)


async def test_an_image_is_refused_in_a_sentence(llm: InProcessLLM) -> None:
    with pytest.raises(InvalidRequestError, match="reads text only") as caught:
        await llm.agenerate("What is this?", media=b"\x89PNG\r\n\x1a\n" + bytes(8))
    assert caught.value.provider == llm.provider


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temprature": 0.5}, "Did you mean 'temperature'"),
        ({"temperature": "hot"}, "temperature is a number from 0 up"),
        ({"revision": "main"}, "belongs to the loaded model"),
    ],
)
async def test_a_wrong_setting_of_a_call_is_named(llm: InProcessLLM, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        await llm.agenerate("Hi.", **settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": None}, "name a model"),
        ({"model": "m", "base_url": "http://localhost"}, "takes no base_url"),
        ({"model": "m", "api_key": "k"}, "takes no api_key"),
        ({"model": "m", "revison": "main"}, "Did you mean 'revision'"),
        ({"model": "m", "revision": 3}, "revision is a branch, tag or commit"),
    ],
)
def test_a_wrong_option_is_named_when_the_object_is_made(provider: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        create_llm(provider, **options)


async def test_a_folder_that_is_none_is_not_looked_for_on_the_hub(provider: str, tmp_path: Path) -> None:
    (tmp_path / "file.gguf").write_text("no folder")
    for name, message in (
        (str(tmp_path / "gone"), "there is no folder"),
        ("./gone", "there is no folder"),
        (str(tmp_path / "file.gguf"), "there is no folder"),
        (str(tmp_path), "holds no config.json"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            await create_llm(provider, name).agenerate("Hi.")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="could not load"):
        await create_llm(provider, str(tmp_path)).agenerate("Hi.")


async def test_a_runtime_that_is_not_there_is_told_with_the_line_to_type(
    provider: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers" if provider == "huggingface" else "mlx_lm", None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'llm-gateway-nb\[{provider}\]'"):
        await make(provider, folder).agenerate("Hi.")


def test_nothing_is_printed_and_an_exit_with_a_loaded_model_is_clean(provider: str, folder: Path) -> None:
    code = (
        "import asyncio\n"
        "from llm_gateway_nb import create_llm\n"
        f"llm = create_llm({provider!r}, {str(folder)!r}, temperature=0.5)\n"
        "print(asyncio.run(llm.agenerate('Hi.', max_tokens=4)).output_tokens)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "4", "")
