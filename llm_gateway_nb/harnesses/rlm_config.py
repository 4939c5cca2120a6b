"""The settings of an RLM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.repl import ReplKind

__all__ = ["RlmConfig"]


@dataclass(frozen=True, slots=True)
class RlmConfig:
    """How a recursive language model works.

    Attributes:
        max_iterations: replies of a model, in each run of the tree.
        max_stdout_length: characters of a turn's output that the model reads; of more, the beginning and the end.
        metadata_prefix_length: characters of the context that the model is shown at the start.
        sub_model: the model that `llm_query` asks for; None is the one of the run.
        sub_prompt_budget: the longest prompt of an `llm_query`, in characters; text goes into its `context`.
        max_depth: how deep `llm_query` gives a REPL of its own; below that, and with 0, it is one flat call.
        exec_timeout: seconds an `exec` may take where the code does not say.
        exec_cwd: where commands run; None is this process' folder.
        turn_timeout: seconds the code of one turn may take, without those in which it waits for `llm_query` or `exec`.
        repl: "kernel", a process of its own, which is no sandbox; or "sandbox", under bubblewrap. `exec` runs outside of
            either, by permission.
    """

    max_iterations: int = 10
    max_stdout_length: int = 4000
    metadata_prefix_length: int = 200
    sub_model: str | None = None
    sub_prompt_budget: int = 10_000
    max_depth: int = 2
    exec_timeout: float = 10
    exec_cwd: str | Path | None = None
    turn_timeout: float = 120
    repl: ReplKind = "kernel"

    def __post_init__(self) -> None:
        for name, least in (("max_iterations", 1), ("max_stdout_length", 1), ("sub_prompt_budget", 1)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"RlmConfig: {name} is {least} or more, not {getattr(self, name)!r}.")
        for name in ("metadata_prefix_length", "max_depth"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"RlmConfig: {name} is 0 or more, not {getattr(self, name)!r}.")
        for name in ("exec_timeout", "turn_timeout"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"RlmConfig: {name} is above 0, not {getattr(self, name)!r}.")
        if self.repl not in ("kernel", "sandbox"):
            raise ConfigurationError(f"RlmConfig: repl is 'kernel' or 'sandbox', not {self.repl!r}.")
