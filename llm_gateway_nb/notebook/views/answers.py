"""What models answered: a response, a summary."""

from __future__ import annotations

from llm_gateway_nb.notebook.views.bits import Bit, badge, card, fold, note, prose, table
from llm_gateway_nb.notebook.views.messages import call_line
from llm_gateway_nb.processing.summarizer import Summary
from llm_gateway_nb.providers.response import GenerateResponse

__all__ = ["response_card", "summary_card"]


def response_card(response: GenerateResponse) -> Bit:
    """An answer: its reasoning folded, its text, its calls. No times: they differ from run to run."""
    inside: list[Bit] = []
    if response.reasoning:
        inside.append(fold("Thought", prose(response.reasoning)))
    if response.content:
        inside.append(prose(response.content))
    inside.extend(call_line(each) for each in response.tool_calls)
    if response.usage is not None:
        inside.append(note(f"{response.input_tokens} tokens in, {response.output_tokens} out"))
    reason = response.finish_reason
    state = badge(reason, "good" if reason in {"stop", "tool_calls"} else "ask") if reason else None
    return card("Answer", *inside, about=response.model or "", badge=state)


def summary_card(summary: Summary) -> Bit:
    """A text in short, its points, and how far the model trusts itself."""
    points = [table(("", ""), [("•", point) for point in summary.key_points])] if summary.key_points else []
    words = f"{summary.word_count_original} words in {summary.word_count_summary}"
    pieces = "" if summary.chunks == 1 else f", read in {summary.chunks} pieces"
    own = note(f"The model holds it for {summary.confidence:.0%} complete.")
    return card("Summary", prose(summary.summary), *points, own, about=words + pieces)
