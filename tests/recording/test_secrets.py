"""Keys and tokens never reach a recording."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.recording.lines import LineWriter
from llm_gateway_nb.recording.secrets import MARK, Secrets
from llm_gateway_nb.types import TextEvent, dump_event

KEYS = [
    "sk-ant-api03-Zk3d8fJ2mQ9xL1pR7tV5",
    "sk-proj-1234567890abcdefghij",
    "ghp_0123456789abcdefghij0123456789abcdef",
    "github_pat_11ABCDEFG0123456789_abcdef",
    "xoxb-123456789012-abcdefghijkl",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "hf_abcdefghijklmnopqrstuvwxyz0123",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
]


@pytest.mark.parametrize("key", KEYS)
def test_what_has_the_shape_of_a_services_key_is_taken_out_of_any_text(key: str) -> None:
    assert Secrets(environment={}).redact(f"use {key}, please") == f"use {MARK}, please"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("curl -H 'Authorization: Bearer abcdef0123456789abcdef'", "curl -H 'Authorization: Bearer [redacted]'"),
        ("postgres://ann:hunter2@db.example/x", "postgres://[redacted]@db.example/x"),
        ("export OPENAI_API_KEY=abc123def456", "export OPENAI_API_KEY=[redacted]"),
        ('client = Client(api_key="0123456789")', 'client = Client(api_key="[redacted]")'),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nafter", "[redacted]\nafter"),
    ],
)
def test_what_stands_where_a_secret_stands_is_taken_out(text: str, redacted: str) -> None:
    assert Secrets(environment={}).redact(text) == redacted


@pytest.mark.parametrize("piece", ["a-", "sk-", "eyJabcdefghij-", "A_", "token ", "-----BEGIN "])
def test_a_megabyte_in_which_a_key_might_begin_anywhere_is_read_through_once(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert Secrets(environment={}).redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=4096",
        "token = get_token()",
        "sk-learn is a nickname",
        "key: value",
        "the secret is out",
        "a.b/c@d",
        "api_reference_guide",
    ],
)
def test_what_only_sounds_like_a_secret_stays(text: str) -> None:
    assert Secrets(environment={}).redact(text) == text


def test_values_of_the_environment_and_of_the_models_key_are_taken_out_by_themselves() -> None:
    secrets = Secrets(environment={"MY_SERVICE_TOKEN": "correct horse battery", "HOME": "/home/ann", "A_KEY": "short"})
    secrets.add("a-key-of-no-known-shape", None)
    assert secrets.redact("say correct horse battery in /home/ann") == f"say {MARK} in /home/ann"
    assert secrets.redact("use a-key-of-no-known-shape") == f"use {MARK}"
    assert secrets.redact("short") == "short"


def test_a_text_under_the_name_of_a_secret_goes_as_a_whole() -> None:
    given = {
        "api_key": "whatever it is",
        "max_tokens": 5,
        "tokens": "ten thousand",
        "nested": [{"password": "hunter2hunter2"}],
    }
    redacted = {"api_key": MARK, "max_tokens": 5, "tokens": "ten thousand", "nested": [{"password": MARK}]}
    assert Secrets(environment={}).redact(given) == redacted


def _written(path: Path, deltas: list[str], secrets: Secrets) -> list[str]:
    writer = LineWriter(path, secrets)
    writer.open()
    for delta in deltas:
        writer.put({"t": 0, "event": dump_event(TextEvent(run_id="r", id="t", content=delta, timestamp=None))})
    writer.close()
    lines = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    return [line["+"] if "+" in line else line["event"]["content"] for line in lines]


@given(
    key=st.sampled_from(
        [*KEYS, "correct horse battery", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----"]
    ),
    before=st.sampled_from(["", "Use ", "It is: ", "a\n", "日本"]),
    after=st.sampled_from(["", " now.", "\nand more", ", and"]),
    cuts=st.lists(st.integers(0, 120), max_size=12),
)
def test_a_key_that_comes_in_pieces_is_taken_out_however_it_was_cut(
    tmp_path_factory: pytest.TempPathFactory, key: str, before: str, after: str, cuts: list[int]
) -> None:
    text = before + key + after
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    deltas = [text[a:b] for a, b in pairwise(places)]
    secrets = Secrets(environment={"PASS": "correct horse battery"})
    written = _written(tmp_path_factory.getbasetemp() / "pieces.jsonl", deltas, secrets)
    assert "".join(written) == before + MARK + after
    assert len(written) == len(deltas)


@given(st.lists(st.text(max_size=12), max_size=30))
def test_all_other_text_comes_out_as_it_went_in_delta_by_delta(
    tmp_path_factory: pytest.TempPathFactory, deltas: list[str]
) -> None:
    deltas = [delta.encode(errors="replace").decode() for delta in deltas]
    written = _written(tmp_path_factory.getbasetemp() / "plain.jsonl", deltas, Secrets(environment={}))
    assert written == deltas


def test_a_word_waits_for_its_end_and_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writer = LineWriter(path, Secrets(environment={}))
    writer.open()
    for delta in ("Hello ", "wor", "ld ", "and"):
        writer.put({"t": 0, "event": dump_event(TextEvent(run_id="r", id="t", content=delta, timestamp=None))})
    assert len(path.read_text().splitlines()) == 3, "all but the word that is being said"
    writer.close()
    assert len(path.read_text().splitlines()) == 4
