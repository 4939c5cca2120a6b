"""A panel over a recording, with a slider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from llm_gateway_nb import run
from llm_gateway_nb.graph import RunTree, fold, fold_event
from llm_gateway_nb.notebook.panel import RunPanel
from llm_gateway_nb.notebook.timeline import Timeline
from llm_gateway_nb.notebook.transcript import transcript
from llm_gateway_nb.recording import Recording
from llm_gateway_nb.testing import ScriptedLLM


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    await run(ScriptedLLM(["one two three"]), "Count.", record=tmp_path / "run.jsonl", title="Counting")
    return tmp_path / "run.jsonl"


def seek(timeline: Timeline, at: Any) -> None:
    content = {"data": {"method": "custom", "content": {"k": "seek", "at": at}}}
    timeline._handle_msg({"content": content, "buffers": []})


async def test_the_panel_shows_what_there_was_at_any_moment_forwards_and_back(path: Path) -> None:
    recording = Recording.read(path)
    events = [event for _, event in recording.events]
    timeline = Timeline(recording.events)
    sent: list[dict[str, Any]] = []
    timeline.panel.send = sent.append  # type: ignore[method-assign]
    assert transcript(timeline.panel.tree) == transcript(fold(events))
    for at in (2, 3, 5, 4, 0, len(events), 10_000, -3):
        seek(timeline, at)
        shown = max(0, min(at, len(events)))
        assert transcript(timeline.panel.tree) == transcript(fold(events[:shown]))
        assert timeline.at == shown
        assert bool(sent[-1].get("over")) == (shown == len(events))
    assert [message["seq"] for message in sent] == sorted(message["seq"] for message in sent)
    seek(timeline, "all")
    assert timeline.at == 0


async def test_while_a_recording_plays_nobody_goes_elsewhere_in_it(path: Path) -> None:
    recording = Recording.read(path)
    tree = RunTree()
    timeline = Timeline(recording.events, panel=RunPanel(tree))
    seek(timeline, 2)
    assert timeline.at == len(recording.events)
    for _, event in recording.events:
        fold_event(tree, event)
    timeline.played()
    seek(timeline, 2)
    assert timeline.at == 2
    assert len(timeline.times) == len(recording.events)


@pytest.mark.kernel
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
def test_without_a_page_the_whole_run_stands_there(path: Path) -> None:
    source = f"from llm_gateway_nb.harnesses import replay\nreplay({str(path)!r})"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, timeout=60).execute()
    (output,) = notebook.cells[0].outputs
    assert "Assistant: one two three" in output.data["text/plain"]
    assert "one two three" in output.data["text/html"]
