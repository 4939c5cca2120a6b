"""What Binder does, done here: a clean environment, `binder/postBuild`, and a notebook."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_clean_environment_becomes_one_that_opens_on_the_first_notebook_and_runs_them(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(".*", "__pycache__", "demo-output"))
    venv.create(tmp_path / "env", with_pip=True)
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}}
    environment |= {"PATH": f"{tmp_path / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}", "JUPYTER_PLATFORM_DIRS": "1"}

    def do(*command: str) -> str:
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    do("bash", "binder/postBuild")
    where = do("python", "-c", "import llm_gateway_nb; print(llm_gateway_nb.__file__)")
    assert str(tmp_path / "env") in where or str(project) in where
    config = json.loads(do("jupyter", "lab", "--show-config-json"))
    start = config["LabApp"]["default_url"].removeprefix("/lab/tree/")
    assert (project / start).is_file()
    do(
        "jupyter",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "notebooks/05_permissions.ipynb",
        "--output-dir",
        str(tmp_path),
    )
    ran = json.loads((tmp_path / "05_permissions.ipynb").read_text())
    assert not [o for cell in ran["cells"] for o in cell.get("outputs", []) if o["output_type"] == "error"]
