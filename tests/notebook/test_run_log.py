"""Each event of a run gets its number, on a copy: the event belongs to whoever sent it."""

from __future__ import annotations

from hypothesis import given

from llm_gateway_nb.notebook.run_log import RunLog
from llm_gateway_nb.testing.strategies import harness_events
from llm_gateway_nb.types import HarnessEvent, PermissionResponse, RelayEvent, dump_event


@given(harness_events())
def test_what_is_kept_is_the_event_with_its_number_and_nothing_shared(event: HarnessEvent) -> None:
    before = dump_event(event)
    log = RunLog(lambda _: None)
    log.take(event)
    (kept,) = log.events
    assert dump_event(event) == before
    assert dump_event(kept) == {**before, "seq": 0}
    assert kept.model_fields_set == {*event.model_fields_set, "seq"}
    assert kept.__dict__ is not event.__dict__
    assert kept.model_extra is not event.model_extra


def test_a_question_that_was_kept_can_be_answered() -> None:
    answers: list[object] = []
    log = RunLog(lambda _: None)
    log.take(RelayEvent(run_id="r", id="q", tool_call_id="c", tool="bash", params={}, respond=answers.append))
    (kept,) = log.events
    assert isinstance(kept, RelayEvent)
    assert kept.respond(PermissionResponse(approved=True))
    assert len(answers) == 1
