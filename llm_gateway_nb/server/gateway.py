"""What a request is turned into: a harness, and what it is invoked with; or the sentence that says why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_gateway_nb.errors import ConfigurationError, InvalidMessagesError
from llm_gateway_nb.permissions import Grants, PermissionPolicy
from llm_gateway_nb.providers import LLM
from llm_gateway_nb.server.summarize import SummaryHarness
from llm_gateway_nb.server.wire import ChatBody, RefusedError, SummarizeBody
from llm_gateway_nb.tools.validate import check_tools
from llm_gateway_nb.types import (
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    InvokeEnv,
    Message,
    Permissions,
    ToolDefinition,
    parse_messages,
)

__all__ = ["Gateway"]


class Gateway:
    """See `create_app` for what it is made of.

    Raises:
        ConfigurationError: something of the wrong kind.
    """

    def __init__(
        self,
        harness: GeneratorHarnessModule | Mapping[str, GeneratorHarnessModule],
        tools: Sequence[ToolDefinition],
        policy: PermissionPolicy | None,
        models: Sequence[str] | None,
        default_model: str | None,
        llm: LLM | None,
    ) -> None:
        self._harnesses = _harnesses(harness)
        self._tools = check_tools(tools)
        self._policy = policy
        self._models = None if models is None else list(models)
        self._default_model = default_model
        first = next(iter(self._harnesses.values()))
        self._llm = llm if llm is not None else first if isinstance(first, LLM) else None

    async def supported_models(self) -> list[str]:
        """Those that were named, else those of the first harness."""
        if self._models is not None:
            return self._models
        return await next(iter(self._harnesses.values())).supported_models()

    def chat(self, body: ChatBody) -> tuple[GeneratorHarnessModule, GeneratorInvokeParams]:
        """
        Raises:
            RefusedError: 400, for a mode, a tool, a model or messages that are none.
        """
        mode = body.mode or next(iter(self._harnesses))
        harness = self._harnesses.get(mode)
        if harness is None:
            raise RefusedError(400, f"There is no mode {mode!r}; there are {', '.join(self._harnesses)}.")
        model, messages = self._asked(harness, body.model, body.messages)
        origin = body.env
        grants = Grants(self._permitted(body.permissions), policy=self._policy)
        params = GeneratorInvokeParams(
            model=model,
            messages=messages,
            context=body.context,
            tools=self._chosen(body.tools) or None,
            permissions=grants.permissions,
            settings=body.settings,
            env=InvokeEnv(
                parent_id=origin.parent_id if origin else None,
                depth=origin.depth if origin else None,
                grants=grants,
            ),
        )
        return harness, params

    def summarize(self, body: SummarizeBody) -> tuple[GeneratorHarnessModule, GeneratorInvokeParams]:
        """
        Raises:
            RefusedError: 400 as for a chat; 404 where there is no model to do it.
        """
        if self._llm is None:
            raise RefusedError(404, "This server has no model to summarize with; its owner sets create_app(…, llm=…).")
        model, messages = self._asked(self._llm, body.model, body.messages)
        return SummaryHarness(self._llm), GeneratorInvokeParams(model=model, messages=messages)

    def _asked(self, harness: Any, model: str | None, messages: list[Any]) -> tuple[str | None, list[Message]]:
        if model and self._models is not None and model not in self._models:
            raise RefusedError(400, f"There is no model {model!r} here; there are {', '.join(self._models)}.")
        model = model or self._default_model
        if not messages or not (model or getattr(harness, "model", None)):
            raise RefusedError(
                400, "A request has `messages`, one at least, and a `model`, as this server has no default."
            )
        try:
            return model, parse_messages(messages)
        except InvalidMessagesError as error:
            raise RefusedError(400, str(error)) from None

    def _chosen(self, names: list[str] | None) -> list[ToolDefinition]:
        if names is None:
            return self._tools
        there = {tool.name: tool for tool in self._tools}
        for name in names:
            if name not in there:
                raise RefusedError(400, f"There is no tool {name!r} here; there are {', '.join(there) or 'none'}.")
        return [there[name] for name in dict.fromkeys(names)]

    def _permitted(self, wanted: Permissions | None) -> Permissions:
        if wanted is None or self._policy is not None:
            return wanted or Permissions()
        return Permissions(deny=wanted.deny)


def _harnesses(given: Any) -> Mapping[str, GeneratorHarnessModule]:
    named = dict(given) if isinstance(given, Mapping) else {"agent": given}
    for one in named.values():
        if not callable(getattr(one, "invoke", None)):
            raise ConfigurationError(
                f"create_app takes a harness, something with `invoke(params)`, not {one!r}; "
                "create_agent_harness(…) gives one."
            )
    if not named:
        raise ConfigurationError("create_app takes at least one harness, and was given an empty mapping.")
    return named
