"""`%agent` sets up an agent, once; `%%agent` makes a cell its prompt.

    %load_ext llm_gateway_nb
    %agent local --tools bash,read --allow 'bash(command="git status *")'

    %%agent
    What has changed in this repository?

The next `%%agent` goes on from there. A cell's own options hold for that cell.
"""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from llm_gateway_nb.errors import GatewayError
from llm_gateway_nb.harnesses import create_agent_harness
from llm_gateway_nb.notebook.result import RunResult
from llm_gateway_nb.notebook.start import run_sync
from llm_gateway_nb.providers import LLM, create_llm, list_providers
from llm_gateway_nb.tools import agent_tool, bash_tool, patch_tool, python_tool, read_tool
from llm_gateway_nb.types import Message, ToolDefinition, ToolPermission

__all__ = ["AgentMagics", "load_ipython_extension", "unload_ipython_extension"]

_BUILT_IN = {
    "agent_tool": agent_tool,
    "bash_tool": bash_tool,
    "patch_tool": patch_tool,
    "python_tool": python_tool,
    "read_tool": read_tool,
}
_APPROVALS = ("ask", "allow", "deny", "recorded")


@dataclass(slots=True)
class _Setup:
    """What `%agent` was told. `None` is what was not said."""

    source: str | None = None
    tools: list[str] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    deny: list[str] = field(default_factory=list)
    system: str | None = None
    approvals: str | None = None
    max_iterations: int | None = None
    setting: list[str] = field(default_factory=list)

    def with_options(self, options: argparse.Namespace) -> _Setup:
        """This, but for what the options say."""
        given = {name: getattr(options, name, None) for name in self.__slots__}
        return _Setup(**{name: getattr(self, name) if value is None else value for name, value in given.items()})

    def __str__(self) -> str:
        said = [self.source or "the local model"]
        for name in self.__slots__[1:]:
            value = getattr(self, name)
            if value not in (None, []):
                said.append(f"{name.replace('_', '-')}: {', '.join(value) if isinstance(value, list) else value}")
        return "; ".join(said)


@magics_class
class AgentMagics(Magics):
    """`%agent` and `%%agent` of one shell."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._names: dict[str, Any] = shell.user_ns
        self._setup = _Setup()
        self._history: list[Message] = []
        self._harnesses: dict[tuple[Any, ...], Any] = {}

    @magic_arguments()
    @argument(
        "source", nargs="?", help="a variable with a harness or a model, or provider[:model]; else the local model"
    )
    @argument(
        "--tools", type=lambda text: text.split(","), help="names of tools, with commas: variables, or bash,read,patch"
    )
    @argument("--allow", action="append", help="""a rule: bash, or 'bash(command="git status *")'; may come again""")
    @argument("--deny", action="append", help="a rule of what never runs; may come again")
    @argument("--system", help="the system prompt")
    @argument("--approvals", help="ask, allow, deny, recorded, or the name of a function of the relay")
    @argument("--max-iterations", type=int, help="turns with tools before the closing one")
    @argument("--setting", action="append", help="a model setting, as temperature=0; may come again")
    @argument("--new", action="store_true", help="begin a new conversation")
    @argument("--record", help="a file to record this run to")
    @argument("--title", help="what the panel is called")
    @argument("--into", default="_agent", help="the variable that gets the result; _agent if not given")
    @line_cell_magic
    def agent(self, line: str, cell: str | None = None) -> None:
        """Set up an agent (`%agent …`), or run it with the cell as its prompt (`%%agent …`)."""
        options = _parsed(self.agent, line)
        setup = self._setup.with_options(options)
        if options.new:
            self._history = []
        if cell is None:
            self._harness(setup)  # what is wrong is said now
            self._tools(setup)
            self._permissions(setup)
            self._setup = setup
            print(f"agent: {setup}")  # noqa: T201  (said to the person at the keyboard, by design)
        else:
            self._run(setup, cell, options)

    def _run(self, setup: _Setup, cell: str, options: argparse.Namespace) -> None:
        try:
            result: RunResult = run_sync(
                self._harness(setup),
                cell.strip(),
                messages=self._history or None,
                system_prompt=None if self._history else setup.system,
                tools=self._tools(setup),
                permissions=self._permissions(setup),
                approvals=self._approvals(setup),
                record=options.record,
                title=options.title,
                **self._settings(setup),
            )
        except GatewayError as error:
            raise UsageError(str(error)) from None
        if result.reason != "error":  # a turn that failed leaves the conversation as it was
            self._history = result.messages
        self._names[options.into] = result

    def _harness(self, setup: _Setup) -> Any:
        named = self._names.get(setup.source) if setup.source else None
        # A harness is kept, so that a replayed or scripted model goes on where it was.
        key = (setup.source, id(named), setup.max_iterations)
        if key not in self._harnesses:
            self._harnesses[key] = self._made(setup, named)
        return self._harnesses[key]

    def _made(self, setup: _Setup, named: Any) -> Any:
        limit: dict[str, Any] = {} if setup.max_iterations is None else {"max_iterations": setup.max_iterations}
        try:
            if named is None:
                provider, _, model = (setup.source or "").partition(":")
                return create_agent_harness(create_llm(provider or None, model or None), **limit)
            if not callable(getattr(named, "invoke", None)):
                raise UsageError(f"{setup.source} is no harness, but {named!r}")
            return create_agent_harness(named, **limit) if isinstance(named, LLM) else named
        except GatewayError as error:
            raise UsageError(str(error)) from None

    def _tools(self, setup: _Setup) -> list[ToolDefinition]:
        known = _tools_in(self._names)
        missing = [name for name in setup.tools if name not in known]
        if missing:
            raise UsageError(f"there is no tool {missing[0]!r}; there are {', '.join(sorted(known))}")
        return [known[name] for name in setup.tools]

    def _permissions(self, setup: _Setup) -> dict[str, Any]:
        return {"allowlist": [_rule(text) for text in setup.allow], "deny": [_rule(text) for text in setup.deny]}

    def _approvals(self, setup: _Setup) -> Any:
        name = setup.approvals or "ask"
        found = name if name in _APPROVALS else self._names.get(name)
        if found is None:
            raise UsageError(f"approvals is {', '.join(_APPROVALS)}, or the name of a function, not {name!r}")
        return found

    def _settings(self, setup: _Setup) -> dict[str, Any]:
        settings = {}
        for text in setup.setting:
            name, given, value = text.partition("=")
            if not given or not name.isidentifier():
                raise UsageError(f"a setting looks like temperature=0, not {text!r}")
            try:
                settings[name] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                settings[name] = value
        return settings


def _parsed(magic: Any, line: str) -> argparse.Namespace:
    """The options of a line that is split as a shell would; IPython's own splitting keeps the quotes."""
    try:
        parsed: argparse.Namespace = magic.parser.parse_args(shlex.split(line))
    except ValueError as error:
        raise UsageError(f"{error} in: {line}") from None
    return parsed


def _tools_in(namespace: Mapping[str, Any]) -> dict[str, ToolDefinition]:
    """Tools by what a person may call them: their own name, or their variable's. A person's own come before ours."""
    tools: dict[str, ToolDefinition] = {}
    for values in (_BUILT_IN, namespace):
        for variable, value in list(values.items()):
            if isinstance(value, ToolDefinition) and not variable.startswith("_"):
                tools[value.name] = tools[variable] = value
    return tools


def _rule(text: str) -> ToolPermission:
    """A rule as it is written in a transcript: `bash(command="git status *")`, or a tool's bare name."""
    if re.fullmatch(r"[\w.-]+", text):
        return ToolPermission(tool=text)
    try:
        written = ast.parse(text, mode="eval").body
        if isinstance(written, ast.Call) and isinstance(written.func, ast.Name) and not written.args:
            params = {str(each.arg): ast.literal_eval(each.value) for each in written.keywords}
            return ToolPermission(tool=written.func.id, params=params or None)
    except (SyntaxError, ValueError):
        pass
    raise UsageError(f"""a rule looks like bash, or 'bash(command="git status *")', not {text!r}""")


# -- tab completion ------------------------------------------------------------------------------------------------------

_OPTIONS = (
    "--allow",
    "--approvals",
    "--deny",
    "--into",
    "--max-iterations",
    "--new",
    "--record",
    "--setting",
    "--system",
    "--title",
    "--tools",
)


def _complete(shell: Any, event: Any) -> list[str]:
    """What may stand where the cursor is: an option, or a value of the one before it."""
    words = event.line[: len(event.text_until_cursor)].split()[1:]
    typed = "" if event.text_until_cursor.endswith(" ") else (words.pop() if words else "")
    return [candidate for candidate in _candidates(shell, words, typed) if candidate.startswith(typed)]


def _candidates(shell: Any, words: list[str], typed: str) -> Iterator[str]:
    before = words[-1] if words else ""
    tools = _tools_in(shell.user_ns)
    functions = [name for name, value in shell.user_ns.items() if callable(value) and not name.startswith("_")]
    match before:
        case "--approvals":
            yield from (*_APPROVALS, *(name for name in functions if not isinstance(shell.user_ns[name], type)))
        case "--tools":
            head, comma, _ = typed.rpartition(",")
            yield from (f"{head}{comma}{name}" for name in sorted(tools) if name not in head.split(","))
        case "--allow" | "--deny":
            yield from sorted({tool.name for tool in tools.values()})
        case "--into" | "--record" | "--system" | "--title" | "--setting" | "--max-iterations":
            return
        case _:
            if not words:
                yield from list_providers()
                yield from (n for n, v in shell.user_ns.items() if not n.startswith("_") and hasattr(v, "invoke"))
            yield from (
                option for option in _OPTIONS if option not in words or option in {"--allow", "--deny", "--setting"}
            )


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext llm_gateway_nb`."""
    shell.register_magics(AgentMagics)
    for name in ("%agent", "%%agent"):
        shell.set_hook("complete_command", _complete, str_key=name)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext llm_gateway_nb`: the magics are gone, and what they were told."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("agent", None)
