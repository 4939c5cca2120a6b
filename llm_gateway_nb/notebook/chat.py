"""`chat`: a panel with a line to write in. Each turn is a run, and all of them are one history in one panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.notebook.approvals import Approvals, check_approvals
from llm_gateway_nb.notebook.conversation import Chat
from llm_gateway_nb.notebook.kernel import check_loop, hold
from llm_gateway_nb.notebook.options import RunOptions
from llm_gateway_nb.notebook.source import budgeted, invoke_params
from llm_gateway_nb.orchestrator.orchestrator import Executor
from llm_gateway_nb.permissions import PermissionPolicy
from llm_gateway_nb.providers.media import Media, media_parts
from llm_gateway_nb.recording.recorder import Recorder
from llm_gateway_nb.types import GeneratorHarnessModule, Message, Permissions, ToolDefinition

__all__ = ["chat"]


def chat(
    source: GeneratorHarnessModule,
    *,
    turns: Sequence[str] = (),
    system_prompt: str | None = None,
    messages: Sequence[Message | Mapping[str, Any]] | None = None,
    media: Media | Sequence[Media] | None = None,
    tools: Sequence[ToolDefinition] | None = None,
    permissions: Permissions | Mapping[str, Any] | None = None,
    policy: PermissionPolicy | None = None,
    model: str | None = None,
    context: str | None = None,
    approvals: Approvals = "ask",
    relay_timeout: float | None = None,
    budget: Mapping[str, float] | None = None,
    executor: Executor | None = None,
    record: str | Path | None = None,
    title: str | None = None,
    **model_settings: Any,
) -> Chat:
    """Talk with a harness, in a panel under this cell that lives on while other cells run.

    Enter sends, Shift+Enter is a new line. While an answer is under way the next turn can be written, not sent. Questions
    stand in their place, Stop ends the answer that is under way, and "always" holds for the whole conversation.

    Args:
        source: a harness; each turn is one `invoke` with the whole history.
        turns: the person's first turns, said one after the other. Where nobody can write (nbclient, nbval, papermill) they
            are the whole conversation, and this returns when they are answered.
        messages: a history to go on from.
        media: goes with the first turn; `talk.say(text, media=…)` gives some to any other.
        budget: limits of the whole conversation. A turn that comes when they are reached asks whether to go on.
        record: a file to write all turns to. `chat(…, messages=Run.load(path).messages)` goes on from it.
        tools, permissions, policy, model, context, approvals, relay_timeout, executor, title, model_settings: as in
            `start`.

    Raises:
        ConfigurationError: something is missing or of the wrong kind; nothing was started.
    """
    check_approvals(approvals)
    if not callable(getattr(source, "invoke", None)):
        raise ConfigurationError(f"chat takes a harness, something to ask again and again, not {source!r}.")
    if isinstance(turns, str) or not all(isinstance(turn, str) for turn in turns):
        raise ConfigurationError(f"turns is a list of texts, such as ['Hello'], not {turns!r}.")
    params = invoke_params(
        source,
        "…",  # something to ask, so that all the rest is checked here and now
        system_prompt=system_prompt,
        messages=messages,
        media=None,
        tools=tools,
        permissions=permissions,
        policy=policy,
        model=model,
        response_model=None,
        context=context,
        settings=model_settings,
    )
    check_loop("chat(…)", "BasicSession or run_sync(…)")
    talk = Chat(
        source if budget is None else budgeted(source, budget),
        params,
        RunOptions(
            approvals=approvals,
            relay_timeout=relay_timeout,
            executor=executor,
            record=None if record is None else Recorder(record).begun(),
            title=title,
        ),
        media=media_parts(media) if media is not None else [],
    )
    for turn in turns:
        talk.say(turn)
    if not talk.writable and turns:
        hold(talk._until_idle())
    talk._place_outputs()
    return talk
