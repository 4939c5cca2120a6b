"""Services to practise with: a server on this machine that speaks OpenAI's, Ollama's and Anthropic's protocols.

`create_llm("openai", …)` and the rest reach it as they would reach the service: through the official SDKs, over HTTP. A
tutorial runs without a key and without a network, and a test sees what its code really sends.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any, Self

from llm_gateway_nb.providers.services import ANTHROPIC, OPENAI_FAMILY
from llm_gateway_nb.testing.practice_wire import Reply, handler

__all__ = ["PracticeRequest", "PracticeServices", "practice_services"]

_KEY = "practice"
_TOGETHER_SECONDS = 60.0
_MODELS = ("claude-haiku-4-5", "gpt-4o-mini", "local-model", "qwen3:4b")


@dataclass(frozen=True, slots=True)
class PracticeRequest:
    """What one call sent.

    Attributes:
        service: openai, ollama, lmstudio, … as `create_llm` calls it.
        prompt: the last thing that the user said.
        messages: all of the conversation, as it came.
        body: the whole request.
    """

    service: str
    model: str
    prompt: str
    messages: list[dict[str, Any]]
    body: dict[str, Any]


Answers = Mapping[str, str] | Callable[[PracticeRequest], str]


def practice_services(answers: Answers | None = None, *, seconds: float = 0.0, together: int = 1) -> PracticeServices:
    """Start the server and point every provider at it, until `stop()` or the end of a `with` block.

    The addresses and keys in the environment are set meanwhile (`OPENAI_BASE_URL`, `OPENAI_API_KEY`, …), so what is made
    by `create_llm` afterwards talks to it, and never to a service.

    Args:
        answers: what to answer, by a text that the prompt holds, or a function of the request. Without one it says who
            answers what; where a schema is asked for, the answer is an example of it.
        seconds: how long the model thinks before it answers.
        together: how many requests have to be inside at once before the first is answered: what is asked at once is then
            seen at once, on a busy machine too. Where fewer come, they are answered after a minute.
    """
    return PracticeServices(answers, seconds=seconds, together=together)


@dataclass(eq=False)
class PracticeServices:
    """The server, and what it saw.

    Attributes:
        requests: what was sent, in order.
        most_at_once: how many requests were inside at the same time, at most, since `reset()`.
    """

    answers: Answers | None = None
    seconds: float = 0.0
    together: int = 1
    requests: list[PracticeRequest] = field(default_factory=list)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Condition()
        self._inside = 0
        self._failures: list[tuple[int, str]] = []
        self._server = _Server(("127.0.0.1", 0), handler(self._reply, self._leave, list(_MODELS)))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="practice", daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._before = {name: os.environ.get(name) for name in self._variables()}
        os.environ.update(self._variables())

    def _variables(self) -> dict[str, str]:
        variables = {}
        for service in (*OPENAI_FAMILY.values(), ANTHROPIC):
            path = f"/{service.name}" if service is ANTHROPIC else f"/{service.name}/v1"
            variables[service.base_url_variables[0]] = f"{self.url}{path}"
            variables[service.key_variable] = _KEY
        return variables

    def fail(self, times: int = 1, *, status: int = 500, message: str = "having a bad day") -> None:
        """Answer the next requests with an error instead."""
        with self._lock:
            self._failures += [(status, message)] * times

    def reset(self, *, together: int = 1) -> None:
        """Forget what was sent so far; the next answers wait until `together` requests are inside."""
        with self._lock:
            self.together = together
            self.requests.clear()
            self._failures.clear()
            self.most_at_once = self._inside

    def stop(self) -> None:
        """Stop the server, and put the environment back as it was. Harmless when done twice."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"PracticeServices(requests={len(self.requests)}, most_at_once={self.most_at_once})"

    def _reply(self, service: str, body: dict[str, Any]) -> Reply:
        request = _request(service, body)
        with self._lock:
            self.requests.append(request)
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
            failure = self._failures.pop(0) if self._failures else None
            self._lock.notify_all()
            self._lock.wait_for(lambda: self.most_at_once >= self.together, _TOGETHER_SECONDS)
        if self.seconds:
            time.sleep(self.seconds)
        if failure is not None:
            return Reply(status=failure[0], text=failure[1])
        asked = sum(len(str(message.get("content") or "").split()) for message in request.messages)
        return Reply(text=self._answer(request), model=request.model, input_tokens=asked)

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1

    def _answer(self, request: PracticeRequest) -> str:
        if callable(self.answers):
            return self.answers(request)
        for part, answer in (self.answers or {}).items():
            if part in request.prompt:
                return answer
        schema = _schema(request.body)
        if schema is not None:
            return json.dumps(_example(schema, schema))
        return f"This is {request.model}, asked: {request.prompt}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def _request(service: str, body: dict[str, Any]) -> PracticeRequest:
    messages = [message for message in body.get("messages", ()) if isinstance(message, dict)]
    said = next((message.get("content") for message in reversed(messages) if message.get("role") == "user"), "")
    if isinstance(said, list):
        said = " ".join(str(part.get("text", "")) for part in said if isinstance(part, dict))
    return PracticeRequest(service, str(body.get("model")), str(said or ""), messages, body)


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON Schema of a structured answer, in OpenAI's words or in Anthropic's."""
    wanted = body.get("response_format") or (body.get("output_config") or {}).get("format") or body.get("output_format")
    if not isinstance(wanted, dict):
        return None
    schema = wanted.get("json_schema", wanted).get("schema")
    return schema if isinstance(schema, dict) else None


def _example(schema: Mapping[str, Any], whole: Mapping[str, Any], name: str = "answer") -> Any:
    """Something that fits; texts are the name of their property."""
    if reference := schema.get("$ref"):
        return _example(whole.get("$defs", {}).get(reference.rpartition("/")[2], {}), whole, name)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if choices := schema.get("anyOf"):
        return _example(choices[0], whole, name)
    match schema.get("type"):
        case "object":
            return {key: _example(value, whole, key) for key, value in schema.get("properties", {}).items()}
        case "array":
            return [_example(schema.get("items", {}), whole, name)]
        case "number":
            return 0.5
        case "integer":
            return 1
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return f"An example of {name.replace('_', ' ')}."
