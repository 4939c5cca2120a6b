"""What is known of programs by name: which run others, which of their options do, which have subcommands.

Plain tables. What is not in one is taken to be what it looks like: a program that does its own work.
"""

from __future__ import annotations

__all__ = [
    "BUILTINS",
    "CODE_RUNNERS",
    "GIT_NOT_GENERALISED",
    "GIT_OPTIONS",
    "GIVEN_COMMANDS",
    "NOT_GENERALISED",
    "OPTIONS",
    "RESERVED",
    "RUNS_OTHERS",
    "SUBCOMMANDS",
    "THIRD_WORD",
]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


RESERVED = _names("! [[ ]] { } case coproc do done elif else esac fi for function if in select then time until while")

BUILTINS = _names(
    """. alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown enable
    eval exec export fc fg getopts hash help history jobs let local logout mapfile popd pushd read readarray readonly
    return set shift shopt source suspend times trap typeset ulimit umask unalias unset wait chdir"""
)
"""They run their arguments, or change what the commands after them do. `echo`, `test` and their like are not here."""

RUNS_OTHERS = _names(
    """arch ash at autossh bash batch bpftrace bunx busybox bwrap caffeinate capsh catchsegv choom chpst chronic chroot
    chrt cmd coresched cpulimit crontab csh dash dbus-launch dbus-run-session doas dotenv dumb-init eatmydata elvish
    enosys entr env env_parallel envchain envdir expect fakechroot fakeroot faketime firejail fish flock fzf gdb
    gdbserver gosu gtk-launch heaptrack hyperfine i386 ifne ionice ip kexec ksh ld.so ldd linux32 linux64 lldb ltrace
    machinectl mksh mosh nice nohup npx nsenter nu numactl open osascript parallel pee perf pipesz pipx pkexec pnpx
    posh powershell prlimit proot proxychains proxychains4 pwsh rbash rksh rlwrap rr rsh run-mailcap run-parts run0
    runcon runuser scp screen script scriptlive sem setarch setlock setpriv setsid setuidgid sftp sg sh slogin
    softlimit ssh ssh-agent ssh-copy-id sshfs sshpass stap start-stop-daemon stdbuf strace su su-exec sudo sudoedit
    systemd-cat systemd-inhibit systemd-notify systemd-nspawn systemd-run systemd-socket-activate taskset tclsh tcsh
    telnet time timeout tini tmux torify torsocks toybox uclampset uftrace uname26 unbuffer unshare uvx valgrind vipe
    watch wine winpty wish wsl x86_64 xargs xdg-open xdotool xonsh xterm xvfb-run yash zargs zsh"""
)
"""Programs whose arguments, input or settings are a command to run. Only a rule for the exact call covers them."""

CODE_RUNNERS = _names(
    """ansible ansible-playbook ant awk bazel bazelisk bb bpython bun celery clickhouse clickhouse-client clisp clj
    clojure code codium coffee coverage cpython cqlsh crystal csi ctest cypress dc deno django-admin duckdb dune ecl
    ed editor elixir emacs emacsclient erb erl escript eslint ex fab flask gap gawk gdb gem ghc ghci ghostscript
    gmake gnuplot gp gradle gradlew groff groovy grunt gs guile gulp gunicorn gvim gvimdiff hx hypercorn iex inv
    invoke ipython irb java jbang jed jekyll jest joe jruby jshell julia jupyter just jython kak karma kotlin kotlinc
    latex latexmk lein less litecli lua luajit lualatex luatex m4 make mariadb matlab mawk maxima mcedit meson micro
    micropython mix mkdocs mlr mocha mongo mongosh more mvn mvnw mycli mysql nano nawk nim ninja nix node nodejs
    nosetests nox nvim ocaml octave pager papermill pdflatex pdftex perl pgcli php phpunit pico playwright pre-commit
    prettier pry psql py.test pypy pypy3 pytest python python2 python3 qjs R racket rails rake raku redis-cli rollup
    Rscript rspec ruby runghc runhaskell rvim sage salt sbcl sbt scala scala-cli scons sed sensible-browser
    sensible-editor sensible-pager sphinx-build sqlite3 streamlit subl swift task tex tox ts-node tsx usql utop uvicorn vi
    view vim vimdiff vite vitest webpack wolframscript xelatex xetex zig"""
)
"""Interpreters, editors and build tools: their arguments are code. A rule may name them; a star does not stand for one,
and an "always" is for the exact call."""

NOT_GENERALISED = _names(
    """7z 7za 7zr ar aria2c axel bison borg bsdtar btrfs bunzip2 busctl bzip2 c++ cc chattr chcon chgrp chmod chown
    clang clang++ convert cp cpio createdb cryptsetup csplit ctags curl dbus-send dd dos2unix dot dpkg dropdb
    dropuser duplicity e2fsck efibootmgr exiftool fallocate fdisk ffmpeg flex fsck ftp g++ gcc gdbus gpg gpg2
    groupadd groupdel grub-install gsutil gunzip gzip halt hdparm hostname http httpie https ifconfig init insmod
    install ip6tables iptables javac kill killall ld lftp link ln logger losetup lvm lvremove magick mail mailx
    mke2fs mkfs mkfs.btrfs mkfs.ext2 mkfs.ext3 mkfs.ext4 mkfs.vfat mkfs.xfs mknod mkswap mmv modprobe mogrify mount
    msmtp mutool mutt mv mysqladmin nasm nc ncat ncftp netcat nft nmap nmcli objcopy openssl pandoc parted passwd
    patch pdftk pdftoppm pdftotext pdfunite pg_restore pkill poweroff prename protoc ps2pdf qdbus qpdf rclone reboot
    recode rename resize2fs restic rfkill rm rmdir rmmod rpm rsync rustc s3cmd sendmail service setfacl sfdisk shred
    shutdown smbclient smbget socat sox split sponge srm ssh-add ssh-keygen strip swaks swig sysctl systemctl tar tee
    telinit tftp tidy trash truncate tsc tune2fs ufw umount unix2dos unlink unrar unxz unzip unzstd update-grub
    useradd userdel usermod visudo wall wget wipefs write xh xsltproc xxd xz yacc youtube-dl yq yt-dlp zfs zip zpool
    zstd"""
)
"""Programs that destroy, overwrite or send: an "always" for one file must not become one for all files."""

GIT_NOT_GENERALISED = _names(
    """am apply bundle checkout clean clone format-patch gc pull push rebase remote reset restore rm sparse-checkout
    worktree"""
)
"""The same among git's subcommands: an "always" for `git push origin` must not become one for any address."""

GIVEN_COMMANDS: dict[str, frozenset[str]] = {
    "asdf": _names("exec"),
    "aws-vault": _names("exec"),
    "bazel": _names("run"),
    "buildah": _names("run"),
    "bundle": _names("exec"),
    "cabal": _names("exec run"),
    "cargo": _names("run"),
    "chamber": _names("exec"),
    "composer": _names("exec run-script"),
    "conda": _names("run"),
    "dart": _names("run"),
    "direnv": _names("exec"),
    "docker": _names("exec run"),
    "docker-compose": _names("exec run"),
    "doppler": _names("run"),
    "dotnet": _names("exec run script"),
    "flatpak": _names("run"),
    "flutter": _names("run"),
    "fnm": _names("exec"),
    "gh": _names("alias extension"),
    "go": _names("generate run tool"),
    "hatch": _names("run"),
    "infisical": _names("run"),
    "kubectl": _names("debug exec run"),
    "lxc": _names("exec"),
    "mamba": _names("run"),
    "micromamba": _names("run"),
    "mise": _names("exec x"),
    "nerdctl": _names("exec run"),
    "nix": _names("develop run shell"),
    "nodenv": _names("exec"),
    "npm": _names("exec explore x"),
    "oc": _names("debug exec rsh run"),
    "op": _names("run"),
    "pdm": _names("run"),
    "pipenv": _names("run shell"),
    "pixi": _names("exec run"),
    "pnpm": _names("dlx exec"),
    "podman": _names("exec run"),
    "podman-compose": _names("exec run"),
    "poetry": _names("run shell"),
    "pyenv": _names("exec"),
    "rbenv": _names("exec"),
    "rustup": _names("run"),
    "rye": _names("run"),
    "snap": _names("run"),
    "sops": _names("exec-env exec-file"),
    "stack": _names("exec runghc"),
    "uv": _names("run tool"),
    "vagrant": _names("ssh"),
    "volta": _names("run"),
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
    **dict.fromkeys(
        _names(
            """apk aptitude aws az buildah cabal composer consul corepack dart defaults diskutil docker-compose doctl
            etcdctl firebase flatpak flutter fly flyctl gcloud glab guix hatch heroku hub launchctl loginctl lxc
            mamba micromamba nerdctl netlify nix nix-env nomad oc op pacman pdm pipenv pixi pm2 podman-compose
            pulumi rustup rye snap sops stack supervisorctl tofu vagrant vault vercel virsh wrangler zypper"""
        ),
        frozenset(),
    ),  # what they do can't be told from the first word, or it acts far away
    "apt": _names("list search show"),
    "apt-get": frozenset(),
    "brew": _names("info list search"),
    "bundle": _names("check list show"),
    "cargo": _names("bench build check clippy doc fmt metadata test tree"),
    "conda": _names("info list search"),
    "dnf": _names("info list search"),
    "docker": _names("images info inspect logs ps version"),
    "dotnet": _names("build test"),
    "gh": _names("auth issue pr release repo run search status"),
    "go": _names("build doc env fmt list mod test version vet"),
    "helm": _names("get history list status"),
    "hg": _names("annotate branches cat diff heads log parents status"),
    "hostnamectl": _names("status"),
    "kubectl": _names("describe explain get logs top version"),
    "npm": _names("audit list ls outdated run test view"),
    "pip": _names("check freeze list show"),
    "pip3": _names("check freeze list show"),
    "pnpm": _names("audit list ls outdated run test why"),
    "podman": _names("images info inspect logs ps version"),
    "poetry": _names("check env show version"),
    "resolvectl": _names("query status"),
    "svn": _names("blame cat diff info list log status"),
    "terraform": _names("fmt plan show validate version"),
    "timedatectl": _names("status"),
    "uv": _names("tree version"),
    "yum": _names("info list search"),
    "yarn": _names("audit info list test why"),
}
"""Programs whose first word says what they do, and the ones for which "always" may mean any further arguments."""

THIRD_WORD = {
    *((program, "run") for program in ("gh", "npm", "pnpm")),
    *(("gh", word) for word in ("auth", "issue", "pr", "release", "repo")),
    ("go", "mod"),
    ("poetry", "env"),
}
"""Subcommands that name the thing only with a third word: `npm run build`."""

_COMPILER = _names("-B -Xclang -fplugin -load -specs --specs -wrapper")

OPTIONS: dict[str, frozenset[str]] = {
    "ack": _names("--pager"),
    "ag": _names("--pager"),
    "apt": _names("-o --option -c --config-file"),
    "apt-get": _names("-o --option -c --config-file"),
    "bat": _names("--pager"),
    "batcat": _names("--pager"),
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
    "go": _names("-exec --exec -toolexec --toolexec -vettool --vettool -w"),
    "helm": _names("--kubeconfig --post-renderer"),
    "hg": _names("--config"),
    "iconv": _names("-o --output"),
    "journalctl": _names("--flush --rotate --vacuum-files --vacuum-size --vacuum-time"),
    "kubectl": _names("--kubeconfig"),
    "man": _names("-C -H -P --config-file --html --pager"),
    "nm": _names("--plugin"),
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

GIT_OPTIONS = {
    "archive": _names("-o"),
    "clone": _names("-c -u"),
    "grep": _names("-O"),
    "rebase": _names("-i -s -x --interactive --strategy"),
    **dict.fromkeys(("cherry-pick", "merge", "pull", "revert"), _names("-s --strategy")),  # a program `git-merge-…`
}
