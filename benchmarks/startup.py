"""What importing costs: `import llm_gateway_nb` beside importing pydantic and building one model."""

from __future__ import annotations

import resource
import subprocess
import sys

from frame import Contender, Figure

_OURS = "import llm_gateway_nb"
_PYDANTIC = "import pydantic\nclass M(pydantic.BaseModel):\n    a: int"
_HEAVY = ("IPython", "ipywidgets", "openai", "anthropic", "xllamacpp")


def _cpu(code: str) -> float:
    """Milliseconds of CPU of a fresh interpreter, the third of three: the files are warm."""
    took = 0.0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000
    return took


def ours() -> float:
    loaded = f"{_OURS}\nimport sys\nassert not {{*{_HEAVY!r}}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", loaded], check=True)
    return _cpu(_OURS)


def pydantic_and_a_model() -> float:
    return _cpu(_PYDANTIC)


FIGURES = [
    Figure(
        "import",
        "import llm_gateway_nb",
        "ms of CPU, interpreter included",
        [Contender("llm_gateway_nb", ours), Contender("pydantic and one model", pydantic_and_a_model)],
        at_most=1.6,
        note="Neither IPython, ipywidgets nor a provider's SDK is loaded by it.",
        in_readme=True,
    )
]
