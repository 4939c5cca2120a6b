"""`start`, `run` and `run_sync`: the three ways to have a run in a cell, in a script, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.notebook.approvals import Approvals, check_approvals
from llm_gateway_nb.notebook.kernel import check_loop, counts_sigint, hold, in_kernel
from llm_gateway_nb.notebook.live_run import Run
from llm_gateway_nb.notebook.options import RunOptions
from llm_gateway_nb.notebook.outputs import page_possible
from llm_gateway_nb.notebook.result import RunResult
from llm_gateway_nb.notebook.source import Source, budgeted, invoke_params
from llm_gateway_nb.orchestrator.orchestrator import Executor
from llm_gateway_nb.permissions import PermissionPolicy
from llm_gateway_nb.providers.media import Media
from llm_gateway_nb.types import Message, Permissions, ToolDefinition

__all__ = ["run", "run_sync", "start"]


def start(
    source: Source,
    prompt: str | None = None,
    *,
    system_prompt: str | None = None,
    messages: Sequence[Message | Mapping[str, Any]] | None = None,
    media: Media | Sequence[Media] | None = None,
    tools: Sequence[ToolDefinition] | None = None,
    permissions: Permissions | Mapping[str, Any] | None = None,
    policy: PermissionPolicy | None = None,
    model: str | None = None,
    response_model: type[BaseModel] | None = None,
    context: str | None = None,
    panel: bool = True,
    approvals: Approvals = "ask",
    relay_timeout: float | None = None,
    budget: Mapping[str, float] | None = None,
    executor: Executor | None = None,
    record: str | Path | None = None,
    title: str | None = None,
    **model_settings: Any,
) -> Run:
    """Start a run and return at once. The panel lives on under this cell while later cells run.

    Args:
        source: a harness, and then `prompt` or `messages` go in; or any async iterable of events.
        prompt: the person's turn; comes after `messages`.
        system_prompt: how the model is to behave.
        messages: a history to go on from, such as `result.messages`.
        media: images and documents that go with the prompt: paths, bytes, or content parts.
        tools: what the model may call: `bash_tool`, `read_tool`, …, and functions with `@tool`.
        permissions: what may run without asking; what no rule allows asks. Such as
            `{"allowlist": ["read", {"tool": "bash", "params": {"command": "git status *"}}]}`.
        policy: a ceiling that no permission and no click can pass.
        model: which one, where the harness serves several.
        response_model: a pydantic class; the answer as an instance of it is `RunResult.output`.
        context: more context for the model.
        panel: show it; False runs unseen.
        approvals: who answers questions: `"ask"` (the person), `"allow"`, `"deny"`, `"recorded"` (what was said to the
            very same call in the recording that the model replays), or a function of the relay.
        relay_timeout: seconds a question waits for its answer; then it counts as denied. None waits.
        budget: limits of the run with all its subagents, as `with_budget` takes them: `{"usd": 0.5, "seconds": 60}`.
        executor: where subagents run, if not here: `DaskExecutor(client)`.
        record: a file to write all of it to as it happens, as JSON lines without keys or tokens; see `record` and `replay`.
        title: what the panel is called.
        model_settings: such as `temperature=0`.

    Raises:
        ConfigurationError: something is missing or of the wrong kind; nothing was started.
    """
    return _start(source, prompt, awaited=False, **_given(locals()))


async def run(
    source: Source,
    prompt: str | None = None,
    *,
    system_prompt: str | None = None,
    messages: Sequence[Message | Mapping[str, Any]] | None = None,
    media: Media | Sequence[Media] | None = None,
    tools: Sequence[ToolDefinition] | None = None,
    permissions: Permissions | Mapping[str, Any] | None = None,
    policy: PermissionPolicy | None = None,
    model: str | None = None,
    response_model: type[BaseModel] | None = None,
    context: str | None = None,
    panel: bool = True,
    approvals: Approvals = "ask",
    relay_timeout: float | None = None,
    budget: Mapping[str, float] | None = None,
    executor: Executor | None = None,
    record: str | Path | None = None,
    title: str | None = None,
    **model_settings: Any,
) -> RunResult:
    """A run that this cell waits for: `result = await run(agent, "…")`. Takes what `start` takes.

    Buttons work while the cell runs. The stop button cancels the run, waits until its tools are gone, and raises
    `KeyboardInterrupt`. A run that failed returns, with `reason == "error"` and its `error`.

    Raises:
        ConfigurationError: something is missing or of the wrong kind; nothing was started.
    """
    given = _given(locals())
    with counts_sigint() as interrupts:
        try:
            return await _run(source, prompt, **given)
        except asyncio.CancelledError:
            if interrupts.count:
                # The stop button: what a person expects of it is what a blocking cell would raise.
                raise KeyboardInterrupt from None
            raise


def run_sync(
    source: Source,
    prompt: str | None = None,
    *,
    system_prompt: str | None = None,
    messages: Sequence[Message | Mapping[str, Any]] | None = None,
    media: Media | Sequence[Media] | None = None,
    tools: Sequence[ToolDefinition] | None = None,
    permissions: Permissions | Mapping[str, Any] | None = None,
    policy: PermissionPolicy | None = None,
    model: str | None = None,
    response_model: type[BaseModel] | None = None,
    context: str | None = None,
    panel: bool = True,
    approvals: Approvals = "ask",
    relay_timeout: float | None = None,
    budget: Mapping[str, float] | None = None,
    executor: Executor | None = None,
    record: str | Path | None = None,
    title: str | None = None,
    **model_settings: Any,
) -> RunResult:
    """`run` from synchronous code: a function, a script, a thread, a cell without `await`. Buttons work all the same.

    Raises:
        ConfigurationError: something is missing or of the wrong kind; nothing was started.
    """
    return hold(_run(source, prompt, **_given(locals())))


def _with_arguments(doc: str | None) -> str:
    """`run?` is the first thing that a person looks up, so it has the arguments, too; here they stand once."""
    arguments = "Args:" + cleandoc(start.__doc__ or "").partition("Args:")[2].partition("Raises:")[0]
    before, raises, after = cleandoc(doc or "").partition("Raises:")
    return f"{before}{arguments}{raises}{after}"


for _function in (run, run_sync):
    _function.__doc__ = _with_arguments(_function.__doc__)


_NOT_OPTIONS = frozenset({"source", "prompt", "model_settings"})


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of the three as they were given."""
    options = {key: value for key, value in arguments.items() if key not in _NOT_OPTIONS}
    return {**options, "settings": arguments["model_settings"]}


def _start(
    source: Source,
    prompt: str | None,
    *,
    awaited: bool,
    panel: bool,
    budget: Mapping[str, float] | None,
    **given: Any,
) -> Run:
    options = RunOptions(**{name: given.pop(name) for name in RunOptions.__slots__})
    check_approvals(options.approvals)
    params = invoke_params(source, prompt, **given)
    if options.executor is not None and not hasattr(source, "invoke"):
        raise ConfigurationError(
            "executor= runs the subagents of a harness; events that come from elsewhere have none."
        )
    if budget is not None:
        source = budgeted(source, budget)
    check_loop("start(…)", "run_sync(…)")
    return Run(
        source,
        params,
        options,
        show=panel and in_kernel(),
        watched=page_possible(),
        awaited=awaited,
    )


async def _run(source: Source, prompt: str | None, **options: Any) -> RunResult:
    live = _start(source, prompt, awaited=True, **options)
    try:
        await live._until_over()
    except asyncio.CancelledError:
        live.cancel()
        await live._until_over()
        raise
    finally:
        live.close_outputs()
    return live.result()
