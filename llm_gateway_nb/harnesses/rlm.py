"""A recursive language model: the input is a variable in a REPL, and the model writes the code that reads it.

The loop of one run stands here; a turn in `repl/turn.py`, what its code can ask of us in `rlm_host.py`, what the model is
told in `rlm_prompt.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from llm_gateway_nb.errors import CodeBlockError, ConfigurationError
from llm_gateway_nb.harnesses.code_block import code_block
from llm_gateway_nb.harnesses.rlm_config import RlmConfig
from llm_gateway_nb.harnesses.rlm_host import RlmHost, Tree
from llm_gateway_nb.harnesses.rlm_prompt import error_feedback, last_word, output_feedback, system_prompt
from llm_gateway_nb.harnesses.stream import as_generator
from llm_gateway_nb.harnesses.under_budget import budget_questions, count_call, stopped_by, watched, withdraw_questions
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.repl import Repl, ReplTurn, check_sandbox
from llm_gateway_nb.types import (
    AssistantMessage,
    EndReason,
    ErrorEvent,
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    InvokeEnv,
    Message,
    SystemMessage,
    TextEvent,
    ToolCallEvent,
    TotalUsage,
    UsageEvent,
    UserMessage,
    new_id,
)

__all__ = ["RlmHarness", "create_rlm_harness"]


def create_rlm_harness(
    root_harness: GeneratorHarnessModule,
    sub_harness: GeneratorHarnessModule | None = None,
    config: RlmConfig | None = None,
) -> RlmHarness:
    """A recursive language model: `run(create_rlm_harness(llm), "What is said about …?", context=long_text)`.

    The model sees the length of `context` and how it begins, and writes one block of Python a turn; it ends with `FINAL`.
    Its code may ask models about parts of the text (`llm_query`), and run commands (`exec`, by permission). It runs in a
    process of its own, which is separation and not a sandbox: it can do what the person at the keyboard can, unless the
    config says `repl="sandbox"`.

    Args:
        root_harness: makes one model call an invoke; the model that writes the code.
        sub_harness: what `llm_query` asks; None is the same.

    Raises:
        ConfigurationError: a harness that is none, or a sandbox that is not to be had here.
    """
    for name, harness in (("root_harness", root_harness), ("sub_harness", sub_harness)):
        if harness is not None and not callable(getattr(harness, "invoke", None)):
            raise ConfigurationError(
                f"create_rlm_harness: {name} is a harness, something with `invoke(params)`, not {harness!r}; "
                "create_llm(…) gives one."
            )
    if root_harness is None:
        raise ConfigurationError("create_rlm_harness takes a harness; create_llm(…) gives one.")
    config = config if config is not None else RlmConfig()
    if not isinstance(config, RlmConfig):
        raise ConfigurationError(f"create_rlm_harness: config is an RlmConfig, not {config!r}.")
    if config.repl == "sandbox":
        check_sandbox()
    return RlmHarness(root_harness, sub_harness if sub_harness is not None else root_harness, config)


class RlmHarness:
    """See `create_rlm_harness`. Holds settings only; any number of invokes may run at once."""

    keeps_budgets = True

    def __init__(
        self, root_harness: GeneratorHarnessModule, sub_harness: GeneratorHarnessModule, config: RlmConfig
    ) -> None:
        self.root = root_harness
        self.sub = sub_harness
        self.config = config

    def __repr__(self) -> str:
        return f"RlmHarness({self.root!r}, max_iterations={self.config.max_iterations}, repl={self.config.repl!r})"

    async def supported_models(self) -> list[str]:
        """Those of the model that writes the code."""
        return await self.root.supported_models()

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        """One run. `params.context` is the variable `context`; the messages are the task. Text and reasoning of the model
        come as they stream, each turn as `repl_input`, `repl_progress`, `repl_output`, and the answer as one `text` before
        `harness_end`. What an `llm_query` does hangs from the `repl_input` whose code called it.

        Closing the generator, or cancelling the task that reads it, ends the REPL's process, commands, and model calls.

        Raises:
            InvalidMessagesError: at once, before anything is sent.
        """
        return self.run_below(GeneratorInvokeParams.of(params, fields), level=0, tree=Tree()).events()

    def run_below(self, params: GeneratorInvokeParams, *, level: int, tree: Tree) -> RlmRun:
        """A run at some level of a tree; for `llm_query`."""
        return RlmRun(self, params, level=level, tree=tree)


class RlmRun:
    """One run of the tree: the root's, or that of an `llm_query`. After `events()` it has its `reason`, and an `answer` if
    there is one."""

    def __init__(self, harness: RlmHarness, params: GeneratorInvokeParams, *, level: int, tree: Tree) -> None:
        env = self._env = params.env or InvokeEnv()
        self.id = new_id()
        self.answer: str | None = None
        self.reason: EndReason = "error"
        self.error: BaseException | None = None
        self._harness = harness
        self._config = harness.config
        self._model_harness = harness.root if level == 0 else harness.sub
        self._params = params
        self._of: dict[str, Any] = {"run_id": self.id, "parent_id": env.parent_id}
        self._depth = env.depth
        self._grants = env.grants if env.grants is not None else Grants(params.permissions)
        self._shared = env.shared if env.shared is not None else tree.shared
        self._level = level
        self._tree = tree
        self._usage = TotalUsage()

    async def events(self) -> AsyncGenerator[HarnessEvent, None]:
        config, iterations = self._config, 0
        yield self._counted(
            HarnessStartEvent(
                **self._of,
                depth=self._depth or None,
                max_iterations=config.max_iterations,
                model=self._params.model or getattr(self._model_harness, "model", None),
            )
        )
        context = self._params.context or ""
        try:
            host = RlmHost(self._harness, self._params, self.id, self._grants, level=self._level, tree=self._tree)
            messages = [self._system(context), *self._params.messages]
            async with (
                self._tree.room(self._level),
                Repl(config.repl, functions=host.functions, variables={"context": context}, answers=True) as repl,
            ):
                while iterations < config.max_iterations and self.answer is None and not self._tree.is_over:
                    async for question in budget_questions(self._env, self.id):
                        yield question
                    if stopped_by(self._env) is not None:
                        break
                    said: list[str] = []
                    iterations += 1
                    left = config.max_iterations - iterations
                    async with aclosing(self._ask(messages, said)) as asked:
                        async for event in asked:
                            yield event
                    if self.error is not None or self._tree.is_over:
                        break
                    reply = "".join(said)
                    messages.append(AssistantMessage(content=reply or "(nothing)"))
                    try:
                        code = code_block(reply)
                    except CodeBlockError as error:
                        yield ErrorEvent(**self._of, error=error)
                        messages.append(UserMessage(content=error_feedback(str(error), left=left)))
                        continue
                    turn = host.turn = ReplTurn(
                        repl,
                        code,
                        **self._of,
                        iteration=iterations - 1,
                        timeout=config.turn_timeout,
                        max_stdout=config.max_stdout_length,
                    )
                    with watched(self._env, turn.say, host.stop, run_id=self.id):
                        async with aclosing(turn.events()) as happening:
                            async for event in happening:
                                yield self._counted(event)
                    messages.append(
                        UserMessage(content=output_feedback(turn.result, config.max_stdout_length, left=left))
                    )
                    self.answer = turn.result.answer
            stopped = stopped_by(self._env)
            if self.answer is None and self.error is None and stopped is not None:
                self.reason = "budget"
                if iterations and not self._level and not self._depth:  # the root of the tree sums up
                    messages.append(UserMessage(content=last_word(stopped)))
                    async with aclosing(self._ask(messages, [])) as asked:
                        async for event in asked:
                            yield event
                    iterations += 1
            if self.answer is not None:
                self.reason = "final"
                yield TextEvent(**self._of, id=new_id(), content=self.answer)
            elif self.error is not None:
                self.reason = "error"
            elif self._tree.is_over:
                self.reason = "budget"
            elif stopped is None:
                self.reason = "max_iterations"
        except Exception as error:  # noqa: BLE001  (whatever went wrong is how this run ended)
            self.reason, self.error = "error", error
            yield ErrorEvent(**self._of, error=error)
        finally:
            withdraw_questions(self._env, self.id)
        yield HarnessEndEvent(**self._of, reason=self.reason, iterations=iterations, total_usage=self._usage)

    async def _ask(self, messages: list[Message], said: list[str]) -> AsyncGenerator[HarnessEvent, None]:
        """One call of the model, its events as events of this run."""
        request = self._params.model_copy(
            update={
                "messages": list(messages),
                "tools": None,
                "context": None,
                "env": InvokeEnv(parent_id=self.id, shared=self._shared),
                "permissions": None,
                "response_model": None,
            }
        )
        own: str | None = None
        count_call(self._env)
        async with aclosing(as_generator(self._model_harness.invoke(request))) as events:
            async for event in events:
                own = own or event.run_id
                if event.run_id == own:
                    match event:
                        case HarnessStartEvent() | ToolCallEvent():
                            continue
                        case HarnessEndEvent():
                            self._ended(event)
                            continue
                        case TextEvent():
                            said.append(event.content)
                        case ErrorEvent():
                            self.error = event.error
                        case _:
                            pass
                    event = event.model_copy(update=self._of)
                yield self._counted(event)

    def _ended(self, event: HarnessEndEvent) -> None:
        if event.reason == "budget":
            self._tree.is_over = True
        elif event.reason == "error" and self.error is None:
            self.error = RuntimeError("the model's call failed")

    def _counted(self, event: HarnessEvent) -> HarnessEvent:
        """Tokens of this run and of all below it come by here once each."""
        if isinstance(event, UsageEvent):
            self._usage = TotalUsage(
                input_tokens=self._usage.input_tokens + event.input_tokens,
                output_tokens=self._usage.output_tokens + event.output_tokens,
            )
        return event

    def _system(self, context: str) -> Message:
        config = self._config
        prompt = system_prompt(
            context,
            prefix_length=config.metadata_prefix_length,
            iterations=config.max_iterations,
            max_stdout=config.max_stdout_length,
            prompt_budget=config.sub_prompt_budget,
            exec_timeout=config.exec_timeout,
            exec_cwd=str(config.exec_cwd) if config.exec_cwd is not None else None,
            recursive=self._level < config.max_depth,
        )
        return SystemMessage(content=prompt)
