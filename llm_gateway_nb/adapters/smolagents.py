"""`from_smolagents`: a `ToolCallingAgent` or a `CodeAgent`, from smolagents' page on streaming and its `run(stream=True)`.

The agent is synchronous and runs in a thread. smolagents has no approvals of its own: `asks=` names the tools that ask. The
code of a `CodeAgent` is shown as REPL turns; managed agents are shown in the call, or the code, that calls them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Generator
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any

from llm_gateway_nb.adapters.base import AdaptedHarness, check_agent, last_prompt
from llm_gateway_nb.adapters.teller import Teller, plain
from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.tools.workspace import in_thread
from llm_gateway_nb.types import GeneratorInvokeParams, RelayResponse, new_id

if TYPE_CHECKING:
    from smolagents import MultiStepAgent

__all__ = ["from_smolagents"]

_CODE = "python_interpreter"
_WAIT_SECONDS = 0.1


def from_smolagents(
    agent: MultiStepAgent, prompt: str | None = None, *, asks: Collection[str] = (), **options: Any
) -> AdaptedHarness:
    """A smolagents agent as a harness: `await run(from_smolagents(agent, "…", asks=["python_interpreter"]))`.

    An agent remembers by itself, so earlier messages only say that it should (`reset=False`). A stop waits for the model
    call or the tool at hand: a thread can't be stopped from outside. One run of an agent at a time.

    Args:
        asks: names of tools that ask before they run; `python_interpreter` is the code of a `CodeAgent`.
        options: of `agent.run`, such as `max_steps=`.

    Raises:
        ConfigurationError: smolagents is not installed, or this is no agent of its.
    """
    try:
        import smolagents  # noqa: F401
    except ImportError as error:
        raise ConfigurationError("from_smolagents needs smolagents: pip install smolagents.") from error

    check_agent(agent, "write_memory_to_messages", "from_smolagents takes a CodeAgent or a ToolCallingAgent")

    async def drive(teller: Teller, params: GeneratorInvokeParams) -> None:
        given = {"reset": len(params.messages) < 2, **options}
        loop = asyncio.get_running_loop()
        task = last_prompt(params)

        def work(stop: threading.Event) -> None:
            _Told(teller, agent, frozenset(asks), partial(_answer, teller, loop, stop)).run(task, stop, given)

        await in_thread(work)

    model = getattr(agent.model, "model_id", None)
    return AdaptedHarness("from_smolagents", drive, prompt, model if isinstance(model, str) else None)


def _answer(
    teller: Teller, loop: asyncio.AbstractEventLoop, stop: threading.Event, call_id: str, name: str, given: Any
) -> RelayResponse:
    """Ask from the thread; a stop is a no."""
    params = given if isinstance(given, dict) else {"raw": given}
    asked = asyncio.run_coroutine_threadsafe(teller.ask(call_id, name, params), loop)
    while not stop.is_set():
        try:
            return asked.result(_WAIT_SECONDS)
        except TimeoutError:
            continue
        except CancelledError:
            break
    asked.cancel()
    return RelayResponse(approved=False, reason="stopped")


class _Told:
    """What has been told of one run, in the thread that runs it."""

    def __init__(
        self, teller: Teller, agent: Any, asks: frozenset[str], answer: Callable[[str, str, Any], RelayResponse]
    ) -> None:
        self._teller = teller
        self._agent = agent
        self._asks = asks
        self._answer = answer
        self._text_id = new_id()
        self._text = ""
        self._open: dict[str, str] = {}
        self._code: str | None = None
        self._children: dict[str, Teller] = {}
        self._lock = threading.Lock()
        self._events: Generator[Any, None, None] | None = None

    def run(self, task: str, stop: threading.Event, options: dict[str, Any]) -> None:
        from smolagents import AgentError

        watched = self._watch(self._agent)
        events = self._events = self._agent.run(task, stream=True, **options)
        try:
            event = next(events, None)
            while event is not None:
                refusal = self._take(event)
                if stop.is_set():
                    self._agent.interrupt()  # takes effect before the next step; this one ends with the error
                    refusal = AgentError("The run was stopped.", self._agent.logger)
                event = next(events, None) if refusal is None else events.throw(refusal)
        except AgentError:
            if not stop.is_set():
                raise
        finally:
            for registry, kind, callback in watched:
                registry._callbacks[kind].remove(callback)

    def _take(self, event: Any) -> BaseException | None:
        """Tell of one event; an error to raise inside the agent, where it may not go on with it."""
        if type(event).__name__ == "ToolCall" and not self._text:
            self._say(self._thought())
        match type(event).__name__:
            case "ChatMessageStreamDelta":
                self._say(event.content or "")
            case "ToolCall" if event.name == _CODE and isinstance(event.arguments, str):
                return self._runs_code(event)
            case "ToolCall" if event.name != "final_answer":
                self._calls(event)
            case "ToolOutput" if event.tool_call.name != "final_answer":
                self._gave(event)
            case "ActionStep":
                self._stepped(event)
            case "PlanningStep":
                self._say(event.plan)
                self._spent(self._teller, event)
                self._next_text()
            case "FinalAnswerStep":
                answer = event.output if isinstance(event.output, str) else str(event.output)
                if answer.strip() != self._text.strip():
                    self._next_text()
                    self._say(answer)
            case _:
                pass
        return None

    def _say(self, text: str) -> None:
        self._text += text
        self._teller.text(text, self._text_id)

    def _thought(self) -> str:
        """What a model that does not stream has said in front of its calls: the agent gives it out only after them, but
        the step that it is at has it already."""
        frame = getattr(self._events, "gi_frame", None)
        step = frame.f_locals.get("action_step") if frame is not None else None
        return self._without_code(getattr(step, "model_output", None))

    def _without_code(self, output: Any) -> str:
        """The code is shown where it runs."""
        if not isinstance(output, str):
            return ""
        opening = (getattr(self._agent, "code_block_tags", None) or ("\0",))[0]
        return output.partition(opening)[0].rstrip()

    def _next_text(self) -> None:
        self._text_id, self._text = new_id(), ""

    def _calls(self, call: Any) -> None:
        """A call of a tool. The agent goes on with this very object: what a person edits is what runs."""
        if call.name in self._asks:
            response = self._answer(call.id, call.name, plain(call.arguments))
            if response.approved and response.input is not None:
                call.arguments = response.input
            elif not response.approved:
                reason = f"Denied: {response.reason}" if response.reason else "Denied."
                self._teller.tool_call(call.id, call.name, plain(call.arguments))
                self._teller.tool_result(call.id, call.name, reason, "denied")
                self._deny(call, reason)
                return
        self._open[call.id] = call.name
        self._teller.tool_call(call.id, call.name, plain(call.arguments))

    def _deny(self, call: Any, reason: str) -> None:
        """Let the call give its denial instead: an error would take the other calls of the turn with it."""
        from smolagents import Tool

        class Denial(Tool):  # type: ignore[misc]  # its types are not checked
            name = f"denied_{call.name}"
            description = "Gives the reason of a denial."
            inputs: dict[str, Any] = {}  # noqa: RUF012
            output_type = "string"

            def forward(self) -> str:
                return reason

        call.name, call.arguments = Denial.name, {}
        self._agent.tools[Denial.name] = Denial()

    def _gave(self, output: Any) -> None:
        name = self._open.pop(output.id, None)
        if name is None:
            self._agent.tools.pop(output.tool_call.name, None)
            return
        child = self._children.pop(name, None)
        if child is not None:
            child.end()
        self._teller.tool_result(output.id, name, output.observation)

    def _runs_code(self, call: Any) -> BaseException | None:
        from smolagents.utils import AgentExecutionError

        key = f"{call.id}-{new_id()}"  # the agent numbers its steps anew in every run
        if _CODE in self._asks:
            response = self._answer(key, _CODE, {"code": call.arguments})
            if response.approved and response.input is not None and response.input != {"code": call.arguments}:
                response = RelayResponse(approved=False, reason="smolagents runs no other code than the model's.")
            self._teller.tool_call(key, _CODE, {"code": call.arguments})
            if not response.approved:
                reason = f"Denied: {response.reason}" if response.reason else "Denied."
                self._teller.tool_result(key, _CODE, reason, "denied")
                refusal: BaseException = AgentExecutionError(reason, self._agent.logger)
                return refusal
            self._open[key] = _CODE
        else:
            self._teller.code(key, call.arguments)
        self._code = key
        return None

    def _stepped(self, step: Any) -> None:
        if not self._text:
            self._say(self._without_code(step.model_output))
        error = str(step.error) if step.error is not None else None
        if self._code is not None:
            for child in self._children.values():
                child.end()
            self._children.clear()
            if self._open.pop(self._code, None) is not None:
                self._teller.tool_result(
                    self._code, _CODE, error or step.observations or "", "error" if error else "ok"
                )
            else:
                self._teller.code_output(self._code, step.observations or "", error, done=step.is_final_answer)
            self._code = None
        elif error is not None and not self._open:
            self._teller.error(step.error)
        for call_id, name in self._open.items():
            self._teller.tool_result(call_id, name, error or "It was not run.", "error")
        self._open.clear()
        self._spent(self._teller, step)
        self._next_text()

    def _spent(self, teller: Teller, step: Any) -> None:
        if step.token_usage is not None:
            teller.tokens(step.token_usage.input_tokens, step.token_usage.output_tokens)

    def _watch(self, agent: Any) -> list[tuple[Any, type, Any]]:
        """Have the steps of managed agents told; gives what is to be undone at the end."""
        from smolagents import ActionStep

        watched: list[tuple[Any, type, Any]] = []
        for name, managed in (agent.managed_agents or {}).items():
            callback = partial(self._managed, name)
            managed.step_callbacks.register(ActionStep, callback)
            watched.append((managed.step_callbacks, ActionStep, callback))
        return watched

    def _managed(self, name: str, step: Any, agent: Any = None) -> None:
        """A step of a managed agent is over: all that is known of it comes at once."""
        with self._lock:
            child = self._children.get(name)
            if child is None:
                parent = next((key for key, open_name in self._open.items() if open_name == name), self._code)
                child = self._children[name] = self._teller.child(parent)
                child.start()
        text_id = new_id()
        if isinstance(step.model_output, str):
            child.text(step.model_output, text_id)
        error = str(step.error) if step.error is not None else None
        for call in step.tool_calls or ():
            key = f"{call.id}-{text_id}"
            if call.name == _CODE:
                child.code(key, call.arguments)
                child.code_output(key, step.observations or "", error)
            elif call.name != "final_answer":
                child.tool_call(key, call.name, plain(call.arguments))
                child.tool_result(key, call.name, error or step.observations or "", "error" if error else "ok")
        if step.is_final_answer and step.action_output is not None:
            child.text(str(step.action_output), new_id())
        self._spent(child, step)
