"""`repl="sandbox"`: the kernel under bubblewrap, with no network, a system that it can only read, and a /tmp of its own.

Separation by the system's own namespaces. What it does not bound: processor time (the turn's limit does), and what the
functions of the host do when they are called.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from llm_gateway_nb.errors import ConfigurationError

__all__ = ["check_sandbox", "sandboxed"]


@cache
def check_sandbox() -> None:
    """Refuse where there is no sandbox to be had.

    Raises:
        ConfigurationError: bubblewrap is not installed, or may not make namespaces here.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise ConfigurationError(
            "repl='sandbox' needs bubblewrap, which is not installed here: `sudo apt-get install bubblewrap` "
            "(Linux only). Without it use repl='kernel', which is a process of its own and not a sandbox."
        )
    tried = subprocess.run(
        [program, "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        raise ConfigurationError(
            f"repl='sandbox' does not work here: bubblewrap may not make namespaces ({tried.stderr.strip()}). In a "
            "container this needs user namespaces to be allowed. repl='kernel' is a process of its own and not a sandbox."
        )


def sandboxed(command: Sequence[str], folder: Path) -> list[str]:
    """The command inside a sandbox in which `folder` is all that can be written to.

    The person's home and the system's sockets are not there; Python's own folders are, wherever they lie.

    Raises:
        ConfigurationError: see `check_sandbox`.
    """
    check_sandbox()
    homes = [Path.home(), Path(pwd.getpwuid(os.getuid()).pw_dir)]  # HOME may say another one
    hidden = [*homes, Path("/tmp"), Path("/run"), Path("/var/tmp")]
    hidden = [path for path in dict.fromkeys(path.resolve() for path in hidden) if path.is_dir() and path != Path("/")]
    needed = {
        Path(path).resolve() for path in (*sys.path, sys.prefix, sys.base_prefix, str(Path(__file__).parent)) if path
    }
    back = [path for path in sorted(needed) if path.exists() and any(path.is_relative_to(each) for each in hidden)]
    back = [path for path in back if path not in hidden]  # a home that is itself on the path stays hidden
    return [
        "bwrap",
        "--unshare-all",
        *(
            "--cap-drop",
            "ALL",
        ),  # root, as whom many containers run, would keep its rights, and mount all anew to write to it
        "--new-session",
        *("--ro-bind", "/", "/"),
        *("--dev", "/dev"),
        *("--proc", "/proc"),
        *(part for path in hidden for part in ("--tmpfs", str(path))),
        *(part for path in back for part in ("--ro-bind", str(path), str(path))),
        *("--bind", str(folder), str(folder)),
        *("--chdir", str(folder / "work")),
        "--",
        *command,
    ]
