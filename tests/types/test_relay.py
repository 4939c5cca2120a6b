"""A relay is answered once, by whom it may be, and never leaves the process with its callback."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from typing import Any

import pytest

from llm_gateway_nb.types import (
    BudgetRelayEvent,
    PermissionResponse,
    RelayEvent,
    RelayResponse,
    dump_event,
    parse_event,
)


def relay(respond: Any = None, **fields: Any) -> RelayEvent:
    return RelayEvent(
        run_id="r", tool_call_id="r/c", tool="bash", params={"command": "ls"}, **({"respond": respond} | fields)
    )


def test_an_answer_reaches_whoever_asked() -> None:
    answers: list[RelayResponse] = []
    assert relay(answers.append).respond(PermissionResponse(approved=True, reason="fine")) is True
    assert answers == [RelayResponse(approved=True, reason="fine")]


@pytest.mark.parametrize(
    "response",
    [
        {"approved": True, "always": True, "input": {"command": "ls -l"}},
        RelayResponse(approved=True, always=True, input={"command": "ls -l"}),
    ],
    ids=["dict", "model"],
)
def test_an_answer_may_carry_what_a_panel_can_say(response: Any) -> None:
    answers: list[RelayResponse] = []
    relay(answers.append).respond(response)
    assert [type(answer) for answer in answers] == [RelayResponse]
    assert (answers[0].always, answers[0].input) == (True, {"command": "ls -l"})


def test_only_the_first_answer_counts() -> None:
    answers: list[RelayResponse] = []
    event = relay(answers.append)
    assert [event.respond({"approved": True}), event.respond({"approved": False})] == [True, False]
    assert [answer.approved for answer in answers] == [True]


def test_copies_of_a_relay_share_their_one_answer() -> None:
    answers: list[RelayResponse] = []
    event = relay(answers.append)
    copies = [event, event.model_copy(update={"seq": 1}), copy.copy(event), copy.deepcopy(event)]
    copies.append(event.model_copy(deep=True))
    assert [each.respond({"approved": True}) for each in reversed(copies)] == [True, False, False, False, False]
    assert len(answers) == 1


def test_an_answer_that_comes_too_late_is_harmless() -> None:
    assert relay(lambda _: False).respond({"approved": True}) is False


def test_an_answer_that_was_not_taken_leaves_room_for_the_next() -> None:
    taken = iter([False, True])
    event = relay(lambda _: next(taken))
    assert [event.respond({"approved": True}) for _ in range(3)] == [False, True, False]


def test_an_answer_that_raised_leaves_room_for_the_next() -> None:
    def respond(response: RelayResponse) -> None:
        if response.input is not None:
            raise ValueError("these arguments do not fit")

    event = relay(respond)
    with pytest.raises(ValueError, match="do not fit"):
        event.respond({"approved": True, "input": {}})
    assert event.respond({"approved": True}) is True


def test_of_many_threads_one_answer_counts() -> None:
    answers: list[RelayResponse] = []
    event = relay(answers.append)
    start = threading.Barrier(8)
    results: list[bool] = []

    def answer() -> None:
        start.wait()
        results.append(event.respond({"approved": True}))

    threads = [threading.Thread(target=answer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert len(answers) == 1


def test_a_callback_that_asks_the_relay_again_does_not_hang() -> None:
    event = relay(lambda response: event.respond(response) is False)
    assert event.respond({"approved": True}) is True


@pytest.mark.parametrize("response", [{}, {"approved": "perhaps"}, {"approved": True, "input": 3}, None, True, "yes"])
def test_what_is_not_an_answer_is_a_value_error_and_answers_nothing(response: Any) -> None:
    answers: list[RelayResponse] = []
    event = relay(answers.append)
    with pytest.raises(ValueError):
        event.respond(response)
    assert answers == []
    assert event.respond({"approved": True}) is True


def test_a_relay_from_the_wire_answers_nothing() -> None:
    event = parse_event(dump_event(relay(lambda _: True)))
    assert isinstance(event, RelayEvent)
    assert event.respond({"approved": True}) is False


def test_the_callback_is_never_written() -> None:
    event = relay(lambda _: True)
    late = event.model_copy(update={"respond": lambda _: True, "seq": 1})
    for each in (event, late, event.model_copy(), copy.copy(event), copy.deepcopy(event)):
        for wire in (
            dump_event(each),
            each.model_dump(),
            each.model_dump(mode="json"),
            json.loads(each.model_dump_json()),
        ):
            assert "respond" not in wire
            assert not any("respond" in key.lower() for key in wire)
        assert "respond" not in repr(each)


def test_a_copy_may_be_given_another_callback() -> None:
    first: list[RelayResponse] = []
    second: list[RelayResponse] = []
    event = relay(first.append)
    assert event.model_copy(update={"respond": second.append}).respond({"approved": True}) is True
    assert (len(first), len(second)) == (0, 1)
    assert event.respond({"approved": True}) is True


def test_a_peer_cannot_put_a_respond_key_through_us() -> None:
    wire = dump_event(relay(lambda _: True))
    event = parse_event({**wire, "respond": "rm -rf /"})
    assert dump_event(event) == wire


def test_a_pickled_relay_is_as_one_from_the_wire() -> None:
    event = relay(lambda _: True)
    back = pickle.loads(pickle.dumps(event))
    assert dump_event(back) == dump_event(event)
    assert back.respond({"approved": True}) is False
    assert event.respond({"approved": True}) is True


def test_a_deep_copy_answers_whoever_waits_and_not_a_copy_of_them() -> None:
    class Waiter:
        answer: RelayResponse | None = None

        def take(self, response: RelayResponse) -> None:
            self.answer = response

    waiter = Waiter()
    copy.deepcopy([relay(waiter.take)])[0].respond({"approved": True})
    assert waiter.answer is not None


def test_a_budget_relay_is_answered_the_same_way() -> None:
    answers: list[RelayResponse] = []
    event = BudgetRelayEvent(run_id="r", unit="tokens", limit=10, used=12, respond=answers.append)
    assert dump_event(event)["kind"] == "budget"
    assert [event.respond({"approved": False}), event.respond({"approved": True})] == [True, False]
    assert [answer.approved for answer in answers] == [False]


def test_a_relay_names_tool_parameters_and_call() -> None:
    wire = dump_event(relay(timestamp=None, id="1", rule={"tool": "bash"}, why="`ls` is in no rule"))
    assert wire == {
        "type": "relay",
        "kind": "permission",
        "runId": "r",
        "id": "1",
        "toolCallId": "r/c",
        "tool": "bash",
        "params": {"command": "ls"},
        "rule": {"tool": "bash"},
        "why": "`ls` is in no rule",
    }
