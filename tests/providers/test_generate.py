"""`generate`, media, structured answers, options, and connections that nobody is troubled with."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from support.openai_server import LoopbackServer, chunk, held, openai_server, stream, text, words

from llm_gateway_nb.errors import ConfigurationError, InvalidMessagesError, ProviderAPIError, RateLimitError
from llm_gateway_nb.providers import LLM, create_llm
from llm_gateway_nb.providers.portal import run_sync
from llm_gateway_nb.providers.services import OPENAI_FAMILY
from llm_gateway_nb.testing import ScriptedLLM
from llm_gateway_nb.types import DocumentContentPart, ImageContentPart, TextContentPart, UserMessage


def llm_for(server: LoopbackServer, **options: Any) -> LLM:
    return create_llm("openai-compatible", "m", base_url=server.base_url, **{"max_retries": 0, **options})


class City(BaseModel):
    name: str
    people: int


# -- the synchronous twin ------------------------------------------------------------------------------------------------


def test_generate_gives_what_agenerate_gives() -> None:
    with ScriptedLLM(["Hello."]) as llm:
        response = llm.generate("hi", system_prompt="Be kind.")
    assert (response.content, response.finish_reason) == ("Hello.", "stop")


async def test_generate_works_where_a_loop_is_running() -> None:
    assert ScriptedLLM(["Hello."]).generate("hi").content == "Hello."


def test_generate_streams_by_an_iterator() -> None:
    pieces = [piece.content for piece in ScriptedLLM(["One two three."]).generate("hi", stream=True)]
    assert pieces == ["One ", "two ", "three.", ""]


def test_generate_raises_what_agenerate_raises() -> None:
    with pytest.raises(ConfigurationError, match="The prompt is empty"):
        ScriptedLLM([]).generate("")
    with pytest.raises(InvalidMessagesError):
        ScriptedLLM([]).generate(messages=[{"role": "user"}])
    with pytest.raises(RateLimitError, match="slow"):
        ScriptedLLM([RateLimitError("slow down")]).generate("hi")


async def test_generate_from_many_threads_shares_one_model() -> None:
    async with openai_server(text("ok")) as server, llm_for(server) as llm:
        with ThreadPoolExecutor(8) as pool:
            loop = asyncio.get_running_loop()
            answers = await asyncio.gather(
                *(loop.run_in_executor(pool, llm.generate, str(number)) for number in range(32))
            )
        llm.unload_model()
    assert {answer.content for answer in answers} == {"ok"}


async def test_leaving_a_synchronous_stream_closes_the_connection() -> None:
    began, gone = asyncio.Event(), asyncio.Event()
    async with openai_server(held(began, gone, chunk({"content": "a"}))) as server, llm_for(server) as llm:

        def first() -> str | None:
            for piece in llm.generate("hi", stream=True):
                return piece.content
            return None

        assert await asyncio.to_thread(first) == "a"
        await asyncio.wait_for(gone.wait(), 30)
        llm.unload_model()


async def test_an_interrupt_cancels_the_call_before_it_goes_on() -> None:
    script = """
        import asyncio, os, signal
        from llm_gateway_nb.testing import ScriptedLLM
        from llm_gateway_nb.providers.scripted import Turn

        told = []

        async def forever():
            os.kill(os.getpid(), signal.SIGINT)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                told.append("tidied up")

        try:
            ScriptedLLM([Turn(text="Hi.", wait=forever)]).generate("hi")
        except KeyboardInterrupt:
            print("interrupted", told)
    """
    assert await quiet(script) == "interrupted ['tidied up']\n"


def test_generate_inside_generate_is_refused_instead_of_waiting_for_ever() -> None:
    async def inside() -> None:
        ScriptedLLM(["Hello."]).generate("hi")

    with pytest.raises(ConfigurationError, match=r"await llm\.agenerate"):
        run_sync(inside())


# -- bad input -----------------------------------------------------------------------------------------------------------


async def test_what_is_no_tool_is_said_in_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="decorate a function with @tool"):
        await ScriptedLLM([]).agenerate("hi", tools=[len])  # type: ignore[list-item]


def test_seconds_and_attempts_are_checked() -> None:
    llm = ScriptedLLM([])
    for options, name in (
        ({"timeout": 0}, "timeout"),
        ({"timeout": "3"}, "timeout"),
        ({"total_timeout": -1}, "total_timeout"),
    ):
        with pytest.raises(ConfigurationError, match=f"^{name} is a number of seconds above 0"):
            llm.with_options(**options)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="max_retries is 0 or more"):
        llm.with_options(max_retries=-1)


@pytest.mark.parametrize("service", [service for service in OPENAI_FAMILY.values() if service.model is None])
def test_a_service_without_a_usual_model_wants_one_named(service: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{service.name}: name a model"):
        create_llm(service.name, api_key="k")


# -- media ---------------------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


async def test_media_go_in_front_of_the_prompt_by_what_they_are(tmp_path: Path) -> None:
    notes, report = tmp_path / "notes.txt", tmp_path / "report.pdf"
    notes.write_text("Müller")
    report.write_bytes(b"%PDF-1.7")
    ready = TextContentPart(text="ready")
    llm = ScriptedLLM(["ok"])
    await llm.agenerate("Well?", media=[PNG, str(report), notes, ready])
    (message,) = llm.requests[0].messages
    image, document, text_part, same, asked = message.content or ()
    assert isinstance(image, ImageContentPart)
    assert isinstance(document, DocumentContentPart)
    assert (image.media_type, document.media_type) == ("image/png", "application/pdf")
    assert text_part == TextContentPart(text="notes.txt:\nMüller")
    assert same == ready
    assert asked == TextContentPart(text="Well?")


async def test_media_without_a_prompt_are_a_message_of_their_own() -> None:
    llm = ScriptedLLM(["ok"])
    history = [UserMessage(content="Look at this:")]
    await llm.agenerate(messages=history, media=PNG)
    assert [len(message.content or "") for message in llm.requests[0].messages] == [13, 1]
    assert history == [UserMessage(content="Look at this:")]


async def test_media_that_can_not_be_read_are_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"\0\xff\0\xff")
    (tmp_path / "empty.png").touch()
    llm = ScriptedLLM([])
    for media, sentence in (
        (tmp_path / "nowhere.png", "there is no file"),
        (tmp_path, "is a folder"),
        (tmp_path / "film.mp4", "is video/mp4"),
        (tmp_path / "empty.png", "is empty"),
        (b"\0\xff", "of a kind that is not known"),
        ([3], "not int"),
    ):
        with pytest.raises(ConfigurationError, match=f"media.*{sentence}"):
            await llm.agenerate("hi", media=media)  # type: ignore[call-overload]


# -- structured answers --------------------------------------------------------------------------------------------------


async def test_the_schema_is_put_into_words_where_nobody_enforces_it() -> None:
    llm = ScriptedLLM(['Sure:\n```json\n{"name": "Paris", "people": 2}\n```'])
    assert await llm.agenerate("Where?", system_prompt="Be brief.", response_model=City) == City(name="Paris", people=2)
    system = llm.requests[0].messages[0].content
    assert str(system).startswith("Be brief.\n\nAnswer with one JSON value")


async def test_an_answer_that_does_not_fit_is_shown_to_the_model_once() -> None:
    history = [UserMessage(content="Where?")]
    llm = ScriptedLLM(['{"name": "Paris"}', '{"name": "Paris", "people": 2}'])
    assert await llm.agenerate(messages=history, response_model=City) == City(name="Paris", people=2)
    asked = llm.requests[1].messages
    assert [message.role for message in asked] == ["system", "user", "assistant", "user"]
    assert "people: Field required" in str(asked[-1].content)
    assert history == [UserMessage(content="Where?")]


async def test_an_answer_that_does_not_fit_twice_is_an_error_with_what_was_said() -> None:
    llm = ScriptedLLM(["No.", "Still no."])
    with pytest.raises(ProviderAPIError, match=r"gave no City.*there is no JSON in it") as caught:
        await llm.agenerate("Where?", response_model=City)
    assert caught.value.partial_text == "Still no."
    llm.assert_read()


def test_structured_answers_come_synchronously_too() -> None:
    assert ScriptedLLM(['{"name": "Paris", "people": 2}']).generate("Where?", response_model=City).people == 2


async def test_a_schema_with_free_keys_is_sent_as_it_is() -> None:
    class Counts(BaseModel):
        counts: dict[str, int]

    async with openai_server(text('{"counts": {"a": 1}}')) as server, llm_for(server) as llm:
        assert (await llm.agenerate("Count.", response_model=Counts)).counts == {"a": 1}
        sent = server.requests[0]["response_format"]["json_schema"]
    assert (sent["name"], sent["strict"]) == ("Counts", False)


async def test_response_model_with_what_it_can_not_go_with() -> None:
    llm = ScriptedLLM([])
    with pytest.raises(ConfigurationError, match="is a pydantic class"):
        await llm.agenerate("hi", response_model=dict)  # type: ignore[type-var]
    with pytest.raises(ConfigurationError, match="leave stream=True out"):
        await llm.agenerate("hi", response_model=City, stream=True)


# -- options -------------------------------------------------------------------------------------------------------------


async def test_with_options_is_a_copy_on_the_same_connections() -> None:
    async with openai_server(text("ok")) as server, llm_for(server, temperature=0, seed=1) as llm:
        other = llm.with_options(model="n", temperature=1, seed=None)
        await llm.agenerate("a")
        await other.agenerate("b")
        first, second = server.requests
    assert (first["model"], first["temperature"], first["seed"]) == ("m", 0, 1)
    assert (second["model"], second["temperature"], "seed" in second) == ("n", 1, False)
    assert other._clients is llm._clients  # type: ignore[attr-defined]
    assert (llm.model, other.model) == ("m", "n")


@pytest.mark.parametrize(
    ("provider", "variable", "value", "address"),
    [
        ("ollama", "OLLAMA_HOST", "0.0.0.0", "http://localhost:11434/v1"),
        ("ollama", "OLLAMA_HOST", "big-machine:1234", "http://big-machine:1234/v1"),
        ("ollama", "OLLAMA_BASE_URL", "http://big-machine:11434/", "http://big-machine:11434/v1"),
        ("ollama", "OLLAMA_HOST", "https://ollama.example", "https://ollama.example/v1"),
        ("lmstudio", "LMSTUDIO_BASE_URL", "http://localhost:1234", "http://localhost:1234/v1"),
        ("vllm", "VLLM_BASE_URL", "http://gpu:8000/v1", "http://gpu:8000/v1"),
        ("zen", "NOTHING", "", "https://opencode.ai/zen/v1"),
    ],
)
def test_addresses_are_understood_as_people_write_them(
    provider: str, variable: str, value: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert create_llm(provider, "m", api_key="k").base_url == address  # type: ignore[attr-defined]


async def test_no_key_means_no_authorization_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "EMPTY")
    async with openai_server(text("ok")) as server, llm_for(server) as llm:
        await llm.agenerate("hi")
        assert await llm.supported_models() == ["a", "b"]
        assert server.keys == [None]


# -- loops, threads, and what is left behind -----------------------------------------------------------------------------


async def test_one_model_serves_several_loops() -> None:
    async with openai_server(words("o", "k")) as server, llm_for(server) as llm:

        def elsewhere() -> list[str | None]:
            return [asyncio.run(llm.agenerate("hi")).content for _ in range(3)]  # type: ignore[arg-type]

        results = await asyncio.gather(*(asyncio.to_thread(elsewhere) for _ in range(3)), llm.agenerate("hi"))
    assert list(results[:3]) == [["ok"] * 3] * 3


async def test_unload_model_lets_calls_finish_and_the_next_call_connects_again() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def reply(request: Any) -> Any:
        began.set()
        await go.wait()
        return await text("ok")(request)

    async with openai_server(reply) as server, llm_for(server) as llm:
        call = asyncio.create_task(llm.agenerate("hi"))
        await began.wait()
        llm.unload_model("m")
        go.set()
        assert (await call).content == "ok"
        assert (await llm.agenerate("again")).content == "ok"


async def test_a_forgotten_model_closes_its_connections() -> None:
    closed = asyncio.Event()
    async with openai_server(text("ok")) as server:
        llm = llm_for(server)
        await llm.agenerate("hi")
        lease = next(iter(llm._clients._leases.values()))  # type: ignore[attr-defined]
        client = lease.client
        original = client.close

        async def close() -> None:
            await original()
            closed.set()

        client.close = close
        del llm, lease
        gc.collect()
        await asyncio.wait_for(closed.wait(), 30)


async def quiet(script: str) -> str:
    """Run a program; its output, once nothing at all was on its stderr."""
    program = [sys.executable, "-c", textwrap.dedent(script)]
    done = await asyncio.to_thread(subprocess.run, program, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


PROGRAMS = {
    "the loop ends": "asyncio.run(ask(llm))",
    "several loops end": "asyncio.run(ask(llm)); asyncio.run(ask(llm))",
    "a loop is closed without ceremony": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(ask(llm))
        loop.close()
    """,
    "a loop is left standing, as a kernel's is": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(ask(llm))
    """,
    "the model is dropped while its loop stands": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(ask(llm))
        del llm
        gc.collect()
        loop.run_until_complete(turns())
    """,
    "a loop in a thread is still running": """
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(ask(llm), loop).result()
    """,
    "it was synchronous": "llm.generate('hi')",
    "a synchronous stream was left": "next(iter(llm.generate('hi', stream=True)))",
}


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_program_ends_without_a_word_about_connections(program: str) -> None:
    async with openai_server(stream(*(chunk({"content": "o"}) for _ in range(3)), chunk({}, finish="stop"))) as server:
        script = f"""\
import asyncio, gc, threading
from llm_gateway_nb.providers import create_llm

llm = create_llm("openai-compatible", "m", base_url={server.base_url!r})

async def ask(llm):
    await llm.agenerate("hi")
    await turns()

async def turns():  # of a loop that goes on for a while; the SDK leaves it generators to close
    for _ in range(5):
        await asyncio.sleep(0)

{textwrap.dedent(PROGRAMS[program])}
print("done")
"""
        assert await quiet(script) == "done\n"


def test_synchronous_calls_share_one_thread_that_does_not_hold_up_the_end() -> None:
    ScriptedLLM(["a"]).generate("hi")
    ScriptedLLM(["b"]).generate("hi")
    threads = [thread for thread in threading.enumerate() if thread.name == "llm_gateway_nb.generate"]
    assert [thread.daemon for thread in threads] == [True]
