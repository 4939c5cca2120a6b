"""Events folded into trees and histories. Pure: no I/O, no clock, no loop."""

from llm_gateway_nb.graph.fold import content_text, fold, fold_answer, fold_event
from llm_gateway_nb.graph.messages import last_text, project_messages
from llm_gateway_nb.graph.repl import ReplAgent, ReplTurn, project_repl
from llm_gateway_nb.graph.thread import ThreadNode, project_thread
from llm_gateway_nb.graph.tree import Added, Appended, Change, Node, RunTree, Updated

__all__ = [
    "Added",
    "Appended",
    "Change",
    "Node",
    "ReplAgent",
    "ReplTurn",
    "RunTree",
    "ThreadNode",
    "Updated",
    "content_text",
    "fold",
    "fold_answer",
    "fold_event",
    "last_text",
    "project_messages",
    "project_repl",
    "project_thread",
]
