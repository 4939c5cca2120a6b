"""Rules against calls: names, globs, commands taken apart, paths resolved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_nb.permissions import derive_permission, matches_permission, matches_permissions
from llm_gateway_nb.types.permissions import DeniedCall, Permissions, ToolPermission
from llm_gateway_nb.types.tools import ToolCall


def rule(pattern: str, *, tool: str = "bash", param: str = "command") -> ToolPermission:
    return ToolPermission(tool=tool, params={param: pattern})


def bash(command: Any) -> dict[str, Any]:
    return {"name": "bash", "arguments": {"command": command}}


def covers(pattern: str, command: str) -> bool:
    return matches_permission(bash(command), rule(pattern))


def test_a_rule_without_parameters_matches_every_call_of_its_tool_and_no_other() -> None:
    weather = ToolPermission(tool="get_weather")
    assert matches_permission({"name": "get_weather", "arguments": {"city": "Rome"}}, weather)
    assert matches_permission(ToolCall(id="1", name="get_weather"), weather)
    assert not matches_permission({"name": "calculator", "arguments": {}}, weather)
    assert not matches_permission({"name": "Get_Weather", "arguments": {}}, weather)


def test_a_rule_for_a_parameter_that_the_call_does_not_have_does_not_match() -> None:
    assert not matches_permission({"name": "bash", "arguments": {}}, rule("*"))
    assert not matches_permission({"name": "bash"}, rule("*"))
    assert not matches_permission({"name": "bash", "arguments": {"cmd": "ls"}}, rule("*"))


def test_parameters_that_the_rule_does_not_name_are_free() -> None:
    call = {"name": "file_write", "arguments": {"path": "/tmp/a", "content": "x"}}
    assert matches_permission(call, rule("/tmp/*", tool="file_write", param="path"))


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "a/b\nc", True),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("a?c", "abc", True),
        ("[ab]x", "ax", True),
        ("[!ab]x", "ax", False),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("!a", "!a", True),
        ("!a", "b", False),
        ("./a", "./a", True),
        ("./a", "a", False),
        ("{a,b}", "a", False),
        ("{a,b}", "{a,b}", True),
        ("a|b", "a", False),
        (".*", ".hidden", True),
        ("*", ".hidden", True),
        ("[", "[", True),
        ("[z-a]", "z", False),
        ("a\\", "a\\", True),
    ],
)
def test_globs_over_plain_text_mean_what_the_table_says(pattern: str, text: str, expected: bool) -> None:
    call = {"name": "search", "arguments": {"query": text}}
    assert matches_permission(call, rule(pattern, tool="search", param="query")) is expected


@pytest.mark.parametrize(("value", "text"), [(42, "42"), (True, "true"), (None, "null"), ([1, "a"], '\\[1,"a"]')])
def test_other_values_are_compared_as_their_json(value: Any, text: str) -> None:
    assert matches_permission({"name": "t", "arguments": {"x": value}}, rule(text, tool="t", param="x"))


@pytest.mark.parametrize(
    ("pattern", "command"),
    [
        ("ls *", "ls"),
        ("ls *", "ls -la"),
        ("ls *", "ls 'a b' *.py ~/x"),
        ("git *", "git"),
        ("git **", "git status"),
        ("git status *", "git status"),
        ("git status *", "git  status\t-s"),
        ("git status *", "'git' \"status\""),
        ("git *", "git commit -m 'rm -rf /; echo $HOME `x`'"),
        ("git *", "git log; git status && git diff || git show | git apply"),
        ("git *", "git log 2>&1 >/dev/null"),
        ("cat /tmp/*", "cat /tmp/a/b"),
        ("npm run * --fix", "npm run lint --fix"),
        ("./run.sh *", "./run.sh b"),
        ("python *", "python -c 'print(1)'"),
        ("git lg *", "git lg -5"),
        ("*", "ls; cat x"),
        ("", ""),
    ],
)
def test_these_commands_are_covered(pattern: str, command: str) -> None:
    assert covers(pattern, command)


@pytest.mark.parametrize(
    "command",
    [
        "git status; rm -rf /",
        "git status && x",
        "git status || x",
        "git status | sh",
        "git log | xargs git show",
        "git log $(x)",
        "git log `x`",
        'git log "$(x)"',
        "git log $HOME",
        "git log ${x}",
        "git log $((1))",
        "git log > file",
        "git log >> file",
        "git log 2> file",
        "git log >| file",
        "git log &> /dev/null",
        "git log < file",
        "git apply <(x)",
        "git apply <<E\nE",
        "git apply <<< x",
        "git log\nrm x",
        "git log\rrm x",
        "git log &",
        "git log & rm x",
        "git log |& sh",
        "X=1 git log",
        "GIT_PAGER=x git log",
        "! git log",
        "time git log",
        "(git log)",
        "{ git log; }",
        "git log {a,b}",
        "git log # x",
        "git log $'a'",
        "if git log; then git log; fi",
        "git() { git log; }",
        "git log 'unclosed",
        "git log;;",
        "g*t log",
        "~/git log",
        "git log \\\n rm",
        "git log \0",
        "git log \ud800",
        "git -c core.pager=x log",
        "git -C /evil log",
        "git --exec-path=/evil log",
        "git clone --upload-pack=x y",
        "git clone --upl=x y",
        "git clone -c core.fsmonitor=x y",
        "git fetch ext::sh",
        "git rebase -x true",
        "git rebase --exec=true",
        "git grep -Ovi x",
        "git diff --output=/x",
        "git clone ssh://-oProxyCommand=sh/x",
        "git merge -s evil x",
        "git pull --strategy=evil",
        "git lg",
        "git config alias.x '!sh'",
        "git submodule foreach x",
        "git bisect run x",
        "cd /evil && git log",
        "export GIT_PAGER=x; git log",
        "alias git=x; git log",
    ],
)
def test_a_rule_for_git_covers_none_of_these(command: str) -> None:
    assert not covers("git *", command)


@pytest.mark.parametrize(
    "command",
    [
        *(
            "bash -c ls",
            "sh -c ls",
            "/bin/sh x",
            "eval ls",
            "exec ls",
            "source x",
            ". x",
            "env ls",
            "sudo ls",
            "xargs ls",
        ),
        *("command ls", "builtin echo", "nohup ls", "timeout 5 ls", "nice ls", "busybox ls", "ssh host ls", "watch ls"),
        *("find . -exec rm x +", "find . -execdir rm x +", "find . -ok rm x +", "find . -delete", "find . -fprint x"),
        *("find *", "tar xf a -I sh", "tar xIf sh a", "tar --to-command=sh -xf a", "sort --compress-program=sh x"),
        *("sort -o x y", "rg --pre sh x", "fd -x rm", "rsync -e sh a b", "split --filter=sh x", "man -P sh ls"),
        *("rsync -Mx a b", "tar xf host:a", "tar -xfuser@host:a", "uniq a b", "uniq - b", "tree -o x", "iconv -o x y"),
        *("wget --use-askpass=sh x", "wget -e use_askpass=sh x", "svn --diff-cmd sh diff", "openssl engine x", "ldd x"),
        *(
            "cmake -E env sh",
            "cmake -P x",
            "gcc -B/evil x.c",
            "clang -fplugin=x y.c",
            "pandoc --filter=sh x",
            "rustc -C x",
        ),
        *("tar --checkpoint-action=exec=sh xf a", "tar --checkpoint-act exec=sh xf a", "find . -fprintf x y"),
        *("ssh-agent sh x", "systemd-cat sh x", "choom -n 0 -- sh x", "env_parallel sh x", "fzf --preview sh", "rr sh"),
        *(
            "man -C x ls",
            "man --config-file=x ls",
            "nm --plugin x y",
            "kubectl get pods --kubeconfig x",
            "go env -w A=x",
        ),
        *("coproc ls", "[[ a ]]", "let x", "shuf -o x", "date -s x", "yq -i x y", "journalctl --vacuum-size=1"),
        *("test -v 'a[$(x)]'", "printf -v a x", "read x", "trap x EXIT", "set -x", "hash -p x ls", "%1", ": x"),
    ],
)
def test_programs_that_run_others_ask_even_under_a_star(command: str) -> None:
    assert not covers("*", command)
    assert not covers(f"{command.split()[0]} *", command)


@pytest.mark.parametrize(
    "command",
    [
        *("python x", "python3.12 -c x", "node x", "awk x", "make", "sed -n 1p f", "pytest --basetemp=x", "mvn test"),
        *("m4 x", "pdflatex x", "emacsclient -e x", "redis-cli eval x", "mariadb -e x", "jupyter nbconvert x"),
    ],
)
def test_an_interpreter_has_to_be_named(command: str) -> None:
    assert not covers("*", command)
    assert covers(f"{command.split()[0]} *", command)


@pytest.mark.parametrize(
    ("pattern", "command"),
    [
        ("npm exec *", "npm exec sh"),
        ("npm --silent exec *", "npm --silent exec sh"),
        ("uv run *", "uv run sh"),
        ("docker exec *", "docker exec x sh"),
        ("go run *", "go run ."),
        ("gh alias *", "gh alias set x '!sh'"),
        ("docker-compose exec *", "docker-compose exec x sh"),
        ("pyenv exec *", "pyenv exec sh"),
        ("git config *", "git config alias.x y"),
    ],
)
def test_a_subcommand_that_runs_what_it_is_given_has_to_be_named(pattern: str, command: str) -> None:
    assert not covers("*", command)
    assert not covers(f"{command.split()[0]} *", command)
    assert covers(pattern, command)


def test_the_arguments_of_a_glob_with_a_slash_do_not_climb() -> None:
    assert not covers("cat /tmp/*", "cat /tmp/../etc/passwd")
    assert not covers("cat /tmp/*", "cat /tmp/*")


def test_a_rule_without_a_star_covers_exactly_its_words() -> None:
    assert covers("git status", "git  status")
    assert not covers("git status", "git status -s")
    assert not covers("git stat", "git status")


@pytest.mark.parametrize(
    "command", ["a [b] {c} (d) *e ?f !g", "git log | sh", "x > y", "python -c '\\''", "  ", "a\nb"]
)
def test_the_exact_call_is_covered_whatever_it_is_made_of(command: str) -> None:
    granted = derive_permission("bash", {"command": command})
    assert matches_permission(bash(command), granted)
    assert not matches_permission(bash(command + "x"), granted)
    assert not matches_permission(bash(command + "; ls"), granted)


def test_words_of_an_exact_rule_mean_nothing_in_another_command() -> None:
    granted = derive_permission("bash", {"command": "python -c 'a b'"})
    assert not matches_permission(bash("python -c \\'a b\\'"), granted)


def test_a_compound_may_be_covered_part_by_part_by_several_rules() -> None:
    permissions = Permissions(allowlist=[rule("git log *"), rule("head *")])
    assert matches_permissions(bash("git log | head -3"), permissions)
    assert not matches_permissions(bash("git log | tail -3"), permissions)


def test_a_command_that_is_not_text_matches_only_its_exact_rule() -> None:
    assert not matches_permission(bash(["ls"]), rule("*"))
    assert matches_permission(bash(["ls"]), derive_permission("bash", {"command": ["ls"]}))


def test_nothing_or_unmatching_entries_allow_nothing() -> None:
    for permissions in (None, Permissions(), Permissions(allowlist=[]), Permissions(allowlist=[rule("cat *")])):
        assert not matches_permissions(bash("ls"), permissions)
    assert matches_permissions(bash("ls"), Permissions(allow_once=[rule("ls *")]))


def test_deny_wins_over_allow() -> None:
    both = Permissions(allowlist=["bash"], deny=[rule("rm *")])  # type: ignore[list-item]
    assert matches_permissions(bash("ls"), both)
    assert not matches_permissions(bash("rm x"), both)
    call = ToolCall(id="c1", name="bash", arguments={"command": "ls"})
    assert not matches_permissions(call, Permissions(allowlist=["bash"], deny=[DeniedCall(tool_call_id="c1")]))  # type: ignore[list-item]


@pytest.mark.parametrize(
    "command",
    [
        *(
            "ls; rm x",
            "/bin/rm x",
            "'rm' x",
            "r\\m x",
            "sudo rm x",
            "xargs rm x",
            "echo $(rm x)",
            "X=1 rm x",
            "$(echo rm) x",
        ),
        *(
            "sh -c 'rm x'",
            "r? x",
            "rm x > y",
            "$X y",
            "echo 'x",
            "eval rm x",
            "rm\tx",
            "env -i rm x",
            "(rm x)",
            "a\nrm x",
        ),
    ],
)
def test_what_is_denied_does_not_hide(command: str) -> None:
    assert not matches_permissions(bash(command), Permissions(allowlist=["bash"], deny=[rule("rm *")]))  # type: ignore[list-item]


@pytest.mark.parametrize("length", [4_000, 5_000, 1_000_000])
def test_what_is_denied_does_not_hide_behind_the_length_of_a_text(length: int) -> None:
    permissions = Permissions(allowlist=["write"], deny=[rule("*secret*", tool="write", param="text")])  # type: ignore[list-item]
    call = {"name": "write", "arguments": {"text": f"{'x' * length}secret"}}
    assert not matches_permissions(call, permissions)
    assert matches_permissions({"name": "write", "arguments": {"text": "x" * length}}, permissions)


def test_a_denied_word_does_not_hide_behind_its_length() -> None:
    permissions = Permissions(allowlist=["bash"], deny=[rule("curl *evil*example*")])  # type: ignore[list-item]
    assert not matches_permissions(bash(f"curl http://x/{'a' * 5_000}evil.example"), permissions)


def test_an_option_in_between_does_not_hide_what_is_denied() -> None:
    permissions = Permissions(allowlist=["bash"], deny=[rule("npm publish")])  # type: ignore[list-item]
    assert not matches_permissions(bash("npm --silent publish x"), permissions)
    assert matches_permissions(bash("npm test"), permissions)


def test_a_rule_with_unknown_keys_allows_nothing_and_still_denies() -> None:
    newer = ToolPermission.model_validate({"tool": "bash", "onlyOnMondays": True})
    assert not matches_permission(bash("ls"), newer)
    assert not matches_permissions(bash("ls"), Permissions(allowlist=["bash"], deny=[newer]))  # type: ignore[list-item]


def test_an_argument_given_in_two_spellings_is_not_covered() -> None:
    call = {"name": "w", "arguments": {"filePath": "/tmp/a", "file_path": "/etc/passwd"}}
    assert not matches_permission(call, rule("/tmp/**", tool="w", param="filePath"))


def wants_path(pattern: str, path: str, root: Path | None = None) -> bool:
    return matches_permission(
        {"name": "w", "arguments": {"path": path}}, rule(pattern, tool="w", param="path"), root=root
    )


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/data/**", "/data/a/b", True),
        ("/data/**", "/data", True),
        ("/data/**", "/data/../etc/passwd", False),
        ("/data/**", "/data/a/../b", True),
        ("/data/**", "/database", False),
        ("/data/*", "/data/a", True),
        ("/data/*", "/data/.a", True),
        ("/data/*", "/data/a/b", False),
        ("/data/*.py", "/data/a.py", True),
        ("/data/**/*.py", "/data/a.py", True),
        ("/data/**/*.py", "/data/a/b.py", True),
        ("/data/*/**", "/data/a", False),
        ("/data/*/**", "/data/a/b/c", True),
        ("/data/**/a/**/b", "/data/a/c/b", True),
        ("/data/**/a/**/b", "/data/c/b/a", False),
        ("/data/*//b", "/data/a/b", True),
        ("/data/*/", "/data/a", False),
        ("/data/a", "/data//a/", True),
        ("/data/a", "/data/b", False),
        ("/data/[!a]", "/data/b", True),
        ("/data/!a", "/data/!a", True),
        ("/data/{a,b}", "/data/a", False),
        ("/**", "/anything/else", True),
        ("/data/**/../**", "/etc/passwd", False),
        ("", "", True),
        ("", "/data", False),
        ("**", "", False),
        ("/data/**", "~/x", False),
        ("**", "~/x", False),
        ("**", "a\0b", False),
        ("**", "a/" * 100_000, False),
    ],
)
def test_paths_are_normalized_before_they_match(pattern: str, path: str, expected: bool) -> None:
    assert wants_path(pattern, path) is expected


def test_relative_paths_count_from_the_root(tmp_path: Path) -> None:
    assert wants_path("src/**", "src/a.py", root=tmp_path)
    assert wants_path("./src/**", str(tmp_path / "src/a.py"), root=tmp_path)
    assert not wants_path("src/**", "../src/a.py", root=tmp_path)
    assert not wants_path("**", "/etc/passwd", root=tmp_path)


def test_a_link_out_of_the_root_does_not_match(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "file").symlink_to(outside / "secret")
    assert wants_path(f"{inside}/**", f"{inside}/real")
    assert not wants_path(f"{inside}/**", f"{inside}/link/secret")
    assert not wants_path(f"{inside}/**", f"{inside}/file")
    assert not wants_path(f"{inside}/file", f"{outside}/other")
    assert wants_path(f"{outside}/**", f"{inside}/link/secret")


def test_a_climb_behind_a_link_is_not_told_in_one_way_and_does_not_match(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "deep")
    assert not wants_path(f"{tmp_path}/**", f"{tmp_path}/link/../x")


def test_a_rule_under_a_link_matches_what_the_link_holds(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert wants_path(f"{tmp_path}/link/**", f"{tmp_path}/link/a")
    assert wants_path(f"{tmp_path}/link/**", f"{tmp_path}/real/a")


def test_a_ring_of_links_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert not wants_path("/nowhere/**", f"{tmp_path}/a/x")


def test_a_denied_path_is_denied_by_any_of_its_names(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (tmp_path / "link").symlink_to(secret)
    permissions = Permissions(allowlist=["w"], deny=[rule(f"{secret}/**", tool="w", param="filePath")])  # type: ignore[list-item]
    for path in (f"{secret}/x", f"{tmp_path}/link/x", f"{tmp_path}/a/../secret/x", f"{tmp_path}/link/../secret/x"):
        assert not matches_permissions({"name": "w", "arguments": {"file_path": path}}, permissions)
    assert matches_permissions({"name": "w", "arguments": {"file_path": f"{tmp_path}/x"}}, permissions)


def patch(*paths: str) -> dict[str, Any]:
    files = "".join(f"*** Update File: {path}\n@@\n-a\n+b\n" for path in paths)
    return {"name": "patch", "arguments": {"patch": f"*** Begin Patch\n{files}*** End Patch"}}


def test_always_on_a_patch_covers_later_patches_in_the_same_folder_and_no_others() -> None:
    granted = derive_permission("patch", patch("/src/a.ts")["arguments"])
    assert matches_permission(patch("/src/b.ts", "/src/deep/c.ts"), granted)
    assert not matches_permission(patch("/other/a.ts"), granted)
    assert not matches_permission(patch("/src/b.ts", "/src/../etc/x"), granted)


@pytest.mark.parametrize(
    "trick",
    [
        "*** Begin Patch\n*** Update File: /src/a\n*** Move to: /etc/x\n*** End Patch",
        "*** Begin Patch\n*** Update File: /src/a\n  *** Update File: /etc/x\n*** End Patch",
        "*** Begin Patch\n*** Update File: /src/a\r*** Update File: /etc/x\n*** End Patch",
        "*** Begin Patch\n*** Update File: /src/a\x0b/../../etc/x\n*** End Patch",
        "*** Begin Patch\n*** Update File: /src/a\n*** Rename File: /etc/x\n*** End Patch",
        "*** Begin Patch\n*** End Patch",
    ],
)
def test_a_patch_that_names_another_file_in_any_way_is_not_covered(trick: str) -> None:
    granted = derive_permission("patch", patch("/src/a.ts")["arguments"])
    assert not matches_permission({"name": "patch", "arguments": {"patch": trick}}, granted)


def test_a_working_directory_that_is_gone_matches_nothing_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert not wants_path("**", "x")
    assert wants_path("/data/**", "/data/x")
    os.chdir(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *(".git/hooks/pre-commit", "sub/.git/config", ".GIT/config", ".vscode/tasks.json", ".envrc"),
        *(".bashrc", ".claude/settings.json", ".cargo/config.toml", ".npmrc", ".mcp.json"),
    ],
)
def test_no_glob_stands_for_what_other_programs_run(tmp_path: Path, name: str) -> None:
    hook = patch(f"{tmp_path}/a", f"{tmp_path}/{name}")
    assert matches_permission(patch(f"{tmp_path}/a"), rule(f"{tmp_path}/**", tool="patch", param="patch"))
    assert not matches_permission(hook, rule(f"{tmp_path}/**", tool="patch", param="patch"))
    assert not matches_permissions(
        hook, {"allowlist": ["patch"], "deny": [{"tool": "patch", "params": {"patch": f"{tmp_path}/**"}}]}
    )


def test_a_rule_that_spells_it_out_covers_what_other_programs_run(tmp_path: Path) -> None:
    hook = patch(f"{tmp_path}/.git/hooks/pre-commit")
    assert matches_permission(hook, rule(f"{tmp_path}/.git/**", tool="patch", param="patch"))
    assert matches_permission(hook, derive_permission("patch", hook["arguments"]))
    both = patch(f"{tmp_path}/a", f"{tmp_path}/.git/config")
    assert matches_permission(both, derive_permission("patch", both["arguments"])), "the very patch, then"
