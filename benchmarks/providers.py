"""`agenerate` and streaming beside the raw OpenAI SDK and AbstractCore, in one run, ratios printed.

A server of its own process answers with 100 tokens (5 in the gather, which is about connections). Each contender is a
process too, and does each task once a round, in an order drawn anew, so that a busy machine slows all alike. Told are the
CPU time of the client at the median round, and the ratio to the raw SDK on the transport that ours uses (aiohttp) and
streaming as ours does underneath, as the median of the rounds' ratios.

AbstractCore lives in a virtual environment of its own: `make bench` makes it, or name one's Python with --abstractcore.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

TOKENS = 100
CALLS = {"1": 60, "50": 200}
STREAMS = 15
FAN_OUT = 1000
LATENCY = 0.3
ROUNDS = 5
FAN_OUT_ROUNDS = 2  # some contenders take half a minute for one

TASKS = {
    "call, one after another": "us of CPU a call",
    "call, 50 at once": "us of CPU a call",
    "stream, one after another": "us of CPU a chunk",
    "1,000 calls of 0.3 s in one gather": "s",
}
ORDER = ["ours", "sdk", "sdk, whole answer", "sdk, own transport", "abstractcore openai", "abstractcore compatible"]
BASE = "sdk"

Call = Callable[[str], Awaitable[object]]


# -- the server ----------------------------------------------------------------------------------------------------------


async def serve() -> None:
    from aiohttp import web

    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 7, "completion_tokens": TOKENS, "total_tokens": TOKENS + 7}

    def chunk(delta: dict[str, str] | None, finish: str | None = None, **more: Any) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        return f"data: {json.dumps({**head, 'choices': choices, **more})}\n\n".encode()

    def answers(tokens: int) -> tuple[bytes, bytes]:
        words = [chunk({"content": "word "})] * tokens
        message = {"role": "assistant", "content": "word " * tokens}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return (
            b"".join([*words, chunk({}, "stop"), chunk(None, usage=usage), b"data: [DONE]\n\n"]),
            json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": usage}).encode(),
        )

    long, short = answers(TOKENS), answers(5)

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        is_slow = "slow" in asked["messages"][-1]["content"]
        if is_slow:
            await asyncio.sleep(LATENCY)
        streamed, whole = short if is_slow else long
        if asked.get("stream"):
            return web.Response(body=streamed, content_type="text/event-stream")
        return web.Response(body=whole, content_type="application/json")

    async def models(_request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model", "created": 1}]})

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", answer), web.get("/v1/models", models)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.to_thread(sys.stdin.read)


# -- the contenders: a call and a stream each ----------------------------------------------------------------------------


def ours(url: str) -> tuple[Call, Call]:
    from llm_gateway_nb import create_llm

    llm = create_llm("openai", "m", base_url=url, api_key="k", max_retries=0)

    async def stream(prompt: str) -> None:
        async for _ in await llm.agenerate(prompt, stream=True):
            pass

    return llm.agenerate, stream


def sdk(url: str, *, aiohttp: bool = True, whole: bool = False) -> tuple[Call, Call]:
    import openai

    http = openai.DefaultAioHttpClient() if aiohttp else None
    client = openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0, http_client=http)

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


def abstractcore(url: str, provider: str) -> tuple[Call, Call]:
    from abstractcore import create_llm

    llm = create_llm(provider, model="m", base_url=url, api_key="k")

    async def stream(prompt: str) -> None:
        async for _ in await llm.agenerate(prompt, stream=True):
            pass

    return llm.agenerate, stream


CONTENDERS: dict[str, Callable[[str], tuple[Call, Call]]] = {
    "ours": ours,
    "sdk": sdk,
    "sdk, whole answer": lambda url: sdk(url, whole=True),
    "sdk, own transport": lambda url: sdk(url, aiohttp=False),
    "abstractcore openai": lambda url: abstractcore(url, "openai"),
    "abstractcore compatible": lambda url: abstractcore(url, "openai-compatible"),
}


async def many(call: Call, count: int, at_once: int) -> None:
    todo = iter(range(count))

    async def work() -> None:
        for number in todo:
            await call(f"call {number}")

    await asyncio.gather(*(work() for _ in range(at_once)))


async def do(task: str, call: Call, stream: Call) -> float:
    began = time.process_time()
    match task:
        case "call, one after another":
            await many(call, CALLS["1"], 1)
            return (time.process_time() - began) / CALLS["1"] * 1e6
        case "call, 50 at once":
            await many(call, CALLS["50"], 50)
            return (time.process_time() - began) / CALLS["50"] * 1e6
        case "stream, one after another":
            await many(stream, STREAMS, 1)
            return (time.process_time() - began) / STREAMS / TOKENS * 1e6
        case _:
            clock = time.perf_counter()
            await asyncio.gather(*(call(f"slow {number}") for number in range(FAN_OUT)))
            return time.perf_counter() - clock


async def contend(name: str, url: str) -> None:
    """Do the tasks that come in by lines, and print the figure of each."""
    call, stream = CONTENDERS[name](url)
    await call("warm up")
    await stream("warm up")
    print("ready", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        try:
            print(await do(line, call, stream), flush=True)
        except Exception as error:  # noqa: BLE001  (told in the table)
            print(f"failed: {type(error).__name__}", flush=True)


# -- the run -------------------------------------------------------------------------------------------------------------


def started(python: str, *arguments: str) -> subprocess.Popen[str]:
    # Other people's libraries may talk on stderr.
    return subprocess.Popen(
        [python, __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )


def read(process: subprocess.Popen[str]) -> str:
    """The next line that is an answer: some libraries print more."""
    assert process.stdout is not None
    while line := process.stdout.readline():
        word = line.strip()
        if (
            word == "ready"
            or word.startswith(("failed", "http"))
            or word.replace(".", "", 1).replace("e-", "").isdigit()
        ):
            return word
    return "failed: it ended"


def ask(process: subprocess.Popen[str], task: str) -> float | None:
    assert process.stdin is not None
    try:
        process.stdin.write(f"{task}\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    answer = read(process)
    return None if answer.startswith("failed") else float(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--abstractcore", default=".venvs/abstractcore/bin/python", help="a Python that has it")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--contend", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve())
        return
    if given.contend:
        asyncio.run(contend(*given.contend))
        return
    names = [name for name in ORDER if not name.startswith("abstractcore") or Path(given.abstractcore).exists()]
    if len(names) < len(ORDER):
        print(f"AbstractCore is left out: there is no {given.abstractcore}.")
    server = started(sys.executable, "--serve")
    url = read(server)
    processes = {
        name: started(given.abstractcore if name.startswith("abstractcore") else sys.executable, "--contend", name, url)
        for name in names
    }
    ready = {name: read(process) for name, process in processes.items()}
    for name in [name for name in names if ready[name] != "ready"]:
        print(f"{name} is left out: {ready[name]}")
        names.remove(name)
    figures: dict[str, dict[str, list[float | None]]] = {task: {name: [] for name in names} for task in TASKS}
    for number in range(given.rounds):
        for task in TASKS:
            if "gather" in task and number >= FAN_OUT_ROUNDS:
                continue
            for name in random.sample(names, len(names)):
                figures[task][name].append(ask(processes[name], task))
        print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
    for process in [*processes.values(), server]:
        process.kill()
        process.wait()
    for task, unit in TASKS.items():
        print(f"\n{task} ({unit})")
        for name in names:
            done = [figure for figure in figures[task][name] if figure is not None]
            if not done:
                print(f"  {name:26} failed")
                continue
            pairs = zip(figures[task][name], figures[task][BASE], strict=True)
            ratios = [figure / base for figure, base in pairs if figure is not None and base is not None]
            failed = len(figures[task][name]) - len(done)
            told = f"  ({failed} rounds failed)" if failed else ""
            ratio = f"x {statistics.median(ratios):5.2f}" if ratios else "x     ?"
            print(f"  {name:26} {statistics.median(done):10.2f}   {ratio}{told}")


if __name__ == "__main__":
    main()
