"""What the code in a model's REPL can ask of us: `llm_query` and `exec`."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING, Any

from llm_gateway_nb.harnesses.rlm_exec import make_exec_tool
from llm_gateway_nb.harnesses.stream import as_generator
from llm_gateway_nb.harnesses.turn import ToolTurn
from llm_gateway_nb.harnesses.under_budget import budget_questions, count_call, stopped_by
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.repl import HostFunction, ReplTurn
from llm_gateway_nb.types import (
    ErrorEvent,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessStartEvent,
    InvokeEnv,
    RelayEvent,
    TextEvent,
    ToolCallEvent,
    ToolProgressEvent,
    ToolResultEvent,
    UserMessage,
    new_id,
)

if TYPE_CHECKING:
    from llm_gateway_nb.harnesses.rlm import RlmHarness, RlmRun

__all__ = ["RlmHost", "Tree"]

_KERNELS_A_LEVEL = 8


class Tree:
    """What the runs of one tree share.

    Attributes:
        is_over: a budget is used up; every run ends with the turn that it is in.
        shared: what wrappers of the models keep for the tree, see `InvokeEnv`.
    """

    def __init__(self) -> None:
        self.shared: dict[Any, Any] = {}
        self.is_over = False
        self._rooms: defaultdict[int, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_KERNELS_A_LEVEL))

    def room(self, level: int) -> asyncio.Semaphore:
        """For a REPL of this level. Whoever waits for one holds only rooms of the levels above, so all get theirs."""
        return self._rooms[level]


class RlmHost:
    """The functions of one run. `turn` is the one that runs now; what they bring about is told through it."""

    def __init__(
        self, harness: RlmHarness, params: GeneratorInvokeParams, run_id: str, grants: Grants, *, level: int, tree: Tree
    ) -> None:
        self.turn: ReplTurn
        self._harness = harness
        self._config = harness.config
        self._params = params
        self._run_id = run_id
        self._grants = grants
        self._level = level
        self._tree = tree
        self._exec_tool = make_exec_tool(timeout=harness.config.exec_timeout, cwd=harness.config.exec_cwd)
        self._numbers = count(1)
        self._env = params.env or InvokeEnv()
        self._helpers = 0
        self._stopped: str | None = None

    def stop(self, why: str) -> None:
        """End the turn. Helpers that its code waits for are left to themselves: they end in their own words, and the turn
        with the last of them."""
        self._stopped = why
        if not self._helpers:
            self.turn.stop(why)

    @property
    def functions(self) -> dict[str, HostFunction]:
        return {"llm_query": self._llm_query, "exec": self._exec}

    async def _llm_query(self, prompt: Any, context: Any = None) -> str:
        """Ask a model that knows only what it is given here; the answer is a str. Await it."""
        task, text = _as_text(prompt), None if context is None else _as_text(context)
        budget = self._config.sub_prompt_budget
        if len(task) > budget:
            raise ValueError(
                f"llm_query: the prompt has {len(task)} characters and may have {budget}. Keep the task short and give the "
                "text as the second argument: llm_query(prompt, context)."
            )
        self._check_budget()
        self._helpers += 1
        try:
            if self._level < self._config.max_depth:
                return await self._run_below(task, text)
            return await self._call(task, text)
        finally:
            self._helpers -= 1
            if self._stopped is not None and not self._helpers:
                self.turn.stop(self._stopped)

    async def _run_below(self, task: str, text: str | None) -> str:
        """A run with a REPL of its own, under the same permissions."""
        run = self._harness.run_below(
            self._params.model_copy(
                update={
                    "model": self._config.sub_model or self._model(),
                    "messages": [UserMessage(content=task)],
                    "context": text,
                    "env": InvokeEnv(
                        parent_id=self.turn.id,
                        depth=(self._params.env.depth or 0 if self._params.env else 0) + 1,
                        grants=self._grants,
                        shared=self._shared(),
                        budgets=self._env.budgets,
                    ),
                    "settings": self._settings(),
                    "response_model": None,
                }
            ),
            level=self._level + 1,
            tree=self._tree,
        )
        open_runs: dict[str, str | None] = {}
        try:
            async with aclosing(run.events()) as events:
                async for event in events:
                    if isinstance(event, HarnessStartEvent):
                        open_runs[event.run_id] = event.parent_id
                    elif isinstance(event, HarnessEndEvent):
                        open_runs.pop(event.run_id, None)
                    self.turn.push(event)
        finally:  # of one that the code gave up, or whose turn was stopped
            for run_id, parent_id in reversed(open_runs.items()):
                self.turn.say(HarnessEndEvent(run_id=run_id, parent_id=parent_id, reason="cancelled"))
        if run.answer is None:
            raise RuntimeError(f"llm_query: {_why(run)}")
        return run.answer

    async def _call(self, task: str, text: str | None) -> str:
        """One call of the model. Its text shows in the turn; a failure is raised in the code, which may go on."""
        request = GeneratorInvokeParams(
            model=self._config.sub_model or self._model(),
            messages=[UserMessage(content=task if not text else f"{task}\n\n{text}")],
            settings=self._settings(),
            env=InvokeEnv(parent_id=self.turn.id, shared=self._shared()),
        )
        async for question in budget_questions(self._env, self._run_id, asker=new_id()):
            self.turn.push(question)
        self._check_budget()
        count_call(self._env)
        said: list[str] = []
        failure = ""
        async with aclosing(as_generator(self._harness.sub.invoke(request))) as events:
            async for event in events:
                match event:
                    case HarnessStartEvent():
                        continue
                    case HarnessEndEvent():
                        if event.reason == "budget":
                            self._tree.is_over, failure = True, "the budget is used up."
                        elif event.reason in ("error", "cancelled"):
                            failure = failure or "the model's call failed."
                        continue
                    case ErrorEvent():
                        failure = f"{type(event.error).__name__}: {event.error}"
                        continue
                    case TextEvent():
                        said.append(event.content)
                    case _:
                        pass
                self.turn.push(event)
        if failure:
            raise RuntimeError(f"llm_query: {failure}")
        return "".join(said)

    def _check_budget(self) -> None:
        if self._tree.is_over or stopped_by(self._env) is not None:
            raise RuntimeError("llm_query: the budget is used up.")

    async def _exec(self, command: str, timeout: float | None = None) -> dict[str, Any]:
        """Run a shell command; the result has .stdout, .stderr and .exit_code. Await it."""
        turn = self.turn
        given = {"command": command} if timeout is None else {"command": command, "timeout": timeout}
        call = ToolTurn(
            run_id=self._run_id,
            parent_id=self._params.env.parent_id if self._params.env else None,
            calls=[ToolCallEvent(run_id=self._run_id, id=f"exec_{next(self._numbers)}", name="exec", input=given)],
            tools=[self._exec_tool],
            grants=self._grants,
            env=InvokeEnv(),
            tool_timeout=None,
            relay_timeout=None,
        )
        result: ToolResultEvent | None = None
        async with aclosing(call.events()) as events:
            async for event in events:
                match event:
                    case RelayEvent():  # shown in the cell whose code asks
                        turn.push(event.model_copy(update={"tool_call_id": turn.id}))
                    case ToolProgressEvent(content={"stream": stream, "text": text}):
                        turn.progress(stream, text)
                    case ToolProgressEvent(content={"metrics": metrics}):
                        turn.progress("stderr", "", metrics=metrics)
                    case ToolResultEvent():
                        result = event
                    case _:
                        pass
        assert result is not None
        if result.status == "denied":
            said = str(result.output)
            raise PermissionError("exec denied" + (f": {said.removeprefix('Denied: ')}" if said != "Denied." else "."))
        if result.status != "ok":
            raise RuntimeError(f"exec: {result.output}")
        return dict(result.result)

    def _shared(self) -> Any:
        env = self._params.env
        return env.shared if env is not None and env.shared is not None else self._tree.shared

    def _model(self) -> str | None:
        """The run's own model, where the same harness is asked: another one may not know it."""
        return self._params.model if self._is_same() else None

    def _settings(self) -> dict[str, Any] | None:
        return self._params.settings if self._is_same() else None

    def _is_same(self) -> bool:
        return self._level > 0 or self._harness.sub is self._harness.root


def _why(run: RlmRun) -> str:
    match run.reason:
        case "max_iterations":
            return "the helper used up its replies and gave no answer."
        case "budget":
            return "the budget is used up."
        case _:
            return f"the helper failed: {type(run.error).__name__}: {run.error}" if run.error else "the helper failed."


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
