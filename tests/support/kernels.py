"""The kernels of the matrix: an environment for each ipykernel that behaves differently, built once and kept.

They live in `.venvs/` at the root of the repository. An environment is built by `make kernels`, or when a test first asks
for it, and again when its requirements change, the project's own among them; delete the folder to take in newer releases.
The project is importable in them from its sources.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

__all__ = ["KERNELS", "kernel_python"]

KERNELS = {
    "ipykernel-6.31": "ipykernel==6.31.*",  # the main thread reads the shell channel; no subshells
    "ipykernel-7.3": "ipykernel==7.3.*",  # a thread reads it; every request runs in one shared Context
    "ipykernel-newest": "ipykernel>=7.4",  # comms are handled beside an async cell
}
"""What to install, by the name under which tests show it."""

ROOT = Path(__file__).parents[2]


def kernel_python(name: str) -> Path:
    """The interpreter of one kernel of the matrix; the first call may take a minute, in one test worker only."""
    folder = ROOT / ".venvs" / name
    folder.parent.mkdir(exist_ok=True)
    requirements = [*_project_dependencies(), KERNELS[name]]
    stamp = folder / "requirements.stamp"
    wanted = "\n".join([sys.version, *requirements])
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _build(folder, requirements)
            stamp.write_text(wanted)  # last: a build that was cut off is done again
    return _python(folder)


def _build(folder: Path, requirements: list[str]) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    if find_spec("uv") is not None:
        _run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(folder))
        _run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(_python(folder)), *requirements)
    else:
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(_python(folder)), "-m", "pip", "install", "--quiet", *requirements)
    # All that an editable install of a pure-Python project does, without its build backend and without the network.
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "llm_gateway_nb_sources.pth").write_text(f"{ROOT}\n")


def _project_dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dependencies: list[str] = project["dependencies"]
    return dependencies


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)!r} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    for each in KERNELS:
        kernel_python(each)
