"""One contender in a process of its own: `worker.py MODULE FUNCTION [ARGUMENT…]` prints a number for each line it reads.

It imports the module by its path, so a peer's environment needs nothing of this project.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import sys


def main() -> None:
    path, name, *arguments = sys.argv[1:]
    # What a library prints is not a figure.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.path[:0] = [os.path.dirname(path), os.path.dirname(os.path.dirname(path))]  # noqa: PTH120
    spec = importlib.util.spec_from_file_location("benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark"] = module
    spec.loader.exec_module(module)
    function = getattr(module, name)
    for _ in sys.stdin:
        gc.collect()
        gc.freeze()  # or the one whose turn it is pays for looking through everything that was ever imported
        answers.write(json.dumps(function(*arguments)) + "\n")


main()
