"""Where hunks go, and what is left as it was."""

from __future__ import annotations

from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.tools.patch_apply import apply_hunks, find_match
from llm_gateway_nb.tools.patch_diff import file_diff
from llm_gateway_nb.tools.patch_parse import UpdateFile, parse_patch


def apply(text: str, *lines: str) -> str:
    [operation] = parse_patch("\n".join(["*** Begin Patch", "*** Update File: f", *lines, "*** End Patch"]))
    assert isinstance(operation, UpdateFile)
    return apply_hunks(text, operation.hunks)


TWO = "def one():\n    x = 1\n    return x\n\ndef two():\n    x = 1\n    return x\n"


def test_a_match_is_the_line_where_it_begins() -> None:
    assert find_match(["a", "b", "c", "d"], ["b", "c"]) == 1
    assert find_match(["a", "b", "a", "b"], ["a", "b"], 1) == 2
    assert find_match(["a"], ["b"]) == -1
    assert find_match(["a"], ["a", "b"]) == -1
    assert find_match(["a"], []) == 0
    assert find_match(["a  ", "a"], ["a"]) == 1, "as it is goes before white space"
    assert find_match(["x", "  a\t"], ["  a"]) == 1


def test_lines_are_replaced_taken_out_and_put_in() -> None:
    assert apply("a\nb\nc\n", "@@", " a", "-b", "+B", "+B2", " c") == "a\nB\nB2\nc\n"
    assert apply("a\nb\nc\n", "@@", "-b") == "a\nc\n"
    assert apply("a\n", "@@", "-a") == ""
    assert apply("", "@@", "+a") == "a\n"


def test_a_second_hunk_with_the_same_context_goes_to_the_second_place() -> None:
    assert apply("x\n1\nx\n1\nx\n1\n", "@@", " x", "-1", "+2", "@@", " x", "-1", "+3") == "x\n2\nx\n3\nx\n1\n"


def test_a_hunk_goes_to_the_function_that_its_hint_names() -> None:
    changed = apply(TWO, "@@ def two():", "-    x = 1", "+    x = 2")
    assert changed == "def one():\n    x = 1\n    return x\n\ndef two():\n    x = 2\n    return x\n"


def test_hints_in_hints_lead_to_the_right_method() -> None:
    text = "class A:\n  def f():\n    pass\nclass B:\n  def f():\n    pass\n"
    assert apply(text, "@@ class B:", "@@ def f():", "-    pass", "+    go") == text[:-9] + "    go\n"


def test_two_hunks_of_one_function_may_have_the_same_hint() -> None:
    text = "def f():\n    a\n    b\ndef g():\n    b\n"
    changed = apply(text, "@@ def f():", "-    a", "+    A", "@@ def f():", "-    b", "+    B")
    assert changed == "def f():\n    A\n    B\ndef g():\n    b\n"


def test_the_hint_may_be_a_line_of_the_hunk_itself() -> None:
    text = "\nx\n\ny\n\nx\n"
    assert apply(text, "@@ y", " ", "-y", "+Y") == "\nx\n\nY\n\nx\n"


def test_a_hint_below_the_place_is_no_obstacle() -> None:
    assert apply("a\nb\nend\n", "@@ end", "-a", "+A") == "A\nb\nend\n"


def test_a_hint_that_is_not_there_is_no_obstacle_where_only_one_place_fits() -> None:
    assert apply("a\nb\n", "@@ def gone():", "-a", "+A") == "A\nb\n"
    with pytest.raises(ToolError, match=r"context more than once, and no line with its hint 'def gone\(\):'"):
        apply("a\na\n", "@@ def gone():", "-a", "+A")


def test_lines_without_context_go_below_their_hint_or_to_the_end() -> None:
    assert apply("a\nb\nc\n", "@@ b", "+x") == "a\nb\nx\nc\n"
    assert apply("a\nb\n", "@@", "+x") == "a\nb\nx\n"
    assert apply("a\nb", "@@", "+x") == "a\nb\nx"
    assert apply("a\nb\nc\n", "@@ a", "-a", "+A", "@@ a", "+x") == "A\nx\nb\nc\n"
    with pytest.raises(ToolError, match="no line with its hint 'z', and the hunk has no context"):
        apply("a\n", "@@ z", "+x")


def test_the_end_of_the_file_is_the_end() -> None:
    assert apply("a\nb\na\n", "@@", "-a", "+A", "*** End of File") == "a\nb\nA\n"
    with pytest.raises(ToolError, match="does not end with its context"):
        apply("a\nb\n", "@@", "-a", "+A", "*** End of File")


@pytest.mark.parametrize(
    ("text", "lines", "says"),
    [
        ("a\nb\n", ("@@", " a", "-x"), "does not have its context; there is no line 'x'"),
        ("a\nb\nc\n", ("@@", " a", " c", "+x"), "has all lines of its context, but not one below the other"),
        ("a\nb\n", ("@@", "-b", "@@", "-a"), "has its context only at line 1, above the hunk before it"),
        ("", ("@@", "-a"), "line 3 of the patch does not fit: the file does not have its context"),
    ],
)
def test_what_does_not_fit_says_why(text: str, lines: tuple[str, ...], says: str) -> None:
    with pytest.raises(ToolError, match=says):
        apply(text, *lines)


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_missing_last_newline_stays_missing(end: str) -> None:
    assert apply(f"a\nb{end}", "@@", "-b", "+c", "+d") == f"a\nc\nd{end}"
    assert apply(f"a\nb{end}", "@@", " a", "-b") == f"a{end}"
    assert apply(f"a\nb{end}", "@@", "+x", " a") == f"x\na\nb{end}"


def test_line_ends_stay_as_they_are() -> None:
    assert apply("a\r\nb\r\n", "@@", " a", "-b", "+c", "+d") == "a\r\nc\r\nd\r\n"
    assert apply("a\r\nb\r\n", "@@", " a\r", "-b\r", "+c\r") == "a\r\nc\r\n"
    assert apply("a\r\nb\nc\n", "@@", " a", "+x", " b", "+y") == "a\r\nx\r\nb\ny\nc\n"
    assert apply("a\r\nb", "@@", "-b", "+c", "+d") == "a\r\nc\r\nd"


def test_a_byte_order_mark_and_white_space_at_line_ends_stay() -> None:
    assert apply("\ufeffa\nb\n", "@@", "-a", "+A") == "\ufeffA\nb\n"
    assert apply("a  \nb\n", "@@", " a", "-b", "+B") == "a  \nB\n"


def as_patch(before: list[str], after: list[str]) -> list[str]:
    """A patch with three lines of context, made by somebody else's algorithm."""
    lines: list[str] = []
    for group in SequenceMatcher(None, before, after).get_grouped_opcodes(3):
        lines.append("@@")
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                lines += [f" {line}" for line in before[i1:i2]]
                continue
            lines += [f"-{line}" for line in before[i1:i2]]
            lines += [f"+{line}" for line in after[j1:j2]]
    return lines


ends = st.sampled_from(["\n", "\r\n"])


@given(st.lists(st.integers(0, 99), unique=True, min_size=1), st.data(), ends, st.booleans())
def test_a_patch_made_from_a_change_makes_that_change(
    numbers: list[int], data: st.DataObject, end: str, last: bool
) -> None:
    before = [f"line {number}" for number in numbers]
    after: list[str] = []
    for line in before:
        after += data.draw(st.sampled_from([[line], [line], [line], [], [f"{line}!"], [line, f"new {line}"]]))
    if after == before or not after or (len(before) == 1 and not last):  # no line end to go by
        return
    text, wanted = (end.join(lines) + (end if last else "") for lines in (before, after))
    assert apply(text, *as_patch(before, after)) == wanted


words = st.lists(st.sampled_from(["a", "b", "", "}", " a"]), max_size=12)


@given(words, words)
def test_a_hunk_that_quotes_the_whole_file_makes_any_change(before: list[str], after: list[str]) -> None:
    lines = [*(f"-{line}" for line in before), *(f"+{line}" for line in after)]
    if lines:
        text = "".join(f"{line}\n" for line in before)
        assert apply(text, "@@", *lines) == "".join(f"{line}\n" for line in after)


@given(words, st.lists(st.tuples(st.sampled_from(" -+"), st.sampled_from(["a", "b", "}"])), min_size=1, max_size=6))
def test_a_hunk_changes_the_number_of_lines_by_what_it_says_or_does_not_fit(
    before: list[str], hunk: list[tuple[str, str]]
) -> None:
    text = "".join(f"{line}\n" for line in before)
    try:
        changed = apply(text, "@@", *(sign + line for sign, line in hunk))
    except ToolError:
        return
    signs = [sign for sign, _ in hunk]
    assert changed.count("\n") == len(before) + signs.count("+") - signs.count("-")


@given(st.text("ab\r\n"), st.text("ab\r\n"))
def test_every_diff_counts_its_own_lines(before: str, after: str) -> None:
    diff = file_diff("f", "f", before, after)
    body = diff.text.split("\n")[2:]
    assert diff.added == sum(line.startswith("+") for line in body)
    assert diff.removed == sum(line.startswith("-") for line in body)
    assert (
        (diff.added or diff.removed)
        or before.replace("\r\n", "\n") == after.replace("\r\n", "\n")
        or "\r" in before + after
    )


def test_a_diff_of_two_far_places_has_two_ranges() -> None:
    before = [str(n) for n in range(1, 31)]
    after = ["0", *before[:20], "x", *before[21:]]
    text = file_diff("f", "f", "\n".join(before) + "\n", "\n".join(after) + "\n").text
    assert text == (
        "--- a/f\n+++ b/f\n@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n@@ -18,7 +19,7 @@\n 18\n 19\n 20\n-21\n+x\n 22\n 23\n 24\n"
    )


def test_a_very_long_diff_is_made_quickly_and_cut() -> None:
    before = "".join(f"{n % 7}\n" for n in range(200_000))
    diff = file_diff("f", "f", before, before.replace("3\n", "4\n5\n"))
    assert len(diff.text) < 101_000
    assert diff.text.endswith("[the rest of this diff is left out]\n")
    assert diff.added > 20_000


def test_a_last_line_without_newline_says_so_in_the_diff() -> None:
    assert file_diff(None, "f", None, "a").text == (
        "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n"
    )


def test_the_work_can_be_ended_before_any_hunk() -> None:
    (operation,) = parse_patch("*** Begin Patch\n*** Update File: f\n@@\n-a\n+b\n@@\n-c\n+d\n*** End Patch")
    assert isinstance(operation, UpdateFile)
    checked: list[None] = []

    def check() -> None:
        checked.append(None)
        if len(checked) == 2:
            raise ToolError("stopped")

    with pytest.raises(ToolError, match="stopped"):
        apply_hunks("a\nc\n", operation.hunks, check=check)
