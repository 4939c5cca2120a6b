"""Against bash itself: for commands that a rule set covers, only covered programs run.

Commands come from a grammar of nasty bash. Each covered one runs in a real `bash` whose PATH holds nothing but
programs that log their name; what bash itself runs, builtins too, is seen by its trace.
"""

from __future__ import annotations

import random
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from llm_gateway_nb.permissions.rules import Rule, covers
from llm_gateway_nb.permissions.subject import Subject
from llm_gateway_nb.types.permissions import ToolPermission

COVERED = [
    "git status *",
    "git log *",
    "ls *",
    "cat *",
    "head -n *",
    "find *",
    "sort *",
    "printf *",
    "echo *",
    "test *",
    "./run.sh *",
]
PROGRAMS = {"git", "ls", "cat", "head", "find", "sort", "printf", "echo", "test", "./run.sh"}
EVIL = ["evil", "rm", "sh", "env", "sudo", "xargs", "curl"]
HEADS = [
    "git status",
    "git log",
    "ls",
    "cat",
    "head -n 3",
    "find .",
    "sort",
    "printf %s",
    "echo",
    "test -n",
    "./run.sh",
]
ODD_HEADS = ["git -c a=b log", "git evil", "'ls'", "l\\s", '"cat"', "l''s", "evil", "./evil", "$X", "`evil`", "eval",
             "command", "exec",
             "builtin eval", "env", "sudo", "xargs", "time", "!", "X=1", "cd /", "export PATH=.;", "{", "(", "if",
             "bash -c", "%1", "~/ls",
             "e*", "evil=1", "a[$(evil)]=1", "f() { evil; };", "alias ls=evil;", "trap evil EXIT;", "[ -v",
             "[[ a ]]", "test -v",
             "coproc", "function f", "$'ls'", "\\\nls", "{ls,evil}", "echo;evil", "select", ":", "let", "((",
             "enable", "source", ".", "coproc evil;", "time -p", "exec -a x", "shopt -s expand_aliases;alias ls=evil\n",
             "trap 'evil' DEBUG;", "ls() { evil; };", "function ls { evil; };", "source ./evil;", "PATH=.", "mapfile -C evil",
             "[ a = b ] &&", "until", "case x in x)"]  # fmt: skip
ARGUMENTS = ["a", "-x", "'a b'", '"a b"', "a\\ b", "\\;evil", "';evil'", '";evil"', "a#b", "*.txt", "?", "~", "x=~",
             "a=b", "''", '""', "-n", "é",
             "'$(evil)'", "'`evil`'", "\\$X", "'a'\"b\"c", "'\\'", '"\\\\"', '"\\""', "HEAD~1", "@", "+%s", "!",
             "[a-z]", "-", "--", "]", "^", "a,b",
             "\\'", '\\"', "'\"'", '"\'"', "\\#", "2", "a2", "if", "then", "done", "evil", "-v"]  # fmt: skip
ODD_ARGUMENTS = ["$(evil)", "`evil`", '"$(evil)"', '"`evil`"', "<(evil)", ">(evil)", "$X", "${X:-$(evil)}", "$((X))",
                 "$[1]", "#c", "{a,b}", "$'a'",
                 '$"a"', "'", '"', "\\", "a$(evil", "<<E", "<<<x", "&evil", "|&evil", ">|f", "\\\nevil", "\revil",
                 "\x00", "\u00a0evil", "\u2028", "@(a)",
                 "'a\nb'", '"\\`evil`"', "'a'`evil`", "\\`evil`", "\\$(evil)", "\"'$(evil)'\"", "'\"'$(evil)'\"'",
                 "-exec", "-delete", "a'b", "$((a[$(evil)]))", "~$(evil)", "a\\\nb", "'\\''", "a=$(evil)", "[$(evil)]",
                 "!(a)", "?(evil)", "+(a)", "${IFS}", "\\\t;evil", "{evil", "}", "((evil))", "[[", "]]", "\\\\;evil",
                 "\\\\$(evil)", "\"\\\\$(evil)\"", "'\\'$(evil)", "\"\\\\\"$(evil)", "$'\\';evil'", "a;#", "#;evil"]  # fmt: skip
REDIRECTIONS = ["2>&1", ">/dev/null", "2>/dev/null", "</dev/null", ">&2", "1>&2"]
ODD_REDIRECTIONS = ["> f", ">>f", "<f", "&>f", "&>/dev/null", ">/dev/null2", ">/dev/nullx", "2>&1x", ">&f", "3<>f",
                    ">&-", "<>f", "{fd}>f", "<<'E'", "<<-E", ">/dev/tcp/x/1", ">/dev/null;evil", ">/dev/null&evil",
                    "2>&1&evil", ">&2evil", "> $(evil)", ">/dev/null evil", "12>&1"]  # fmt: skip
GLUE = [" | ", " && ", " || ", "; ", ";", "|", "&&", "||"]
ODD_GLUE = [" & ", "&", "\n", " |& ", ";;", "; ; ", " &&\n", "\r\n", ";&", "\x0b", " \\\n "]
WANTED = 3000


def some(chance: random.Random, plain: list[str], odd: list[str], oddity: float) -> str:
    return chance.choice(odd if chance.random() < oddity else plain)


def nasty(chance: random.Random) -> str:
    oddity = chance.choice([0.0, 0.02, 0.2])
    pieces: list[str] = []
    for at in range(chance.randint(1, 3)):
        if at:
            pieces.append(some(chance, GLUE, ODD_GLUE, oddity))
        words = [some(chance, HEADS, ODD_HEADS + EVIL, oddity)]
        words += [some(chance, ARGUMENTS, ODD_ARGUMENTS, oddity) for _ in range(chance.randint(0, 4))]
        if chance.random() < 0.2:
            words.insert(chance.randint(0, len(words)), some(chance, REDIRECTIONS, ODD_REDIRECTIONS, oddity))
        pieces.append(chance.choice([" ", " ", "  ", "\t"]).join(words))
    return "".join(pieces) + chance.choice(["", "", "", ";", " ", *(ODD_GLUE if oddity else [])])


def mutated(chance: random.Random, command: str) -> str:
    """The same with a few characters dropped, doubled, swapped or put in: what a grammar would not think of."""
    characters = list(command)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(characters) + 1)
        if chance.random() < 0.5:
            characters[at : at + 1] = []
        else:
            characters.insert(at, chance.choice("'\"\\ ;|&<>$`(){}*#!~=\n-/a2"))
    return "".join(characters)


def commands() -> list[str]:
    chance = random.Random(20)
    rules = [Rule(ToolPermission(tool="bash", params={"command": text}), None) for text in COVERED]
    found: dict[str, None] = {}
    while len(found) < WANTED:
        command = nasty(chance)
        for candidate in (command, mutated(chance, command)):
            if covers(rules, Subject({"name": "bash", "arguments": {"command": candidate}}, None)):
                found[candidate] = None
    return list(found)


DRIVER = r"""
exec 9>>"$TRACE"; BASH_XTRACEFD=9
while IFS= read -r -d '' command; do
  printf '\0' >&9
  ( PS4='+'; set -x; eval "$command" ) </dev/null >/dev/null 2>&1
done <"$COMMANDS"
exit 0
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_runs_only_covered_programs_for_covered_commands(tmp_path: Path) -> None:
    found = commands()
    programs, work = tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    logger = programs / "ls"
    logger.write_text(f'#!/bin/sh\necho "$0" >> {shlex.quote(str(tmp_path / "log"))}\n')
    logger.chmod(0o755)
    for name in ["git", "cat", "head", "find", "sort", *EVIL]:
        (programs / name).hardlink_to(logger)
    for name in ("run.sh", "evil", "a.txt", "-v"):
        (work / name).hardlink_to(logger)
    (tmp_path / "commands").write_text("".join(f"{command}\0" for command in found), encoding="utf-8")
    (tmp_path / "log").touch()
    environment = {
        "PATH": str(programs),
        "HOME": "/nonexistent",
        "TRACE": f"{tmp_path}/trace",
        "COMMANDS": f"{tmp_path}/commands",
    }
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "--norc", "-c", DRIVER], cwd=work, env=environment, timeout=100, check=True)

    ran = {Path(line).name for line in (tmp_path / "log").read_text().splitlines()}
    assert ran <= {Path(program).name for program in PROGRAMS}
    traces = (tmp_path / "trace").read_bytes().decode(errors="replace").split("\0")[1:]
    assert len(traces) == len(found)
    builtins = 0
    for command, trace in zip(found, traces, strict=True):
        drivers_own, *lines = trace.splitlines()
        assert drivers_own.startswith("+eval ")
        for line in lines:
            words = shlex.split(line.lstrip("+"))
            assert words[0] in PROGRAMS, (command, line)
            assert words[0] != "git" or words[1:2] in (["status"], ["log"]), (command, line)
            assert words[0] != "head" or words[1:2] == ["-n"], (command, line)
            assert words[0] not in ("printf", "test") or words[1:2] != ["-v"], (command, line)
            assert words[0] != "find" or not {"-exec", "-delete"} & set(words), (command, line)
            builtins += words[0] in ("echo", "printf", "test")
    assert builtins > 100  # they are seen
    assert {"git", "ls", "cat", "head", "find", "sort", "run.sh"} <= ran
