"""What is known of programs by name: which run others, which of their options do, which have subcommands.

Plain tables, and two questions about one simple command: `risk_of`, a reason why no pattern may cover it, and
`named_words`, how many of its leading words a rule has to spell out. What is not in a table is taken to be what it looks
like: a program that does its own work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from posixpath import basename

__all__ = [
    "GIT_NOT_GENERALISED",
    "NOT_GENERALISED",
    "RUNS_OTHERS",
    "SUBCOMMANDS",
    "THIRD_WORD",
    "is_code_runner",
    "named_words",
    "risk_of",
]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RESERVED = _names("! [[ ]] { } case coproc do done elif else esac fi for function if in select then time until while")

_BUILTINS = _names(
    """. alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown enable
    eval exec export fc fg getopts hash help history jobs let local logout mapfile popd pushd read readarray readonly
    return set shift shopt source suspend times trap typeset ulimit umask unalias unset wait chdir"""
)
"""They run their arguments, or change what the commands after them do. `echo`, `test` and their like are not here."""

RUNS_OTHERS = _names(
    """ash bash csh dash elvish fish ksh mksh nu posh powershell pwsh rbash rksh sh tcsh xonsh yash zsh busybox toybox
    arch at batch bwrap bunx caffeinate capsh catchsegv chpst chronic chroot chrt cmd cpulimit crontab dbus-launch
    dbus-run-session doas dumb-init eatmydata entr env envdir expect faketime fakechroot fakeroot firejail flock gdb
    gosu hyperfine i386 ifne ionice ip kexec ld.so ldd lldb linux32 linux64 ltrace mosh nice nohup npx nsenter numactl
    open osascript parallel pee perf pipx pkexec pnpx prlimit proot proxychains proxychains4 rlwrap rsh run-parts runcon
    runuser run0 scp screen script sem setarch setlock setpriv setsid setuidgid sftp sg softlimit sshpass ssh
    start-stop-daemon stdbuf strace su su-exec sudo sudoedit systemd-run taskset tclsh telnet time timeout tini tmux torify
    torsocks unbuffer unshare uvx valgrind vipe watch wine winpty wish wsl x86_64 xargs xdg-open xterm xvfb-run
    zargs"""
)
"""Programs whose arguments, input or settings are a command to run. Only a rule for the exact call covers them."""

_CODE_RUNNERS = _names(
    """awk bpython bun cpython dc deno ed emacs erl ex gawk gdb ghci gnuplot groovy guile irb iex ipython java jshell julia
    less lua luajit make gmake mawk more mysql nano nawk nix node nodejs octave perl php pry psql pypy pypy3 python
    python2 python3 R Rscript racket rake ruby scala sed sqlite3 swift tsx ts-node vi view vim nvim"""
)
"""Interpreters, editors and build tools: their arguments are code. A rule may name them; a star does not stand for one,
and an "always" is for the exact call."""

NOT_GENERALISED = _names(
    """7z 7za 7zr ar bsdtar bunzip2 bzip2 cc c++ chgrp chmod chown clang clang++ convert cp cpio csplit ctags curl dd dpkg
    fallocate ffmpeg ftp g++ gcc gpg gpg2 gunzip gzip hostname ifconfig install kill killall ln mail mailx magick mkfs
    mount mutt mv nc ncat netcat nmap openssl pandoc patch pkill rclone reboot rm rmdir rpm rsync rustc sendmail service
    shred shutdown socat split srm ssh-add ssh-keygen sysctl systemctl tar tee truncate umount unlink unrar unxz unzip
    unzstd useradd userdel usermod wget wipefs xxd xz yq zip zstd"""
)
"""Programs that destroy, overwrite or send: an "always" for one file must not become one for all files."""

GIT_NOT_GENERALISED = _names(
    """am apply bundle checkout clean clone format-patch gc pull push rebase remote reset restore rm sparse-checkout
    worktree"""
)
"""The same among git's subcommands: an "always" for `git push origin` must not become one for any address."""

_GIVEN_COMMANDS: dict[str, frozenset[str]] = {
    "bundle": _names("exec"),
    "cargo": _names("run"),
    "conda": _names("run"),
    "docker": _names("exec run"),
    "dotnet": _names("exec run script"),
    "gh": _names("alias extension"),
    "go": _names("generate run tool"),
    "hatch": _names("run"),
    "kubectl": _names("debug exec run"),
    "mise": _names("exec x"),
    "nix": _names("develop run shell"),
    "npm": _names("exec explore x"),
    "pdm": _names("run"),
    "pipenv": _names("run shell"),
    "pixi": _names("exec run"),
    "pnpm": _names("dlx exec"),
    "podman": _names("exec run"),
    "poetry": _names("run shell"),
    "rustup": _names("run"),
    "rye": _names("run"),
    "uv": _names("run tool"),
    "yarn": _names("dlx exec node"),
}
"""Subcommands that run whatever program comes after them. A rule has to name them: `npm *` does not cover `npm exec sh`."""

SUBCOMMANDS: dict[str, frozenset[str]] = {
    "git": _names(
        """add am annotate apply blame branch bundle cat-file check-ignore checkout cherry cherry-pick clean clone
        commit count-objects describe diff diff-tree fetch format-patch fsck gc grep init log ls-files ls-remote
        ls-tree merge merge-base merge-tree mv name-rev notes pull push range-diff rebase reflog remote reset restore
        rev-list rev-parse revert rm shortlog show show-branch show-ref sparse-checkout stash status switch
        symbolic-ref tag version whatchanged worktree"""
    ),
    "apt": _names("list search show"),
    "apt-get": frozenset(),
    "brew": _names("info list search"),
    "bundle": _names("check list show"),
    "cargo": _names("bench build check clippy doc fmt metadata test tree"),
    "conda": _names("info list search"),
    "docker": _names("images info inspect logs ps version"),
    "dotnet": _names("build test"),
    "gh": _names("auth issue pr release repo run search status"),
    "go": _names("build doc env fmt list mod test version vet"),
    "helm": _names("get history list status"),
    "kubectl": _names("describe explain get logs top version"),
    "npm": _names("audit list ls outdated run test view"),
    "pip": _names("check freeze list show"),
    "pip3": _names("check freeze list show"),
    "pnpm": _names("audit list ls outdated run test why"),
    "podman": _names("images info inspect logs ps version"),
    "poetry": _names("check env show version"),
    "terraform": _names("fmt plan show validate version"),
    "uv": _names("tree version"),
    "yarn": _names("audit info list test why"),
}
"""Programs whose first word says what they do, and the ones for which "always" may mean any further arguments."""

THIRD_WORD = {("npm", "run"), ("pnpm", "run"), ("gh", "issue"), ("gh", "pr"), ("gh", "repo"), ("go", "mod")}
"""Subcommands that name the thing only with a third word: `npm run build`."""

_COMPILER = _names("-B -Xclang -fplugin -load -specs --specs -wrapper")

_OPTIONS: dict[str, frozenset[str]] = {
    "ack": _names("--pager"),
    "ag": _names("--pager"),
    "apt": _names("-o --option -c --config-file"),
    "apt-get": _names("-o --option -c --config-file"),
    "bat": _names("--pager"),
    "bsdtar": _names("--use-compress-program -I"),
    "c++": _COMPILER,
    "cargo": _names("--config"),
    "cc": _COMPILER,
    "clang": _COMPILER,
    "clang++": _COMPILER,
    "cmake": _names("-E -P"),
    "curl": _names("--engine"),
    "date": _names("-s --set"),
    "fd": _names("-x -X --exec --exec-batch"),
    "fdfind": _names("-x -X --exec --exec-batch"),
    "file": _names("-C --compile"),
    "find": _names("-delete -exec -execdir -fls -fprint -fprint0 -fprintf -ok -okdir"),
    "g++": _COMPILER,
    "gcc": _COMPILER,
    "git": _names("""--config --exec --ext-diff --extcmd --open-files-in-pager --output --receive-pack --template
        --textconv --upload-pack"""),
    "go": _names("-exec --exec -toolexec --toolexec -vettool --vettool"),
    "hg": _names("--config"),
    "iconv": _names("-o --output"),
    "journalctl": _names("--flush --rotate --vacuum-files --vacuum-size --vacuum-time"),
    "man": _names("-H -P --html --pager"),
    "npm": _names("--node-options --script-shell"),
    "openssl": _names("-engine -provider -provider-path engine"),
    "pandoc": _names("-F -L --filter --lua-filter --pdf-engine"),
    "pnpm": _names("--script-shell"),
    "printf": _names("-v"),
    "rg": _names("--hostname-bin --pre"),
    "rsync": _names("-M -e --remote-option --rsh --rsync-path"),
    "rustc": _names("-C --codegen"),
    "sdiff": _names("--diff-program"),
    "shuf": _names("-o --output"),
    "sort": _names("-o --compress-program --output"),
    "split": _names("--filter"),
    "svn": _names("--config-dir --config-option --diff-cmd --diff3-cmd --editor-cmd"),
    "tar": _names("""-F -I --checkpoint-action --info-script --new-volume-script --rmt-command --rsh-command --to-command
        --use-compress-program"""),
    "tcpdump": _names("-z"),
    "test": _names("-R -v"),
    "tree": _names("-o"),
    "uniq": frozenset(),
    "wget": _names("-e --config --execute --use-askpass"),
    "xmllint": _names("--output --shell"),
    "yq": _names("-i --in-place --inplace"),
    "zip": _names("-T -TT --unzip-command"),
}  # fmt: skip
"""Options that run a program, or that write where the rest of the program only reads."""

_GIT_OPTIONS = {
    "archive": _names("-o"),
    "clone": _names("-c -u"),
    "grep": _names("-O"),
    "rebase": _names("-i -s -x --interactive --strategy"),
    **dict.fromkeys(("cherry-pick", "merge", "pull", "revert"), _names("-s --strategy")),  # a program `git-merge-…`
}
_REMOTE_ARCHIVE = re.compile(r"^[^/]*[\w\]]:")
_PROGRAM = re.compile(r"[\w./+@-]+", re.ASCII)
_INTERPRETER_VERSION = re.compile(r"[\d.]+$")


def _is_risky_option(word: str, risky: frozenset[str]) -> str | None:
    """The option of `risky` that `word` gives: in full, abbreviated (`--upl`), or in a bundle (`-xI`)."""
    name = word.partition("=")[0]
    if name in risky:
        return name
    if name.startswith("--"):
        return next((option for option in sorted(risky) if len(name) > 2 and option.startswith(name)), None)
    letters = {option[1] for option in risky if len(option) == 2}
    found = letters.intersection(name[1:]) if name.startswith("-") else None
    return f"-{min(found)}" if found else None


def is_code_runner(base: str) -> bool:
    """Whether the program of this name, its version left aside (`python3.12`), runs code that it is given."""
    return base in _CODE_RUNNERS or _INTERPRETER_VERSION.sub("", base) in _CODE_RUNNERS  # python3.12


def risk_of(words: Sequence[str], expands: Sequence[bool], *, alone: bool) -> str | None:
    """Why no pattern may cover this simple command, as the rest of "asked because: "; None if one may.

    `words` are without their quotes; `expands` says which of them bash turns into file names. `alone` is True where the
    simple command is the whole command.
    """
    program = words[0]
    if expands[0] or not _PROGRAM.fullmatch(program):
        return f"a program whose name is not plain, {program!r}"
    base = basename(program)
    if program in _RESERVED or (program in _BUILTINS and not (program == "cd" and alone)):
        return f"{program!r} changes the shell or runs its arguments"
    if base in RUNS_OTHERS or base.startswith("ld-linux") or _INTERPRETER_VERSION.sub("", base) in RUNS_OTHERS:
        return f"{base!r} runs other programs"
    if base == "git" and len(words) > 1 and words[1].startswith("-") and words[1] != "--version":
        return f"the option {words[1]!r} in front of git's subcommand"
    risky = _OPTIONS.get(base)
    if risky is None:
        return None
    if base == "git" and len(words) > 1:
        risky |= _GIT_OPTIONS.get(words[1], frozenset())
    return _risky_argument(base, words, expands, risky)


def _risky_argument(base: str, words: Sequence[str], expands: Sequence[bool], risky: frozenset[str]) -> str | None:
    bundled = [f"-{words[1]}"] if base == "tar" and len(words) > 1 and not words[1].startswith("-") else []
    for word in [*words[1:], *bundled]:  # `tar xIf` is `tar -x -I -f`
        option = _is_risky_option(word, risky)
        if option is not None:
            return f"the option {option!r} of {base!r} runs programs or writes files"
        if base == "git" and ("ext::" in word or "://-" in word):
            return "a git address that runs a program"
        if base == "tar" and _REMOTE_ARCHIVE.search(word):
            return "an archive on another host, which 'tar' runs a program for"
    if base == "uniq" and sum(word == "-" or not word.startswith("-") for word in words[1:]) > 1:
        return "the second file of 'uniq', which it overwrites"
    for word, does_expand in zip(words, expands, strict=True):
        if does_expand and word[:1] in ("*", "?", "[", "-"):
            return f"the file names of {word!r} could be read as options of {base!r}"
    return None


def named_words(words: Sequence[str]) -> int:
    """How many leading words a rule must spell out, where a star there would say more than it seems to.

    An interpreter has to be named. So have a git subcommand that is an alias or sets what others run, and subcommands
    that run what they are given, wherever they stand: `npm --silent exec sh`.
    """
    base = basename(words[0])
    if is_code_runner(base):
        return 1
    if base == "git" and len(words) > 1 and words[1] not in SUBCOMMANDS["git"]:
        return 2
    given = _GIVEN_COMMANDS.get(base, frozenset()).intersection(words[1:])
    return words.index(min(given, key=words.index)) + 1 if given else 0
