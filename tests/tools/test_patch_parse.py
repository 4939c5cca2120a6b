"""What a patch says, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.permissions.paths import patched_paths
from llm_gateway_nb.tools.patch_parse import (
    AddFile,
    DeleteFile,
    Hunk,
    UpdateFile,
    anchor_paths,
    parse_patch,
    paths_of,
)


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


def hunks(*lines: str) -> tuple[Hunk, ...]:
    [operation] = parse_patch(patch("*** Update File: f", *lines))
    assert isinstance(operation, UpdateFile)
    return operation.hunks


def test_several_files_are_added_updated_moved_and_deleted() -> None:
    operations = parse_patch(
        patch(
            "*** Add File: a b.txt",
            "+one",
            "+",
            "++two",
            "",
            "*** Update File: src/b.py",
            "*** Move to: src/c.py",
            "@@ def f():",
            " x",
            "-y",
            "+z",
            "*** Delete File: d",
        )
    )
    hunk = Hunk(("def f():",), ((" ", "x"), ("-", "y"), ("+", "z")), at_end=False, number=9)
    assert operations == [
        AddFile("a b.txt", ("one", "", "+two")),
        UpdateFile("src/b.py", (hunk,), "src/c.py"),
        DeleteFile("d"),
    ]
    assert hunk.before == ["x", "y"]
    assert paths_of(operations) == ["a b.txt", "src/b.py", "src/c.py", "d"]


def test_a_file_has_several_hunks_with_hints_in_hints() -> None:
    first, second, third = hunks(
        "@@", "-a", "@@ class A:", "@@ def f(self):", "+b", "@@ -3,4 +3,5 @@ def g(): @@", " c"
    )
    assert (first.hints, first.lines) == ((), (("-", "a"),))
    assert (second.hints, second.lines) == (("class A:", "def f(self):"), (("+", "b"),))
    assert third.hints == ("def g():",)


def test_blank_lines_are_context_but_not_at_the_end_of_a_hunk() -> None:
    [hunk] = hunks("", "@@", " a", "", "-b", "", "")
    assert hunk.lines == ((" ", "a"), (" ", ""), ("-", "b"))
    [hunk] = hunks("@@", "-b", "", "*** End of File")
    assert (hunk.lines, hunk.at_end) == ((("-", "b"), (" ", "")), True)


def test_small_slips_are_understood() -> None:
    assert hunks("def f():", "-b")[0].lines == ((" ", "def f():"), ("-", "b"))
    assert hunks("@@", "-b", "\\ No newline at end of file")[0].lines == (("-", "b"),)
    assert parse_patch("\n\n" + patch("*** Add File: f", "+a", "", "+b") + "\n \n") == [AddFile("f", ("a", "", "b"))]
    assert parse_patch(patch("*** Add File: f", "+a\r").replace("\n", "\r\n")) == [AddFile("f", ("a\r",))]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with a line"),
        ("*** Update File: f\n-a\n*** End Patch", "begins with a line '[*]{3} Begin Patch'"),
        ("*** Begin Patch\n*** Delete File: f", "ends with a line '[*]{3} End Patch'"),
        ("*** Begin Patch", "ends with"),
        (patch(), "is empty"),
        (patch("*** Update File: f"), "updates 'f' without a hunk"),
        (patch("*** Update File: f", "@@"), "Line 3 of the patch, '@@': the hunk is empty"),
        (patch("*** Update File: f", "@@", "@@", "-a"), "Line 3 .* the hunk is empty"),
        (patch("*** Update File: f", "@@ hint", "*** Delete File: g"), "Line 3 .* the hunk is empty"),
        (patch("*** Add File: f"), "adds 'f' without a line"),
        (patch("*** Add File: f", "text"), "adds 'f' without a line"),
        (patch("*** Add File: f", "+a", "text"), "Line 4 of the patch, 'text': this is where"),
        (patch("*** Delete File: f", "-a"), "Line 3 .* this is where"),
        (patch("*** Rename File: f"), "Line 2 .* this is where"),
        (patch("*** Move to: f"), "Line 2 .* this is where"),
        (patch("*** Add File:   "), "Line 2 .* this is where"),
        (patch("*** Add File: a\0b", "+x"), "Line 2 .* control character"),
        (patch("*** Update File: f", "@@", "-a", "*** x"), "Line 5 .* this is where"),
        (patch("*** Delete File: f", "*** End Patch", "*** Begin Patch"), "Line 3 .* this is where"),
    ],
)
def test_what_makes_no_sense_is_named(text: str, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        parse_patch(text)


pieces = st.sampled_from(
    ["*** Begin Patch", "*** End Patch", "*** Add File: a", "*** Update File: b/c", "*** Delete File: d", "*** Move to: e",
     "*** End of File", "*** Add File:  two", "*** Update File: x\r", " *** Delete File: y", "\t*** Add File: z", "@@",
     "@@ hint", "+x", "-y", " z", "", "+*** Add File: w", "\x0b*** Add File: v", "*** Add File: u\x0b*** Add File: t",
     "\u00a0*** Delete File: s", "*** Delete File: r\u2028", "***Delete File: q"]
)  # fmt: skip
texts = st.lists(pieces, max_size=12).map(lambda lines: patch(*lines)) | st.text(max_size=200) | st.text().map(patch)


@given(texts)
@example(patch("*** Update File: a", "@@", " *** Delete File: b", "-x"))
def test_permission_rules_never_miss_a_file_that_a_patch_touches(text: str) -> None:
    try:
        paths = paths_of(parse_patch(text))
    except ToolError:
        return
    judged = patched_paths(text)
    assert judged is None or set(paths) <= set(judged)


names = st.text(st.characters(categories=("L", "N", "P", "Zs")), min_size=1, max_size=20).filter(
    lambda n: n == n.strip()
)


@given(st.lists(names, min_size=1, max_size=5))
def test_an_ordinary_patch_is_read_by_the_rules_as_it_is_by_the_tool(paths: list[str]) -> None:
    text = patch(*(line for path in paths for line in (f"*** Update File: {path}", "@@", "-a", "+b")))
    assert patched_paths(text) == paths_of(parse_patch(text)) == paths


@given(texts)
def test_anchoring_changes_the_paths_and_nothing_else(text: str) -> None:
    try:
        operations = parse_patch(text)
    except ToolError:
        return
    anchored = parse_patch(anchor_paths(text, lambda path: f"/root/{path}"))
    assert paths_of(anchored) == [f"/root/{path}" for path in paths_of(operations)]
    assert [type(operation) for operation in anchored] == [type(operation) for operation in operations]
    assert anchor_paths(text, lambda path: path) == text
