"""A program that speaks the protocol of Claude Code on its standard streams: `fake_claude.py SCRIPT.json [options]`.

The script is a list of steps. A step with `ask` is a permission request; the answer fills `{answer}` in the steps after it,
and a step with `if` is left out unless the answer's behavior is that. `{"wait": true}` waits to be ended.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def read() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return dict(json.loads(line))


def main() -> None:
    if "-v" in sys.argv or "--version" in sys.argv:
        print("2.1.300 (Claude Code)")
        return
    script = json.loads(Path(sys.argv[1]).read_text())
    while True:
        message = read()
        if message["type"] == "control_request":
            response = {"subtype": "success", "request_id": message["request_id"], "response": {}}
            say({"type": "control_response", "response": response})
        elif message["type"] == "user":
            break
    Path(sys.argv[1] + ".seen").write_text(json.dumps({"prompt": message["message"]["content"], "argv": sys.argv[2:]}))
    answer: dict[str, Any] = {}
    for number, step in enumerate(script):
        if step.get("if") not in (None, answer.get("behavior")):
            continue
        if "ask" in step:
            request = {"subtype": "can_use_tool", "permission_suggestions": [], **step["ask"]}
            say({"type": "control_request", "request_id": f"r{number}", "request": request})
            while (message := read())["type"] != "control_response":
                pass
            answer = message["response"]["response"]
        elif step.get("wait"):
            while True:
                read()
        else:
            say(json.loads(json.dumps(step["say"]).replace("{answer}", json.dumps(answer).replace('"', "'"))))


main()
