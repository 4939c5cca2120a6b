"""A history that outgrows the model's window is summarized where it is old, and stays valid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.errors import ConfigurationError, ProviderAPIError
from llm_gateway_nb.graph import fold, project_messages
from llm_gateway_nb.harnesses import create_agent_harness, with_budget, with_compaction
from llm_gateway_nb.harnesses.history import cut_for, estimated_characters, told
from llm_gateway_nb.notebook import run
from llm_gateway_nb.providers import LLM
from llm_gateway_nb.providers.base import Finish, ModelRequest, Piece, TextDelta, ToolCallPiece
from llm_gateway_nb.testing import ScriptedLLM, Turn
from llm_gateway_nb.tools import tool
from llm_gateway_nb.types import (
    AssistantMessage,
    CompactionEvent,
    HarnessEvent,
    ImageContentPart,
    Message,
    Permissions,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)

LONG = "word " * 400
HISTORY: list[Message] = [
    SystemMessage(content="Be kind."),
    UserMessage(content=f"first {LONG}"),
    AssistantMessage(content=f"second {LONG}"),
    UserMessage(content=f"third {LONG}"),
    AssistantMessage(content="Newest answer."),
    UserMessage(content="And now?"),
]


class Looks(LLM):
    """Calls `look` so many times, then answers; summarizes when it is told to."""

    provider = "looks"

    def __init__(self, times: int) -> None:
        super().__init__("looks", max_retries=0)
        self.times = times
        self.called = 0
        self.sent: list[list[Message]] = []
        self.summarized: list[str] = []

    async def _pieces(self, request: ModelRequest) -> AsyncIterator[Piece]:  # type: ignore[override]
        if isinstance(request.messages[0], SystemMessage):
            self.summarized.append(str(request.messages[1].content))
            yield TextDelta(f"Summary {len(self.summarized)}.")
        else:
            self.sent.append(request.messages)
            self.called += 1
            if self.called > self.times:
                yield TextDelta("Done.")
            else:
                yield ToolCallPiece(f"c{self.called}", "look", {"n": self.called})
        yield Finish("stop")


async def events_of(harness: Any, **params: Any) -> list[HarnessEvent]:
    return [event async for event in harness.invoke(**params)]


async def test_the_older_part_is_replaced_and_the_newest_stays_word_for_word() -> None:
    with ScriptedLLM(["They talked.", "Fine."]) as llm:
        events = await events_of(with_compaction(llm, window=1500), messages=HISTORY)
        summary, sent = llm.requests[0].messages, llm.requests[1].messages
    assert "user: first word" in str(summary[1].content)
    assert "characters left out" in str(summary[1].content), "what is summarized fits the window, too"
    assert sent[0] == HISTORY[0], "the system prompt stays"
    assert "They talked." in str(sent[1].content)
    assert f"third {LONG}" in str(sent[1].content), "what the person asked last in the older part stays word for word"
    assert sent[2:] == HISTORY[4:]
    (event,) = [event for event in events if isinstance(event, CompactionEvent)]
    assert (event.summary, event.messages) == ("They talked.", 3)
    assert event.run_id == next(e.run_id for e in events if e.type == "text")


async def test_what_fits_is_sent_as_it_is() -> None:
    with ScriptedLLM(["Fine."]) as llm:
        await events_of(with_compaction(llm, window=100_000), messages=HISTORY)
        assert llm.requests[0].messages == HISTORY


async def test_an_agent_goes_on_with_the_summary_and_keeps_its_whole_history() -> None:
    @tool
    def look(n: int) -> str:
        """Look."""
        return f"found {n} {LONG}"

    llm = Looks(6)
    agent = with_compaction(create_agent_harness(llm, max_iterations=20), window=2000)
    events = await events_of(
        agent, messages=[UserMessage(content="Look.")], tools=[look], permissions=Permissions(allowlist=["look"])
    )
    made = [event.summary for event in events if isinstance(event, CompactionEvent)]
    assert made[:2] == ["Summary 1.", "Summary 2."]
    assert {event.run_id for event in events if isinstance(event, CompactionEvent)} == {events[0].run_id}
    assert any("Summary 1." in told for told in llm.summarized), "a summary is summarized, too"
    for messages in llm.sent:
        check_pairs(messages)
        assert estimated_characters(messages) * 0.3 < 2000
        assert "Look." in str(messages[0].content), "the task stays word for word"
    history = project_messages(fold(events))
    assert len(history) == 13, "all six calls and results, and the answer"
    assert events[-1].reason == "final"


async def test_a_summary_that_fails_is_no_reason_to_fail() -> None:
    with ScriptedLLM([ProviderAPIError("overloaded"), "Fine."]) as llm:
        events = await events_of(with_compaction(llm, window=1500), messages=HISTORY)
        assert llm.requests[1].messages == HISTORY
    assert [event.type for event in events if event.type != "text"] == ["harness_start", "usage", "harness_end"]


async def test_a_compacted_model_is_a_model_and_its_summaries_count() -> None:
    llm = with_compaction(
        ScriptedLLM([Turn("They talked.", usage=(100, 10)), Turn("Fine.", usage=(5, 5))]), window=1500
    )
    assert isinstance(llm, LLM)
    result = await run(with_budget(create_agent_harness(llm), tokens=10_000), messages=HISTORY)
    assert result.text == "Fine."
    assert result.usage.input_tokens == 105


@pytest.mark.parametrize("options", [{}, {"window": 1000, "at": 0.2}, {"window": 1000, "keep": 0}])
def test_what_can_not_be_kept_is_said(options: Any) -> None:
    with pytest.raises(ConfigurationError, match="with_compaction"):
        with_compaction(ScriptedLLM([]), **options)


def check_pairs(messages: list[Message]) -> None:
    open_calls: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            assert open_calls
            assert open_calls.pop(0) == message.tool_call_id
        else:
            assert not open_calls
            calls = message.tool_calls if isinstance(message, AssistantMessage) else None
            open_calls = [each.id for each in calls or ()]
    assert not open_calls


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = [SystemMessage(content="s")] * draw(st.integers(0, 2))
    for turn in range(draw(st.integers(0, 6))):
        messages.append(UserMessage(content="u" * draw(st.integers(0, 200))))
        calls = [ToolCall(id=f"{turn}-{n}", name="t", arguments={}) for n in range(draw(st.integers(0, 3)))]
        messages.append(AssistantMessage(content="a" * draw(st.integers(0, 200)), tool_calls=calls or None))
        messages += [ToolMessage(tool_call_id=each.id, content="r" * draw(st.integers(0, 400))) for each in calls]
    return messages


@given(histories(), st.integers(0, 1500))
def test_a_cut_loses_nothing_and_parts_no_call_from_its_results(messages: list[Message], keep: int) -> None:
    head, old, rest = cut_for(messages, keep)
    assert [*head, *old, *rest] == messages
    check_pairs(old)
    check_pairs(rest)
    if old:
        assert estimated_characters(rest[1:]) <= keep or not any(not isinstance(m, ToolMessage) for m in rest[1:])


def test_a_history_told_names_media_and_leaves_out_the_middle() -> None:
    text = told([UserMessage(content=[ImageContentPart(media_type="image/png", data="A" * 9000)]), *HISTORY], 1000)
    assert "[image/png]" in text
    assert "AAAA" not in text
    assert "characters left out" in text
    assert len(text) < 1100
