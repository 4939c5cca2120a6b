"""Whether a request reads as it was recorded, where parts of that are redacted."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.recording.compare import reads_the_same
from llm_gateway_nb.recording.secrets import MARK

words = st.text("a,b \n", max_size=8)


@given(words, st.lists(st.sampled_from([MARK, "a", ",", " ", "b", "\n"]), max_size=8).map("".join))
def test_what_was_redacted_may_have_been_anything_without_a_blank(live: str, recorded: str) -> None:
    expected = re.fullmatch(r"\S+".join(map(re.escape, recorded.split(MARK))), live) is not None
    assert reads_the_same(live, recorded) is expected


def test_many_marks_in_one_word_are_told_at_once() -> None:
    recorded = ",".join([MARK] * 40)
    assert reads_the_same(",".join(["key"] * 2_000), recorded)
    assert not reads_the_same(",".join(["key"] * 2_000), f"{recorded}!")
