"""The "always" rule: what it covers, and what it never becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_gateway_nb.permissions import derive_permission, matches_permission


def derived(command: str) -> str:
    params = derive_permission("bash", {"command": command}).params
    assert params is not None
    return params["command"]


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        ("cat /tmp/foo.txt", "cat *"),
        ("ls", "ls"),
        ("git status", "git status *"),
        ("git commit -m x", "git commit *"),
        ("npm run build --verbose", "npm run build *"),
        ("gh run list -L 5", "gh run list *"),
        ("svn log -l 5", "svn log *"),
        ("./run.sh a", "./run.sh *"),
        ("ls *.py", "ls *"),
        ("", ""),
    ],
)
def test_a_simple_command_gives_its_program_and_subcommand(command: str, pattern: str) -> None:
    assert derived(command) == pattern


@pytest.mark.parametrize(
    "command",
    [
        *("git log | head", "git log > f", "git -C x log", "git lg -5", "git config a b", "git", "docker run x",
          "npm install x", "git push origin main", "git reset --soft HEAD~1", "git clean -n", "git checkout main"),
        *("python x.py", "node -e x", "sed -n 1p f", "make test", "rm x", "curl http://x", "sudo ls x", "bash -c x",
          "unzip a.zip", "tar xf a.tar", "gzip a", "patch -i f", "uniq a b", "rsync a b", "pandoc a.md", "npm exec x"),
        *("pytest tests", "mvn test", "ssh-agent -s", "aws s3 ls", "docker-compose ps", "pdftotext a.pdf", "strip a.out",
          "gradle test", "redis-cli get x", "halt -p", "mkfs.ext4 x", "m4 x", "gh run", "yt-dlp x"),
        *("find . -delete", "X=1 ls x", "echo $HOME", "npm run", "git --version"),
    ],
)  # fmt: skip
def test_where_more_would_not_be_safe_it_is_the_exact_command(command: str) -> None:
    assert derived(command) == command


def test_the_rule_covers_the_same_program_and_no_other() -> None:
    granted = derive_permission("bash", {"command": "cat /tmp/foo.txt"})
    for command, expected in [
        ("cat /tmp/foo.txt", True),
        ("cat x", True),
        ("cat", True),
        ("ls x", False),
        ("catt", False),
    ]:
        assert matches_permission({"name": "bash", "arguments": {"command": command}}, granted) is expected


def test_glob_characters_of_the_call_are_plain_in_the_rule() -> None:
    assert derived("rm *.py") == r"rm \*.py"
    granted = derive_permission("search", {"query": "[a-z]*?{x}(y)!"})
    assert matches_permission({"name": "search", "arguments": {"query": "[a-z]*?{x}(y)!"}}, granted)
    assert not matches_permission({"name": "search", "arguments": {"query": "b{x}(y)!"}}, granted)


def test_every_parameter_is_derived_on_its_own() -> None:
    rule = derive_permission("t", {"count": 42, "command": "git status", "flag": True})
    assert rule.params == {"count": "42", "command": "git status *", "flag": "true"}


@pytest.mark.parametrize("params", [None, {}])
def test_a_call_without_parameters_gives_the_bare_tool(params: dict[str, Any] | None) -> None:
    assert derive_permission("t", params).params is None


def test_a_path_gives_its_real_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert derive_permission("read", {"path": f"{tmp_path}/link/x"}).params == {"path": f"{tmp_path}/real/**"}
    assert derive_permission("read", {"path": f"{tmp_path}/link"}).params == {"path": f"{tmp_path}/real/**"}
    assert derive_permission("read", {"filePath": "x/y"}, root=tmp_path).params == {"filePath": f"{tmp_path}/x/**"}


def test_a_path_in_the_home_folder_or_at_the_top_gives_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert derive_permission("read", {"path": f"{tmp_path}/.netrc"}).params == {"path": f"{tmp_path}/.netrc"}
    assert derive_permission("read", {"path": "/x*"}).params == {"path": r"/x\*"}


def test_a_patch_gives_the_folder_that_holds_all_its_files() -> None:
    text = "*** Begin Patch\n*** Add File: /src/a/b\n+x\n*** Delete File: /src/c/d\n*** End Patch"
    assert derive_permission("patch", {"patch": text}).params == {"patch": "/src/**"}


def test_a_value_that_no_rule_can_name_gives_a_rule_that_matches_nothing() -> None:
    for value in (object(), "\ud800"):
        rule = derive_permission("t", {"x": value})
        for other in (value, "", "?", "\ud800", rule.params and rule.params["x"]):
            assert not matches_permission({"name": "t", "arguments": {"x": other}}, rule)


def test_what_holds_no_parameters_gives_a_rule_that_matches_nothing() -> None:
    rule = derive_permission("bash", "ls")  # type: ignore[arg-type]
    for arguments in ({}, {"command": "ls"}, None, {"": "ls"}):
        assert not matches_permission({"name": "bash", "arguments": arguments}, rule)
