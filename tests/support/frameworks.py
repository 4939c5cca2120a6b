"""Packages of other frameworks that are too heavy for the environment of the tests.

The Claude Agent SDK's wheels hold a whole program of 385 MB. Its source distribution does not, and is installed by itself
into a folder under `.venvs/` when it is first asked for; what it needs is in the environment of the tests.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["claude_agent_sdk"]

ROOT = Path(__file__).parents[2]
_CLAUDE = "claude-agent-sdk>=0.2,<0.3"


def claude_agent_sdk() -> Path:
    """A folder for `sys.path`; the first call takes some seconds, in one test worker only."""
    folder = ROOT / ".venvs" / "claude-agent-sdk"
    folder.parent.mkdir(exist_ok=True)
    stamp = folder / "requirements.stamp"
    wanted = f"{sys.version}\n{_CLAUDE}"
    with (folder.parent / "claude-agent-sdk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
            command += ["--no-binary", "claude-agent-sdk", _CLAUDE]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)!r} failed:\n{done.stdout}{done.stderr}")
            stamp.write_text(wanted)  # last: a build that was cut off is done again
    return folder
