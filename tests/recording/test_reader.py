"""A file that was not written by us."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_gateway_nb.errors import RecordingError
from llm_gateway_nb.recording import Recording

HEADER = '{"recording": 1, "started": 0}\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header"),
        ("[" * 200_000 + "\n", "line 1"),
        (HEADER + "[" * 200_000 + "\n", "line 2"),
        (HEADER + "[]\n", "line 2: not a JSON object"),
        (HEADER + '{"t": 0, "+": "more"}\n', "line 2"),
        (HEADER + '{"t": 0, "request": {"run": "r", "like": [5, 1], "messages": []}}\n', "line 2"),
        (HEADER + '{"t": "soon", "ended": true}\n', "line 2"),
        ('{"recording": 99, "started": 0}\n', "version 99"),
    ],
)
def test_what_is_no_recording_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(text)
    with pytest.raises(RecordingError, match=says):
        Recording.read(path)
