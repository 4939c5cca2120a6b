"""A Python REPL in an ipykernel of its own, driven by a program."""

from llm_gateway_nb.repl.channel import HostFunction
from llm_gateway_nb.repl.output import Piece, ReplResult, clipped, without_ansi
from llm_gateway_nb.repl.process import ReplKind
from llm_gateway_nb.repl.repl import Repl
from llm_gateway_nb.repl.sandbox import check_sandbox
from llm_gateway_nb.repl.turn import ReplTurn, RunsCode

__all__ = [
    "HostFunction",
    "Piece",
    "Repl",
    "ReplKind",
    "ReplResult",
    "ReplTurn",
    "RunsCode",
    "check_sandbox",
    "clipped",
    "without_ansi",
]
