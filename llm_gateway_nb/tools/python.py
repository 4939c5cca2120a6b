"""`python_tool`: Python that an agent writes, in a REPL that keeps its variables; its output shows as a cell would."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_gateway_nb.errors import ConfigurationError, ToolError
from llm_gateway_nb.permissions import derive_permission
from llm_gateway_nb.repl import Repl, ReplKind, ReplResult, ReplTurn, RunsCode, check_sandbox, clipped, without_ansi
from llm_gateway_nb.tools.python_cell import UserNamespace
from llm_gateway_nb.types import (
    ImageContentPart,
    TextContentPart,
    ToolContext,
    ToolDefinition,
    ToolExecutionResult,
    ToolPermission,
    new_id,
)

__all__ = ["python_tool"]

_OWN = (
    "Run Python in a REPL of its own. Variables, imports and functions stay for the next calls. Top-level `await` works. "
    "You read what is printed, the value of the last expression, and errors; plots and tables are shown to the person."
)
_USER = (
    "Run Python in the person's own notebook: their variables are there, and what you assign stays. Top-level `await` "
    "works. You read what is printed, the value of the last expression, and errors; plots and tables are shown to the "
    "person. Do not change or delete what you were not asked to."
)


class _Python(BaseModel):
    model_config = ConfigDict(extra="forbid", title="Python")

    code: str = Field(description="The code of one cell.", min_length=1)


def make_python_tool(
    *,
    repl: ReplKind | Repl = "kernel",
    namespace: Literal["own", "user"] = "own",
    timeout: float = 120.0,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    memory_bytes: int | None = 4 * 1024**3,
    max_output: int = 30_000,
    images: bool = False,
    name: str = "python",
    description: str | None = None,
) -> ToolDefinition:
    """The tool with other options.

    Args:
        repl: "kernel", a process of its own, which is separation and not a sandbox: code can do what the person at the
            keyboard can, and so it asks. "sandbox": the same under bubblewrap, without network, home, and a way to write.
            Each run has its own, which ends with the run. Or an open `Repl`, which is its owner's to close: then
            variables stay from one run to the next.
        namespace: "own", or "user": the variables of this notebook. There code runs in this very process, and asks every
            time that no rule allows it.
        timeout: seconds that one call may take.
        cwd: where the code starts; None is the notebook's folder, and an empty one in a sandbox.
        env: more environment variables; beside them it gets PATH, HOME, the locale and little else.
        memory_bytes: what its process may have of memory.
        max_output: characters that the model reads; of more it gets the beginning and the end.
        images: whether plots go to the model, too; not every model takes them.

    Raises:
        ConfigurationError: options that do not go together, or a sandbox that is not to be had here.
    """
    if namespace not in ("own", "user"):
        raise ConfigurationError(f"python_tool: namespace is 'own' or 'user', not {namespace!r}.")
    if not isinstance(repl, Repl) and repl not in ("kernel", "sandbox"):
        raise ConfigurationError(f"python_tool: repl is 'kernel', 'sandbox', or a Repl, not {repl!r}.")
    if namespace == "user" and repl != "kernel":
        raise ConfigurationError(
            "python_tool: namespace='user' is this very process, so there is no other REPL and no sandbox to it."
        )
    if repl == "sandbox":
        check_sandbox()
    key = object()

    def make() -> Repl:
        assert not isinstance(repl, Repl)
        start = cwd if cwd is not None else Path.cwd() if repl == "kernel" else None
        return Repl(repl, cwd=start, env=env, memory_bytes=memory_bytes, max_output=2 * max_output)

    async def execute(given: _Python, ctx: ToolContext) -> ToolExecutionResult[None]:
        async with AsyncExitStack() as alone:  # a tool that is called by hand has nobody who keeps its REPL
            runner: RunsCode
            if namespace == "user":
                runner = UserNamespace(2 * max_output)
            elif isinstance(repl, Repl):
                runner = repl
            elif ctx.held is not None:
                runner = await ctx.held.get(key, make)
            else:
                runner = await alone.enter_async_context(make())
            result = await _turn(runner, given.code, ctx)
        text = _as_text(result, max_output)
        if result.error is not None:
            raise ToolError(text)
        pictures = _pictures(result) if images else []
        return ToolExecutionResult(context=[TextContentPart(text=text), *pictures] if pictures else text)

    async def _turn(runner: RunsCode, code: str, ctx: ToolContext) -> ReplResult:
        turn = ReplTurn(
            runner,
            code,
            run_id=new_id(),
            parent_id=ctx.parent_id,
            iteration=None,
            timeout=timeout,
            max_stdout=max_output,
        )
        async with aclosing(turn.events()) as events:
            async for event in events:
                if ctx.emit_event is not None:
                    ctx.emit_event(event)
        return turn.result

    def derive(params: dict[str, Any]) -> ToolPermission | None:
        if namespace == "user":
            return None  # every time: what ran well once says nothing of the same code on other variables
        return ToolPermission(tool=name) if repl == "sandbox" else derive_permission(name, params)

    definition = ToolDefinition(
        name=name,
        description=description or (_USER if namespace == "user" else _OWN),
        schema_=_Python,
        execute=execute,
        derive_permission=derive,
    )
    definition._configure = partial(
        make_python_tool,
        repl=repl,
        namespace=namespace,
        timeout=timeout,
        cwd=cwd,
        env=env,
        memory_bytes=memory_bytes,
        max_output=max_output,
        images=images,
        name=name,
        description=description,
    )
    return definition


def _as_text(result: ReplResult, limit: int) -> str:
    """What the model reads."""
    parts = [clipped(result.stdout.strip("\n"), limit)]
    if result.stderr.strip():
        parts.append(f"[stderr]\n{clipped(result.stderr.strip(), limit // 2)}")
    parts += [clipped(plain, limit) for plain in result.plain]
    if result.error is not None:
        parts.append(clipped(without_ansi(result.error).strip("\n"), limit))
    return "\n".join(part for part in parts if part) or "[no output]"


def _pictures(result: ReplResult) -> list[ImageContentPart]:
    return [
        ImageContentPart(media_type=kind, data="".join(bundle[kind].split()))
        for bundle in result.mime
        for kind in ("image/png", "image/jpeg")
        if isinstance(bundle.get(kind), str)
    ]


python_tool = make_python_tool()
"""`python(code)`: a REPL that lives as long as the run. Asks before every call that no rule allows. Options:
`python_tool(namespace="user")`, `python_tool(repl="sandbox")`."""
