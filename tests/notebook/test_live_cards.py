"""The Python side of living cards: what is told to a page, when, and what a person may do there."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.waiting import until

from llm_gateway_nb import tool
from llm_gateway_nb.notebook.views.live import LiveCard
from llm_gateway_nb.notebook.views.permission_table import PermissionTable
from llm_gateway_nb.notebook.views.primitive_card import PrimitiveCard
from llm_gateway_nb.notebook.views.tool_form import ToolCard
from llm_gateway_nb.notebook.views.watch import watch
from llm_gateway_nb.primitives import AsyncQueue, Deferred, Passthrough, create_passthrough, deferred
from llm_gateway_nb.types import Permissions, ToolDefinition

Message = dict[str, Any]


@pytest.fixture
def opened() -> Iterator[Callable[[LiveCard], list[Message]]]:
    """Gives what a card sends, and closes it at the end."""
    cards: list[LiveCard] = []

    def listen(card: LiveCard) -> list[Message]:
        cards.append(card)
        sent: list[Message] = []
        card.send = sent.append
        return sent

    yield listen
    for card in cards:
        card.close()


def told(message: Message) -> str:
    return json.dumps(message["picture"], ensure_ascii=False)


# -- primitives --------------------------------------------------------------------------------------------------------


async def test_a_waiter_a_push_and_a_pop_are_told(opened: Any) -> None:
    queue = AsyncQueue[str]()
    sent = opened(PrimitiveCard.of(queue))
    waiter = asyncio.create_task(queue.pop())
    await until(lambda: sent and "1 coroutine waits in pop()" in told(sent[-1]))
    waiter.cancel()
    await until(lambda: "waits" not in told(sent[-1]))
    queue.push("a")
    await until(lambda: "1 value" in told(sent[-1]))
    await queue.pop()
    await until(lambda: "empty" in told(sent[-1]))


async def test_a_burst_is_a_handful_of_messages_and_the_last_is_the_state(opened: Any) -> None:
    queue = AsyncQueue[int]()
    sent = opened(PrimitiveCard.of(queue))
    for number in range(20_000):
        queue.push(number)
    await until(lambda: sent and "20000 values" in told(sent[-1]))
    assert len(sent) < 1_000, "by the clock, and not by the value"
    assert max(len(told(message)) for message in sent) < 4_000


async def test_what_happens_while_the_loop_is_blocked_is_told_at_once(opened: Any) -> None:
    queue = AsyncQueue[str]()
    sent = opened(PrimitiveCard.of(queue))
    queue.push("first")
    assert "first" in told(sent[-1]), "no turn of the loop was needed"


async def test_a_settling_from_another_thread_is_told(opened: Any) -> None:
    answer = deferred()
    sent = opened(PrimitiveCard.of(answer))
    threading.Thread(target=answer.resolve, args=(42,)).start()
    await until(lambda: sent and "42" in told(sent[-1]))


async def test_a_stream_tells_which_values_were_read_and_its_end_is_no_value(opened: Any) -> None:
    stream = create_passthrough()
    stream.push("a")
    sent = opened(PrimitiveCard.of(stream))
    await stream.send("b")
    reader = aiter(stream.iterable)
    assert await anext(reader) == "a"
    stream.end()
    await until(lambda: sent and "ended" in told(sent[-1]))
    rows = sent[-1]["picture"]["card"]["inside"][0]["rows"]
    assert [(row[0], row[1]["text"], row[2]["word"]) for row in rows] == [("1", "'a'", "read"), ("2", "'b'", "unread")]
    assert [value async for value in reader] == ["b"]
    await until(lambda: "unread" not in json.dumps(sent[-1]["picture"]["card"]["inside"]))


async def test_a_page_that_comes_late_gets_the_last_picture_and_a_page_that_has_it_nothing(opened: Any) -> None:
    queue = AsyncQueue[int]()
    card = PrimitiveCard.of(queue)
    assert PrimitiveCard.of(queue) is card, "shown twice it is one model"
    sent = opened(card)
    queue.push(1)
    await until(lambda: sent)
    card._on_custom(card, {"k": "ready"}, [])
    assert sent[-1]["seq"] == sent[-2]["seq"]
    count = len(sent)
    card._on_custom(card, {"k": "ready", "seq": sent[-1]["seq"]}, [])
    assert len(sent) == count


@pytest.mark.parametrize("make", [AsyncQueue, Deferred, Passthrough])
async def test_who_watches_keeps_nothing_alive_and_leaves_no_trace(make: type) -> None:
    thing = make()
    end = watch(thing, lambda _value: None)
    again = watch(thing, lambda _value: None)
    end()
    again()
    assert type(thing) is make
    assert {type(getattr(thing, name, None)).__name__ for name in ("_promise", "_queue")} <= {
        "NoneType",
        "_Promise",
        "AsyncQueue",
    }
    watch(thing, lambda _value: None)
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None


# -- a tool, by hand ---------------------------------------------------------------------------------------------------


@tool
async def book(day: str, seats: int = 1, tags: list[str] | None = None) -> str:
    """Book seats."""
    print("looking")
    if seats > 9:
        raise ValueError("too many")
    if seats == 0:
        await asyncio.Event().wait()
    return f"{seats} on {day} {tags}"


def press(card: LiveCard, **values: Any) -> None:
    card._on_custom(card, {"k": "call", "values": values}, [])


def state(card: ToolCard) -> dict[str, Any]:
    form: dict[str, Any] = card._picture()["form"]
    return form


async def test_arguments_that_do_not_fit_are_told_at_their_fields_and_nothing_runs(opened: Any) -> None:
    card = ToolCard(book)
    opened(card)
    press(card, day=None, seats="many", tags="[1")
    assert state(card)["status"] == "invalid"
    assert set(state(card)["errors"]) == {"day", "seats", "tags"}
    press(card, day="Friday", seats=1, tags="[1]")
    assert list(state(card)["errors"]) == ["tags"]
    assert state(card)["errors"]["tags"].startswith("0: ")


async def test_a_json_schema_is_held_against_the_form_too(opened: Any) -> None:
    async def execute(given: dict[str, Any], _ctx: Any) -> dict[str, Any]:
        return given

    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    card = ToolCard(ToolDefinition(name="t", description="d", schema=schema, execute=execute))
    opened(card)
    press(card, n=0)
    assert "minimum" in state(card)["errors"]["n"]
    press(card, n=2)
    await until(lambda: state(card)["status"] == "ok")
    assert '"n": 2' in state(card)["output"][0]["text"]


async def test_a_call_by_hand_tells_what_it_gave_and_what_it_printed(opened: Any, capsys: Any) -> None:
    card = ToolCard(book)
    opened(card)
    press(card, day="Friday", seats=2, tags='["x"]')
    await until(lambda: state(card)["status"] == "ok")
    assert [bit["text"] for bit in state(card)["output"]] == ["2 on Friday ['x']", "It printed:", "looking\n"]
    assert capsys.readouterr().out == ""
    press(card, day="Friday", seats=12, tags="")
    await until(lambda: state(card)["status"] == "error")
    assert state(card)["output"][0]["text"] == "ValueError: too many"


async def test_stop_and_close_end_a_call_that_does_not_end(opened: Any) -> None:
    before = asyncio.all_tasks()
    card = ToolCard(book)
    opened(card)
    press(card, day="Friday", seats=0, tags="")
    await until(lambda: "looking" in json.dumps(state(card)))
    press(card, day="Friday", seats=1, tags="")
    assert state(card)["status"] == "running", "one call at a time"
    card._on_custom(card, {"k": "stop"}, [])
    await until(lambda: state(card)["status"] == "cancelled")
    press(card, day="Friday", seats=0, tags="")
    await until(lambda: "looking" in json.dumps(state(card)))
    card.close()
    await until(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize("message", [None, 1, {}, {"k": 1}, {"k": "call"}, {"k": "call", "values": 1}, {"k": "what"}])
async def test_what_is_no_message_is_no_call(opened: Any, message: Any) -> None:
    card = ToolCard(book)
    opened(card)
    card._on_custom(card, message, [])
    assert state(card)["status"] == "idle"


# -- permissions -------------------------------------------------------------------------------------------------------


def test_rules_come_and_go_and_what_was_given_never_changes() -> None:
    given = Permissions(allowlist=["read"], deny=[{"tool": "bash", "params": {"command": "rm *"}}])
    table = PermissionTable(given)
    changes: list[int] = []
    table.on_change = lambda: changes.append(1)
    table.acted({"k": "add", "list": "allowlist", "tool": " bash ", "params": {"command": "git *"}})
    table.acted({"k": "add", "list": "allowlist", "tool": "bash", "params": {"command": "git *"}})
    table.acted({"k": "remove", "list": "deny", "index": 0})
    table.acted({"k": "remove", "list": "deny", "index": 7})
    assert len(changes) == 4
    assert table.permissions == Permissions(allowlist=["read", {"tool": "bash", "params": {"command": "git *"}}])
    assert given.deny is not None
    rebuilt = eval(table.picture()["rules"]["code"], {"Permissions": Permissions})
    assert rebuilt == table.permissions


def test_a_call_is_tried_again_when_the_rules_change_and_uses_nothing_up() -> None:
    table = PermissionTable(Permissions(allow_once=[{"tool": "bash", "params": {"command": "make *"}}]))
    for _ in range(2):
        table.acted({"k": "try", "tool": "bash", "arguments": "make test"})
        assert "allowed once" in json.dumps(table.picture()["rules"]["tried"])
    table.acted({"k": "remove", "list": "allow_once", "index": 0})
    assert '"ask"' in json.dumps(table.picture()["rules"]["tried"])


def test_what_is_no_rule_or_no_call_is_told() -> None:
    table = PermissionTable(Permissions())
    table.acted({"k": "add", "list": "allowlist", "tool": " ", "params": {}})
    assert table.picture()["rules"]["problem"] == "A rule names a tool."
    table.acted({"k": "try", "tool": "bash", "arguments": '{"command": '})
    assert table.picture()["rules"]["problem"].startswith("Not a call: ")
    table.acted({"k": "add", "list": "everything", "tool": "bash", "params": {}})
    table.acted({"k": "whatever"})
    assert table.permissions == Permissions()
