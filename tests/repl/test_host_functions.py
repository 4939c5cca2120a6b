"""Functions of the host, called from code in a REPL."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.clock import jump
from support.waiting import settle, until

from llm_gateway_nb.repl import Repl
from llm_gateway_nb.repl.channel import HostChannel

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS: list[dict[str, Any]] = []
GATE: dict[str, asyncio.Event] = {}


async def ask(prompt: str, context: str | None = None) -> str:
    """Ask somebody."""
    CALLS.append({"prompt": prompt} if context is None else {"prompt": prompt, "context": context})
    return f"<{prompt}>"


async def run(command: str) -> dict[str, Any]:
    return {"stdout": command, "stderr": "", "exit_code": 0}


async def fail(how: str) -> str:
    raise ValueError(f"denied: {how}")


async def hold(name: str) -> str:
    """Tells that it is there, and waits until it is let go or cancelled."""
    GATE[f"{name} came"].set()
    try:
        await GATE[f"{name} may go"].wait()
    except asyncio.CancelledError:
        GATE[f"{name} was cancelled"].set()
        raise
    return name


def gates(name: str) -> tuple[asyncio.Event, asyncio.Event, asyncio.Event]:
    came, may_go, cancelled = (asyncio.Event() for _ in range(3))
    GATE.update({f"{name} came": came, f"{name} may go": may_go, f"{name} was cancelled": cancelled})
    return came, may_go, cancelled


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def repl() -> AsyncIterator[Repl]:
    functions = {"ask": ask, "run": run, "fail": fail, "hold": hold}
    async with Repl(functions=functions, variables={"context": "some text"}, answers=True) as repl:
        await repl.execute("import asyncio")  # no test may need another one to have run
        yield repl


async def test_arguments_arrive_by_name_and_what_is_left_out_stays_left_out(repl: Repl) -> None:
    CALLS.clear()
    result = await repl.execute("print(await ask('a'), await ask('b', context='c'), await ask('d', 'e'))")
    assert (result.stdout, result.error) == ("<a> <b> <d>\n", None)
    assert CALLS == [{"prompt": "a"}, {"prompt": "b", "context": "c"}, {"prompt": "d", "context": "e"}]


async def test_a_wrong_call_is_an_error_in_the_code(repl: Repl) -> None:
    assert "missing a required argument: 'prompt'" in str((await repl.execute("await ask()")).error)
    error = str((await repl.execute("await fail('no')")).error)
    assert "denied: no" in error
    assert "child.py" not in error
    caught = await repl.execute("try:\n    await fail('no')\nexcept ValueError as error:\n    print('caught', error)")
    assert caught.stdout == "caught denied: no\n"


async def test_a_result_has_named_parts(repl: Repl) -> None:
    result = await repl.execute("done = await run('ls')\nprint(done.stdout, done['exit_code'], done)")
    assert result.stdout == "ls 0 Result(stdout='ls', stderr='', exit_code=0)\n"


async def test_they_have_their_docstrings(repl: Repl) -> None:
    assert (await repl.execute("print(ask.__doc__, __import__('inspect').signature(ask))")).stdout == (
        "Ask somebody. (prompt, context=None)\n"
    )


async def test_calls_under_gather_run_side_by_side(repl: Repl) -> None:
    both = [gates("a"), gates("b")]
    turn = asyncio.create_task(repl.execute("import asyncio\nawait asyncio.gather(hold('a'), hold('b'))"))
    for came, _, _ in both:
        await asyncio.wait_for(came.wait(), 30)
    for _, may_go, _ in both:
        may_go.set()
    assert (await turn).mime == [{"text/plain": "['a', 'b']"}]


async def test_a_thread_with_a_loop_of_its_own_may_call_too(repl: Repl) -> None:
    code = "import asyncio\nprint(await asyncio.to_thread(lambda: asyncio.run(ask('from a thread'))))"
    assert (await repl.execute(code)).stdout == "<from a thread>\n"


async def test_the_turns_clock_stands_still_while_the_host_is_at_work(repl: Repl) -> None:
    came, may_go, _ = gates("slow")
    turn = asyncio.create_task(repl.execute("await hold('slow')", timeout=60))
    await asyncio.wait_for(came.wait(), 30)
    jump(600)
    await settle()
    assert not turn.done()
    may_go.set()
    assert (await turn).error is None


async def test_a_turn_that_is_stopped_or_cancelled_cancels_its_calls(repl: Repl) -> None:
    came, _, cancelled = gates("x")
    turn = asyncio.create_task(repl.execute("y = 1\nawait hold('x')"))
    await asyncio.wait_for(came.wait(), 30)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert cancelled.is_set()
    assert (await repl.execute("y")).mime == [{"text/plain": "1"}]


async def test_code_that_gives_up_a_call_cancels_it_here(repl: Repl) -> None:
    _, _, cancelled = gates("x")
    result = await repl.execute(
        "call = asyncio.ensure_future(hold('x'))\nawait ask('something, so that the call before it has come')\n"
        "try:\n    await asyncio.wait_for(call, 0.01)\nexcept TimeoutError:\n    print('gave up')"
    )
    assert result.stdout == "gave up\n"
    assert cancelled.is_set()


async def test_a_turn_is_over_when_the_calls_that_it_began_are_over(repl: Repl) -> None:
    came, may_go, _ = gates("later")
    turn = asyncio.create_task(repl.execute("task = asyncio.create_task(hold('later'))\nawait asyncio.sleep(0)"))
    await asyncio.wait_for(came.wait(), 30)
    await asyncio.wait([turn], timeout=0.2)
    assert not turn.done()
    may_go.set()
    await turn
    assert (await repl.execute("await task")).mime == [{"text/plain": "'later'"}]


async def test_a_child_that_talks_nonsense_leaves_nothing_behind(tmp_path: Path) -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    def framed(text: str) -> bytes:
        return struct.pack(">I", len(text)) + text.encode()

    before, noises = asyncio.all_tasks(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noises.append(context))
    channel = HostChannel({"wait": wait})
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as child:
        listener.bind(str(tmp_path / "host"))
        listener.listen(1)
        listener.setblocking(False)
        child.connect(str(tmp_path / "host"))
        call = json.dumps({"call": 1, "name": "wait", "arguments": {}})
        for text in ('{"hello": "key"}', '{"ready": ""}', call, call, "[" * 200_000):
            child.sendall(framed(text))
        channel.accepting = True
        await channel.open(listener, "key", {})
        await until(lambda: channel.busy)
        await channel.close()
    assert asyncio.all_tasks() == before
    gc.collect()
    asyncio.get_running_loop().set_exception_handler(None)
    assert not noises


async def test_between_turns_nobody_can_be_asked(tmp_path: Path) -> None:
    code = (
        "import asyncio, os\n"
        "async def late():\n"
        "    while not os.path.exists('go'):\n        await asyncio.sleep(0.01)\n"
        "    try:\n        return await ask('late')\n"
        "    finally:\n        open('tried', 'w').close()\n"
        "task = asyncio.create_task(late())"
    )
    async with Repl(functions={"ask": ask}, cwd=tmp_path) as repl:
        await repl.execute(code)
        (tmp_path / "go").touch()
        async with asyncio.timeout(30):
            while not await asyncio.to_thread((tmp_path / "tried").exists):
                await asyncio.sleep(0.01)
        assert "no turn is running" in str((await repl.execute("await task")).error)


async def test_their_names_come_back_however_the_code_has_used_them(repl: Repl) -> None:
    await repl.execute("ask = FINAL = 3")
    assert (await repl.execute("await ask('again')")).mime == [{"text/plain": "'<again>'"}]


# -- the answer ------------------------------------------------------------------------------------------------------


async def test_final_answers_with_the_text_of_any_value(repl: Repl) -> None:
    assert (await repl.execute("FINAL(42)")).answer == "42"
    assert (await repl.execute("x = [1, 'a']\nFINAL_VAR('x')")).answer == "[1, 'a']"
    assert (await repl.execute("FINAL('')")).answer == ""
    code = "class Odd:\n    def __str__(self): raise ValueError\n    __repr__ = __str__\nFINAL(Odd())"
    assert (await repl.execute(code)).answer == "<Odd>"
    assert (await repl.execute("1")).answer is None


async def test_what_is_too_large_to_be_passed_on_is_cut_or_an_error_in_the_code(repl: Repl) -> None:
    answer = (await repl.execute("FINAL('x' * 100_000_000)")).answer
    assert answer is not None
    assert len(answer) < 10_001_000
    assert "is the most that can be passed on" in str((await repl.execute("await ask('x' * 100_000_000)")).error)
    assert (await repl.execute("await ask('y')")).error is None


async def test_a_final_in_a_turn_that_then_raises_is_void_for_good(repl: Repl) -> None:
    assert (await repl.execute("FINAL(1)\nraise ValueError('no')")).answer is None
    assert (await repl.execute("1")).answer is None


async def test_final_var_of_a_name_that_is_not_there_is_an_error(repl: Repl) -> None:
    result = await repl.execute("FINAL_VAR('nowhere')")
    assert result.answer is None
    assert "no variable 'nowhere'" in str(result.error)


async def test_an_answer_does_not_wait_for_what_is_still_asked(repl: Repl) -> None:
    _, _, cancelled = gates("x")
    result = await repl.execute(
        "task = asyncio.create_task(hold('x'))\nawait asyncio.sleep(0)\nawait ask('something')\nFINAL('done')"
    )
    assert result.answer == "done"
    assert cancelled.is_set()


async def test_a_large_context_arrives_whole() -> None:
    context = "line é 🐍\n" * 100_000
    async with Repl(variables={"context": context}) as repl:
        assert (await repl.execute("len(context), context.count('🐍')")).mime == [{"text/plain": "(900000, 100000)"}]
