"""`compare`: runs side by side."""

from __future__ import annotations

import asyncio
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.notebook import Comparison, compare, start
from llm_gateway_nb.notebook.compare_steps import Step, align
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import tool


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


OPTIONS: dict[str, Any] = {"tools": [add], "permissions": {"allowlist": ["add"]}, "progress": False}


def agent(*turns: Any) -> Any:
    return create_agent_harness(ScriptedLLM(list(turns)))


async def test_steps_that_are_the_same_share_a_row_and_others_stand_beside_each_other() -> None:
    small = agent(call("add", a=1, b=2), "It is three.")
    large = agent(call("add", a=1, b=2), call("add", a=3, b=4), "It is seven.")
    comparison = await compare({"small": small, "large": large}, prompt="1 + 2?", **OPTIONS)
    assert repr(comparison) == (
        "1 + 2?\n  = add(a=1, b=2) → 3\n  large: add(a=3, b=4) → 7\n  small: It is three.\n  large: It is seven."
    )


async def test_words_that_differ_are_marked_and_figures_stand_below() -> None:
    comparison = await compare(agent("It is three."), agent("It is seven."), prompt="?", labels=["a", "b"], **OPTIONS)
    html = comparison.to_html()
    assert ">three</del>" in html
    assert ">seven</ins>" in html
    assert "<time>0." in html
    for word in ("tokens", "time", "cost", "unknown", "ended", "The whole run"):
        assert word in html
    assert "<script" not in html
    assert comparison._repr_mimebundle_()["text/plain"] == repr(comparison)


async def test_what_a_model_writes_is_text() -> None:
    evil = "<img src=x onerror=alert(1)>"
    comparison = await compare(agent(evil), agent(f"{evil} and more"), prompt=evil, labels=[evil, "b"], **OPTIONS)
    assert "<img" not in comparison.to_html()
    assert "onerror" in comparison.to_html()


async def test_runs_that_are_over_are_compared_as_they_are() -> None:
    first = await start(agent("one"), "go", panel=False, title="first")
    second = start(agent("two"), "go", panel=False, title="second")
    comparison = await compare(first, second)
    assert comparison.labels == ["first", "second"]
    assert repr(comparison) == "go\n  first: one\n  second: two"


async def test_a_data_set_is_run_over_all_with_scores_and_goes_into_a_table() -> None:
    def right(result: Any, item: Any) -> bool:
        return item["expected"] in result.text

    data = [{"prompt": "1 + 2?", "expected": "3"}, {"prompt": "3 + 4?", "expected": "7"}]
    echo, wrong = agent("3", "7"), agent("4", "8")
    comparison = await compare({"right": echo, "wrong": wrong}, prompts=data, check=right, limit=1, progress=False)
    assert [case.scores for case in comparison.cases] == [[1.0, 0.0], [1.0, 0.0]]
    assert "1.00 of 2" in comparison.to_html()
    table = pandas.DataFrame(comparison.records())
    assert table.groupby("label")["score"].mean().to_dict() == {"right": 1.0, "wrong": 0.0}
    assert list(table["text"]) == ["3", "4", "7", "8"]


async def test_no_more_than_the_limit_run_at_once_and_one_that_fails_stands_in_the_table() -> None:
    now = most = 0

    @tool
    async def work() -> str:
        """Work."""
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0)
        now -= 1
        return "done"

    harnesses = [agent(*[call("work"), "ok"] * 4), agent(RuntimeError("down"), *[call("work"), "ok"] * 3)]
    comparison = await compare(
        *harnesses,
        prompts=["a", "b", "c", "d"],
        limit=1,
        tools=[work],
        permissions={"allowlist": ["work"]},
        progress=False,
    )
    assert most == 1
    assert [case.results[1].reason for case in comparison.cases] == ["error", "final", "final", "final"]
    assert "error" in repr(comparison)


async def test_what_no_rule_allows_is_denied_because_nobody_sees_a_panel() -> None:
    comparison = await compare(
        agent(call("add", a=1, b=2), "no"), agent("no"), prompt="go", tools=[add], progress=False
    )
    assert "[denied]" in repr(comparison)


async def test_what_makes_no_comparison_is_said() -> None:
    with pytest.raises(ConfigurationError, match="two or more"):
        await compare(agent("x"), prompt="go")
    with pytest.raises(ConfigurationError, match="give it `prompt="):
        await compare(agent("x"), agent("y"))
    with pytest.raises(ConfigurationError, match="2 runs and 1 labels"):
        await compare(agent("x"), agent("y"), prompt="go", labels=["a"])
    with pytest.raises(ConfigurationError, match="a data set holds texts"):
        await compare(agent("x"), agent("y"), prompts=[3])
    done = await start(agent("x"), "go", panel=False)
    with pytest.raises(ConfigurationError, match="not some of each"):
        await compare(done, agent("y"), prompt="go")


def test_it_is_a_name_of_the_first_line_of_a_notebook() -> None:
    import llm_gateway_nb

    assert llm_gateway_nb.compare is compare
    assert Comparison.__name__ == "Comparison"


steps = st.lists(
    st.builds(Step, st.sampled_from(["text", "tool"]), st.sampled_from("abc"), st.sampled_from("xy")), max_size=8
)


@given(st.lists(steps, min_size=1, max_size=4))
def test_aligning_loses_no_step_and_keeps_the_order_of_each_run(runs: list[list[Step]]) -> None:
    rows = align(runs)
    assert all(len(row) == len(runs) and any(row) for row in rows)
    for at, run in enumerate(runs):
        assert [row[at] for row in rows if row[at] is not None] == run


@given(steps)
def test_a_run_beside_itself_is_the_same_in_every_row(run: list[Step]) -> None:
    assert all(row[0] == row[1] for row in align([run, run]))
