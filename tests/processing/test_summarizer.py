"""Summaries: what is read, how long texts are cut and put together, and what the model is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pypdf
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support import openai_server as wire
from support.documents import write_pdf

from llm_gateway_nb import Summarizer, create_llm
from llm_gateway_nb.errors import ConfigurationError, ProviderAPIError
from llm_gateway_nb.processing import SummaryLength, SummaryStyle
from llm_gateway_nb.processing.chunks import split_text
from llm_gateway_nb.testing import ScriptedLLM

ANSWER = json.dumps({"summary": "All is well.", "key_points": ["well"], "confidence": 0.9})


def asked(llm: ScriptedLLM) -> list[str]:
    return [str(request.messages[-1].content) for request in llm.requests]


# -- one call ------------------------------------------------------------------------------------------------------------


async def test_a_short_text_takes_one_call() -> None:
    llm = ScriptedLLM([ANSWER])
    summary = await Summarizer(llm).asummarize("A long story.", style="executive", length="brief", focus="the money")
    assert (summary.summary, summary.key_points, summary.confidence, summary.chunks) == (
        "All is well.",
        ["well"],
        0.9,
        1,
    )
    assert (summary.word_count_original, summary.word_count_summary, str(summary)) == (3, 3, "All is well.")
    (question,) = asked(llm)
    for word in ("A long story.", "two or three sentences", "one who has to decide", "the money"):
        assert word in question


@pytest.mark.parametrize("style", list(SummaryStyle))
@pytest.mark.parametrize("length", list(SummaryLength))
async def test_every_style_and_length_by_its_name_or_its_member(style: SummaryStyle, length: SummaryLength) -> None:
    llm = ScriptedLLM([ANSWER, ANSWER])
    await Summarizer(llm).asummarize("text", style=style, length=length)
    await Summarizer(llm).asummarize("text", style=str(style).upper(), length=str(length))
    one, other = asked(llm)
    assert one == other


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"style": "executve"}, "Did you mean 'executive'"),
        ({"length": "huge"}, "Known are brief, standard"),
        ({"style": None}, "no style None"),
    ],
)
async def test_a_style_or_length_that_is_none_is_told_before_anything_is_sent(options: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        await Summarizer(ScriptedLLM([])).asummarize("text", **options)


async def test_the_synchronous_form_works_in_a_running_loop_too() -> None:
    assert Summarizer(ScriptedLLM([ANSWER])).summarize(input_source="text", style="narrative").summary == "All is well."


async def test_a_confidence_in_percent_is_meant_as_one() -> None:
    llm = ScriptedLLM([ANSWER.replace("0.9", "85")])
    assert (await Summarizer(llm).asummarize("text")).confidence == 0.85


async def test_an_answer_that_is_no_summary_is_asked_for_once_more_then_it_is_an_error() -> None:
    assert (await Summarizer(ScriptedLLM(["Well...", ANSWER])).asummarize("text")).summary == "All is well."
    with pytest.raises(ProviderAPIError, match="asked twice"):
        await Summarizer(ScriptedLLM(["Well...", "Hm."])).asummarize("text")


# -- files ---------------------------------------------------------------------------------------------------------------


def write_html(path: Path) -> Path:
    path.write_text(
        "<html><head><title>Tea &amp; more</title><style>p {}</style></head>"
        "<body><script>alert('steal')</script><p>Tea is <b>hot</b>.</p></body></html>"
    )
    return path


def write_text(path: Path) -> Path:
    path.write_bytes("\ufeffTea is hot.".encode())
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.txt", write_text),
        ("a.md", write_text),
        ("A b.HTML", write_html),
        ("a.pdf", lambda path: write_pdf(path, "Tea is", "hot.")),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
async def test_a_path_is_read_and_not_summarized(
    name: str, write: Callable[[Path], Path], kind: Any, tmp_path: Path
) -> None:
    llm = ScriptedLLM([ANSWER])
    await Summarizer(llm).asummarize(kind(write(tmp_path / name)))
    (question,) = asked(llm)
    assert " ".join(question.split()).replace("hot .", "hot.").count("Tea is hot.") == 1
    assert name not in question
    assert "steal" not in question
    assert "\ufeff" not in question


def test_a_text_that_speaks_of_files_is_a_text(tmp_path: Path) -> None:
    llm = ScriptedLLM([ANSWER] * 2)
    Summarizer(llm).summarize("I have read report.pdf, and it is long.")
    Summarizer(llm).summarize("These are my files:\nreport.pdf")
    assert all("report.pdf" in question for question in asked(llm))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("report1.pdf", "There is no file 'report1.pdf'"),
        ("", "the text is empty"),
        ("  \n", "the text is empty"),
        (Path("picture.bmp"), "known are .txt"),
        (b"bytes", "not a bytes"),
        ("folder.md", "is a folder"),
        ("latin.txt", "no text in UTF-8"),
        ("broken.pdf", "no PDF that can be read"),
        ("empty.txt", "holds no text"),
        ("scan.pdf", "only pictures"),
        ("locked.pdf", "is encrypted"),
    ],
)
async def test_a_source_that_can_not_be_read_is_one_sentence(
    source: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    (tmp_path / "empty.txt").write_bytes(b"")
    write_pdf(tmp_path / "scan.pdf", "")
    locked = pypdf.PdfWriter(write_pdf(tmp_path / "open.pdf", "secret"))
    locked.encrypt("password", algorithm="RC4-128")
    locked.write(tmp_path / "locked.pdf")
    with pytest.raises(ConfigurationError, match=told):
        await Summarizer(ScriptedLLM([])).asummarize(source)


# -- long texts ----------------------------------------------------------------------------------------------------------


@given(st.text(), st.integers(1, 50))
def test_pieces_are_short_enough_and_hold_every_word_in_order(text: str, size: int) -> None:
    pieces = split_text(text, size)
    assert all(piece.strip() and len(piece) <= size for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_text_is_cut_where_a_reader_would_pause() -> None:
    assert split_text("One two three four.\n\nFive six. Seven eight.", 30) == [
        "One two three four.",
        "Five six. Seven eight.",
    ]
    assert split_text("One two. Three four.", 12) == ["One two.", "Three four."]


class Service:
    """Answers each kind of question of the summarizer, and counts."""

    def __init__(self, *, hold: bool = False, note: str = "a note") -> None:
        self.inside = self.most = 0
        self.note = note
        self.hold = asyncio.Event()
        self.full = asyncio.Event()
        self.width = 0
        if not hold:
            self.hold.set()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        question = (await request.json())["messages"][-1]["content"]
        self.inside += 1
        self.most = max(self.most, self.inside)
        if self.inside == self.width:
            self.full.set()
        try:
            await self.hold.wait()
            return await wire.text(self.note if "This is part" in question else ANSWER)(request)
        finally:
            self.inside -= 1

    @asynccontextmanager
    async def summarizer(self, **options: Any) -> AsyncIterator[tuple[Summarizer, wire.LoopbackServer]]:
        async with wire.serve(self) as server:
            async with create_llm("openai-compatible", "m", base_url=server.base_url, max_retries=0) as llm:
                yield Summarizer(llm, **options), server


LONG = "\n\n".join(f"Paragraph {number}: " + "word " * 30 for number in range(20))


async def test_a_long_text_is_read_in_pieces_at_once_and_put_together() -> None:
    service = Service(hold=True)
    service.width = 4
    async with service.summarizer(max_chunk_size=400, max_concurrency=4) as (summarizer, server):
        task = asyncio.create_task(summarizer.asummarize(LONG))
        await asyncio.wait_for(service.full.wait(), 30)
        service.hold.set()
        summary = await task
        questions = [request["messages"][-1]["content"] for request in server.requests]
    assert summary.summary == "All is well."
    assert service.most == 4
    parts = [question for question in questions if "This is part" in question]
    assert summary.chunks == 10
    assert sum("Paragraph" in part for part in parts) == 10
    assert "a note\n\na note" in questions[-1]


async def test_a_model_that_writes_more_than_it_was_asked_for_still_comes_to_an_end() -> None:
    service = Service(note="so " * 5000)
    async with service.summarizer(max_chunk_size=400) as (summarizer, server):
        summary = await asyncio.wait_for(summarizer.asummarize(LONG), 30)
        sent = [len(request["messages"][-1]["content"]) for request in server.requests]
    assert summary.summary == "All is well."
    assert max(sent) < 400 + 300, "what is asked with a text is not more than that"


async def test_several_documents_at_once_do_not_wait_for_one_another(tmp_path: Path) -> None:
    service = Service(hold=True)
    service.width = 3
    paths = [write_pdf(tmp_path / f"report{number}.pdf", f"Report {number}") for number in (1, 2, 3)]
    async with service.summarizer() as (summarizer, _):
        all_of_them = asyncio.gather(
            *(summarizer.asummarize(path, style="executive", length="brief") for path in paths)
        )
        await asyncio.wait_for(service.full.wait(), 30)
        service.hold.set()
        assert [one.summary for one in await all_of_them] == ["All is well."] * 3


async def test_a_cancel_ends_every_piece() -> None:
    service = Service(hold=True)
    service.width = 4
    async with service.summarizer(max_chunk_size=400, max_concurrency=4) as (summarizer, _):
        task = asyncio.create_task(summarizer.asummarize(LONG))
        await asyncio.wait_for(service.full.wait(), 30)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        while service.inside:
            await asyncio.sleep(0.01)


async def test_a_piece_that_fails_is_the_failure_of_the_summary() -> None:
    async with wire.serve(wire.text("a note"), wire.status(500, "down")) as server:
        async with create_llm("openai-compatible", "m", base_url=server.base_url, max_retries=0) as llm:
            with pytest.raises(ProviderAPIError, match="down"):
                await Summarizer(llm, max_chunk_size=400).asummarize(LONG)


@pytest.mark.parametrize("options", [{"max_chunk_size": 10}, {"max_concurrency": 0}])
def test_sizes_that_are_none_are_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number"):
        Summarizer(ScriptedLLM([]), **options)


def test_only_a_model_can_summarize() -> None:
    with pytest.raises(ConfigurationError, match="create_llm"):
        Summarizer("gpt")  # type: ignore[arg-type]  # what is refused
