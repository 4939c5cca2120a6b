"""The saved picture of a run: nothing that runs, the same every time, readable where styles are taken away."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.attacks import ATTACKS, attack_events

from llm_gateway_nb.graph.fold import fold, fold_answer
from llm_gateway_nb.graph.tree import RunTree
from llm_gateway_nb.notebook.static_html import static_html
from llm_gateway_nb.testing.strategies import event_streams
from llm_gateway_nb.types import (
    ErrorEvent,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    ReasoningEvent,
    RelayEvent,
    RelayResponse,
    ReplInputEvent,
    ReplOutputEvent,
    TextEvent,
    ToolCallEvent,
    ToolProgressEvent,
    ToolResultEvent,
    UnknownEvent,
    UsageEvent,
    UserEvent,
)

TAGS = {
    *(
        "a",
        "blockquote",
        "br",
        "caption",
        "code",
        "details",
        "div",
        "em",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "img",
        "li",
        "ol",
    ),
    *("p", "pre", "s", "span", "strong", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
STYLES = {
    *("align-items", "background-color", "border", "border-bottom", "border-collapse", "border-left", "border-radius"),
    *("border-top", "color", "cursor", "display", "flex", "flex-wrap", "font-family", "font-size", "font-style"),
    *("font-weight", "gap"),
    *("line-height", "list-style-type", "margin", "margin-left", "max-height", "max-width", "min-height", "min-width"),
    *(
        "opacity",
        "overflow",
        "padding",
        "padding-left",
        "padding-top",
        "text-align",
        "text-decoration",
        "text-overflow",
    ),
    *("vertical-align", "white-space", "width", "word-break", "word-wrap"),
}
"""What JupyterLab's sanitiser lets through and this module has a use for."""

ATTRIBUTES = {
    "a": {"href", "title", "rel"},
    "img": {"alt", "src"},
    "ol": {"start"},
    "td": {"colspan"},
    "th": {"colspan"},
}


class Checker(HTMLParser):
    """Complains of a tag, attribute or style that is not on the list, and of tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attrs:
            assert name in {"style", "open", "data-lgnb"} | ATTRIBUTES.get(tag, set())
            if name == "style":
                assert {rule.split(":")[0] for rule in str(value).split(";") if rule} <= STYLES
            if name == "href":
                assert re.match(r"https?://|mailto:", str(value), re.I)
            if name == "src":
                assert re.fullmatch(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*", str(value))
        if tag not in {"br", "hr", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def check(html: str) -> str:
    """The text of sound HTML."""
    html.encode()
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    return "".join(checker.words)


def everything(text: str) -> RunTree:
    """A run with `text` wherever a model, a tool or a person can put one."""
    tree = fold(
        [
            UserEvent(run_id="u", content=text),
            HarnessStartEvent(run_id="r", model=text, max_iterations=3),
            ReasoningEvent(run_id="r", id="a", content=text),
            TextEvent(run_id="r", id="b", content=text),
            ToolCallEvent(run_id="r", id="c", name=text, input={text: text, "other": [text], "more": f"{text}\n"}),
            ToolProgressEvent(run_id="r", tool_call_id="d", name=text, content=text),
            ErrorEvent(run_id="r", tool_call_id="c", error=ValueError(text)),
            ToolResultEvent(run_id="r", id="c", name=text, output={text: text}, status="error"),
            RelayEvent(
                run_id="r", id="q", tool_call_id="e", tool=text, params={text: text}, rule={"tool": text}, why=text
            ),
            RelayEvent(
                run_id="r",
                id="q2",
                tool_call_id="e2",
                tool=text,
                params={},
                rule={"tool": text, "params": {text: text}},
            ),
            ReplInputEvent(run_id="r", id="i", code=text),
            ReplOutputEvent(
                run_id="r",
                id="i",
                stdout=text,
                error=text,
                done=True,
                mime=[{"data": {"text/html": text, "text/plain": text, "image/png": f"{text}="}}],
            ),
            UnknownEvent(run_id="r", type=f"odd {text}", more=text),
            HarnessStartEvent(run_id=f"s{text}", parent_id="c", model=text),
            HarnessEndEvent(run_id="r", reason="error"),
        ]
    )
    fold_answer(tree, "q", RelayResponse(approved=True, always=True, reason=text), by=text)
    return tree


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_of_a_run_becomes_markup(attack: str) -> None:
    check(static_html(everything(attack), title=attack, details=True))
    check(static_html(fold(attack_events(0, attack)), title=attack))


@settings(max_examples=150, deadline=None)
@given(event_streams())
def test_any_stream_has_a_picture_and_always_the_same(events: list[HarnessEvent]) -> None:
    html = static_html(fold(events), title="x")
    check(html)
    assert static_html(fold(events), title="x") == html
    check(static_html(fold(events), details=True))


@given(st.text(st.characters(codec=None)))
def test_any_text_has_a_picture(text: str) -> None:
    check(static_html(everything(text), title=text, details=True))


def test_invisible_and_turning_characters_can_be_seen() -> None:
    words = check(static_html(fold([TextEvent(run_id="r", id="t", content="a\u202eb\x1bc\u200bd\x00")])))
    assert "a⟨U+202E⟩b␛c\u200bd␀" in words  # a space without width is what some scripts need


def test_ids_times_tokens_stay_out_unless_asked_for() -> None:
    def run(number: int) -> RunTree:
        run_id, at = f"run-{number}", 1000.0 * number
        return fold(
            [
                HarnessStartEvent(run_id=run_id, model="m", timestamp=at),
                UsageEvent(run_id=run_id, input_tokens=777 + number, output_tokens=888 + number, timestamp=at),
                ToolCallEvent(run_id=run_id, id=f"{run_id}/c", name="bash", input={"command": "ls"}, timestamp=at),
                ToolResultEvent(run_id=run_id, id=f"{run_id}/c", name="bash", output="a", timestamp=at + number),
                HarnessEndEvent(run_id=run_id, reason="final", iterations=1, timestamp=at + 2 * number),
            ]
        )

    assert static_html(run(1)) == static_html(run(2))
    words = check(static_html(run(3), details=True))
    assert "Times, tokens and cost" in words
    assert "780" in words
    assert "3.00 s" in words


def test_it_reads_well_without_styles() -> None:
    tree = fold(
        [
            UserEvent(run_id="u", content="How many?"),
            HarnessStartEvent(run_id="r", model="scripted", max_iterations=4),
            ReasoningEvent(run_id="r", id="a", content="Count."),
            TextEvent(run_id="r", id="b", content="# Plan\n- **count** `notes.txt`\n\n```sh\nwc\n```\nso"),
            ToolCallEvent(run_id="r", id="c", name="bash", input={"command": "wc -l notes.txt"}),
            ToolResultEvent(run_id="r", id="c", name="bash", output="3 notes.txt", status="ok"),
            ToolResultEvent(run_id="r", id="d", name="read", output="no such file", status="error"),
            HarnessEndEvent(run_id="r", reason="final", iterations=2),
        ]
    )
    html = static_html(tree, title="Count")
    bare = re.sub(r' (?:style|data-lgnb)="[^"]*"', "", html)
    assert "<strong>✓ done</strong><span> · </span><strong>Count</strong>" in bare
    assert "<div>You<span>:</span></div><p>How many?</p>" in bare
    assert "<details><summary><span>Thought</span></summary>" in bare
    assert "<h3>Plan</h3>" in bare
    assert "<li><strong>count</strong> <code>notes.txt</code></li>" in bare
    assert "<pre>wc</pre><p>so</p>" in bare
    assert "<strong><code>bash</code></strong> <code>wc -l notes.txt</code> <span>done</span>" in bare
    assert "<pre>3 notes.txt</pre>" in bare
    assert "<strong><code>read</code></strong> <span>failed</span>" in bare
    assert "2 of 4 iterations" in bare


def test_a_long_output_is_folded_and_whole() -> None:
    lines = "\n".join(f"line {number}" for number in range(200))
    html = static_html(fold([ToolResultEvent(run_id="r", id="c", name="bash", output=lines, status="ok")]))
    assert "<summary" in html
    assert "all 200 lines" in html
    assert lines in html


def test_a_failed_subagent_does_not_read_as_an_empty_success() -> None:
    words = check(
        static_html(
            fold(
                [
                    HarnessStartEvent(run_id="r"),
                    ToolCallEvent(run_id="r", id="c", name="agent", input={"task": "x"}),
                    HarnessStartEvent(run_id="s", parent_id="c"),
                    HarnessEndEvent(run_id="s", reason="error"),
                    ToolResultEvent(run_id="r", id="c", name="agent", output=None, status="error"),
                ]
            )
        )
    )
    assert words.count("failed") == 2


def test_colours_do_not_assume_a_theme() -> None:
    html = static_html(everything("x"))
    assert not re.search(r"(?:white|black|#fff\b|#000\b|#ffffff|#000000)[;\"]", html)
    assert not re.search(r"background(?:-color)?:(?!rgba\(|transparent)", html)


def test_an_empty_tree_is_an_empty_box() -> None:
    assert check(static_html(RunTree())) == ""


def test_nothing_of_the_values_can_make_it_fail() -> None:
    cycle: dict[Any, Any] = {}
    cycle["self"] = cycle
    odd = {"cycle": cycle, 3: object(), "set": {1}, "bytes": b"\xff", "nan": float("nan")}
    words = check(static_html(fold([ToolCallEvent(run_id="r", id="c", name="n", input=odd)])))
    assert "0x" not in words
