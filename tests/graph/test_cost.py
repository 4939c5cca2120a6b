"""What a run costs: known prices are summed up the tree, and one unknown price makes the sum unknown."""

from __future__ import annotations

import pytest

from llm_gateway_nb.graph import RunTree, fold, fold_event
from llm_gateway_nb.providers.prices import cost_of
from llm_gateway_nb.types import HarnessStartEvent, ToolCallEvent, UsageEvent


def usage(
    run_id: str = "m", parent: str | None = "r", provider: str = "openai", model: str = "gpt-4o-mini"
) -> UsageEvent:
    return UsageEvent(
        run_id=run_id, parent_id=parent, input_tokens=1_000_000, output_tokens=0, provider=provider, model=model
    )


def test_a_call_costs_what_the_list_says() -> None:
    assert cost_of(usage()) == pytest.approx(0.15, rel=0.9), "dollars for a million tokens, whatever it is this year"


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "no-such-model"), ("no-such-service", "gpt-4o"), ("ollama", "gpt-4o"), ("scripted", "x")],
)
def test_what_has_no_known_price_costs_none_and_never_a_guess(provider: str, model: str) -> None:
    assert cost_of(usage(provider=provider, model=model)) is None


def test_who_does_not_say_whose_model_it_was_has_no_price() -> None:
    assert cost_of(UsageEvent(run_id="r", input_tokens=1, output_tokens=1)) is None


def nested() -> RunTree:
    return fold(
        [
            HarnessStartEvent(run_id="r"),
            usage(),
            ToolCallEvent(run_id="r", id="r/c", name="agent"),
            HarnessStartEvent(run_id="child", parent_id="r/c"),
            usage("m2", "child"),
        ]
    )


def test_costs_are_summed_up_the_tree() -> None:
    tree = nested()
    one = cost_of(usage())
    assert one is not None
    costs = {node.id: node.props.get("cost") for node in tree.nodes if node.kind in {"run", "turn"}}
    assert costs == {"r": 2 * one, "m": one, "child": one, "m2": one}


def test_with_one_unknown_price_the_sum_is_unknown_and_stays_so() -> None:
    tree = nested()
    tree.take_changes()
    fold_event(tree, usage("m3", "child", model="no-such-model"))
    fold_event(tree, usage("m4", "child"))
    costs = {node.id: node.props.get("cost") for node in tree.nodes if node.kind in {"run", "turn"}}
    assert costs["r"] is costs["child"] is costs["m3"] is None
    assert costs["m"] == costs["m4"] == cost_of(usage())
    root = tree.find("r")
    assert {"cost": None} in [getattr(change, "props", None) for change in tree.changes if change.node is root]
