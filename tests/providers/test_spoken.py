"""Reasoning, answer and stop texts in what a model says, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.providers.base import Piece, ReasoningDelta, TextDelta
from llm_gateway_nb.providers.spoken import Spoken


class Heard:
    def __init__(self) -> None:
        self.reasoning = self.text = ""
        self.pieces = 0

    def tell(self, piece: Piece) -> None:
        self.pieces += 1
        match piece:
            case ReasoningDelta(text=text):
                self.reasoning += text
            case TextDelta(text=text):
                self.text += text


def heard(parts: list[str], *stop: str, thinking: bool = False) -> Heard:
    turn = Heard()
    spoken = Spoken(turn, stop, thinking=thinking)  # type: ignore[arg-type]  # it only tells
    for part in parts:
        spoken.feed(part)
    spoken.close()
    return turn


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True)]


@pytest.mark.parametrize(
    ("said", "stop", "thinking", "reasoning", "text"),
    [
        ("Hello.", (), False, "", "Hello."),
        ("<think>\nHm, so.\n</think>\n\nHello.", (), False, "Hm, so.\n", "Hello."),
        ("Hm.</think>Hello.", (), True, "Hm.", "Hello."),
        ("<think>never closed", (), False, "never closed", ""),
        ("A <think> in the middle is text", (), False, "", "A <think> in the middle is text"),
        ("<thin ice", (), False, "", "<thin ice"),
        ("one STOP two", ("STOP", "two"), False, "", "one "),
        ("one STO", ("STOP",), False, "", "one STO"),
        ("<think>STOP</think>go STOP", ("STOP",), False, "STOP", "go "),
    ],
)
@given(data=st.data())
def test_the_cuts_make_no_difference(
    said: str, stop: tuple[str, ...], thinking: bool, reasoning: str, text: str, data: st.DataObject
) -> None:
    turn = heard(data.draw(cut(said)), *stop, thinking=thinking)
    assert (turn.reasoning, turn.text) == (reasoning, text)


@given(st.lists(st.text(alphabet="ab<think>/", max_size=6)), st.lists(st.text(alphabet="ab", min_size=1), max_size=2))
def test_nothing_is_lost_but_the_marks_and_what_comes_after_a_stop(parts: list[str], stop: list[str]) -> None:
    turn = heard(parts, *stop)
    said = "".join(parts)
    assert turn.text in said
    assert not any(text in turn.text for text in stop)
    if not said.lstrip().startswith("<think>") and not any(text in said for text in stop):
        assert turn.text == said


def test_what_can_be_told_is_told_at_once() -> None:
    turn = heard(["a", "b", "c"])
    assert turn.pieces == 3
