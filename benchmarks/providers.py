"""`agenerate` and streams beside the raw OpenAI SDK and AbstractCore, against a service in a process of its own."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent_loop import run_in_loop
from frame import Contender, Figure

WORDS = 100
CALLS = 40
STREAMS = 20
AT_ONCE = 50
FAN_OUT = 1000

Call = Callable[[str], Awaitable[object]]


# -- the contenders: a call and a stream each ----------------------------------------------------------------------------


def _ours(url: str) -> tuple[Call, Call]:
    from llm_gateway_nb import create_llm

    llm = create_llm("openai", "m", base_url=url, api_key="k")

    async def stream(prompt: str) -> None:
        async for _ in await llm.agenerate(prompt, stream=True):
            pass

    return llm.agenerate, stream


def _sdk(url: str, *, aiohttp: bool = True, whole: bool = False) -> tuple[Call, Call]:
    import openai

    http = openai.DefaultAioHttpClient() if aiohttp else None
    patient = openai.Timeout(600, connect=30)  # its own 5 s are over before a thousand calls are under way
    client = openai.AsyncOpenAI(base_url=url, api_key="k", http_client=http, timeout=patient)

    async def stream(prompt: str) -> str:
        texts = []
        answer = await client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": prompt}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in answer:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                texts.append(text)
        return "".join(texts)

    async def call(prompt: str) -> object:
        return await client.chat.completions.create(model="m", messages=[{"role": "user", "content": prompt}])

    return call if whole else stream, stream


def _abstractcore(url: str, provider: str) -> tuple[Call, Call]:
    from abstractcore import create_llm

    llm = create_llm(provider, model="m", base_url=url, api_key="k")

    async def stream(prompt: str) -> None:
        async for _ in await llm.agenerate(prompt, stream=True):
            pass

    return llm.agenerate, stream


_MAKERS: dict[str, Callable[[str], tuple[Call, Call]]] = {
    "llm_gateway_nb": _ours,
    "raw SDK, streaming": _sdk,
    "raw SDK, whole answer": lambda url: _sdk(url, whole=True),
    "raw SDK on httpx, streaming": lambda url: _sdk(url, aiohttp=False),
    "AbstractCore, openai": lambda url: _abstractcore(url, "openai"),
    "AbstractCore, openai-compatible": lambda url: _abstractcore(url, "openai-compatible"),
}


# -- what each is asked to do --------------------------------------------------------------------------------------------


async def _many(call: Call, count: int, at_once: int) -> float:
    """Microseconds of CPU a call."""
    todo = iter(range(count))

    async def work() -> None:
        for number in todo:
            await call(f"call {number}")

    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return (time.process_time() - began) / count * 1e6


async def _gather(call: Call, count: int) -> float:
    """Seconds."""
    began = time.perf_counter()
    await asyncio.gather(*(call(f"slow {number}") for number in range(count)))
    return time.perf_counter() - began


def measured(who: str, task: str) -> float:
    is_rehearsal = not _contender.cache_info().currsize
    call, stream = _contender(who)
    match task:
        case "alone":
            return float(run_in_loop(_many(call, CALLS, 1)) / 1000)
        case "at once":
            return float(run_in_loop(_many(call, 2 * AT_ONCE, AT_ONCE)) / 1000)
        case "stream":
            return float(run_in_loop(_many(stream, STREAMS, 1)) / WORDS)
        case _:
            return float(run_in_loop(_gather(call, AT_ONCE if is_rehearsal else FAN_OUT)))


@functools.cache
def _contender(who: str) -> tuple[Call, Call]:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("model_server.py"))],
        stdin=subprocess.PIPE,  # which ends with this process, and so does the server
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    return _MAKERS[who](server.stdout.readline().strip())


def _contenders(task: str, *, without: tuple[str, ...] = ()) -> list[Contender]:
    return [
        Contender(
            who,
            measured,
            packages=("abstractcore", "openai", "aiohttp") if who.startswith("AbstractCore") else (),
            arguments=(who, task),
            counts=who == "raw SDK, streaming",
        )
        for who in _MAKERS
        if who not in without
    ]


_WHY = (
    "A call streams underneath, so that a stop reaches the model, a silence is noticed, and what came before a break is "
    "kept. So it is held against the SDK's own stream, on the transport that ours uses, aiohttp; the others are there to "
    "be seen. The SDK makes a model of each chunk; ours reads the JSON, over the SDK's transport, decoder, errors and keys."
)

FIGURES = [
    Figure(
        "provider-call",
        f"agenerate, {WORDS} tokens",
        "ms of CPU a call",
        _contenders("alone"),
        at_most=1.2,
        note=_WHY,
        in_readme=True,
    ),
    Figure(
        "provider-at-once",
        f"agenerate, {WORDS} tokens, {AT_ONCE} at once",
        "ms of CPU a call",
        _contenders("at once"),
        at_most=1.2,
        note=_WHY,
    ),
    Figure(
        "provider-stream",
        "A chunk of a stream",
        "µs of CPU a chunk",
        _contenders("stream", without=("raw SDK, whole answer",)),
        at_most=1.3,
        note=_WHY,
        in_readme=True,
    ),
    Figure(
        "provider-gather",
        f"{FAN_OUT:,} calls of 0.3 s in one gather",
        "s",
        _contenders("gather", without=("AbstractCore, openai-compatible",)),
        at_most=1.2,
        rounds=3,
        in_readme=True,
        note="By the clock. An answer has five tokens, so this is about requests and connections. Of the CPU of such a "
        "call 6 % is ours, by cProfile: a quarter is httpx's request objects, a fifth the SDK, a tenth aiohttp. Each has a "
        "server of its own. AbstractCore's openai-compatible, on httpx, takes forty seconds and more, and was left out.",
    ),
]
