"""The agents of a tree that work in a REPL, turn by turn, each with the children that a turn called."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from llm_gateway_nb.graph.tree import Node, RunTree

__all__ = ["ReplAgent", "ReplTurn", "project_repl"]

ReplStatus = Literal["running", "done", "error", "max_iterations", "cancelled", "budget"]
ReplPhase = Literal["reasoning", "permission", "running", "done", "error"]

_STATUS: dict[str | None, ReplStatus] = {
    None: "running",
    "running": "running",
    "final": "done",
    "error": "error",
    "max_iterations": "max_iterations",
    "cancelled": "cancelled",
    "budget": "budget",
}


@dataclass(slots=True)
class ReplTurn:
    """What the model wrote, and what came of it.

    Attributes:
        iteration: counted from 0.
        reasoning: the text before the code.
        error: of the code, or of a reply that had none to run.
        children: the runs that the code called.
    """

    iteration: int
    phase: ReplPhase = "reasoning"
    reasoning: str = ""
    code: str = ""
    stdout: str = ""
    stderr: str = ""
    error: str | None = None
    children: list[ReplAgent] = field(default_factory=list)


@dataclass(slots=True)
class ReplAgent:
    """One run.

    Attributes:
        final_answer: None until there is one.
        input_tokens, output_tokens: with all its children.
    """

    run_id: str
    parent_id: str | None
    status: ReplStatus
    max_iterations: int | None
    depth: int
    turns: list[ReplTurn] = field(default_factory=list)
    final_answer: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


def project_repl(tree: RunTree) -> list[ReplAgent]:
    """The runs at the top. A run that never said it started is left out; without REPL turns a run is its text."""
    agents: dict[int, ReplAgent] = {}
    roots: list[ReplAgent] = []
    for node in tree.walk():  # parents first
        if node.kind != "run":
            continue
        agent = agents[node.key] = _agent(node)
        above = node.parent
        while above is not None and above.key not in agents:
            above = above.parent
        if above is None:
            roots.append(agent)
            continue
        turn = _turn_of(agents[above.key], above, node)
        if turn is not None:
            turn.children.append(agent)
    return roots


def _turn_of(agent: ReplAgent, run: Node, child: Node) -> ReplTurn | None:
    """The turn whose code called the child; of one that hangs on the run itself, the last."""
    hangs_on = child
    while hangs_on.parent is not run and hangs_on.parent is not None:
        hangs_on = hangs_on.parent
    repls = [node for node in run.children if node.kind == "repl"]
    coded = [turn for turn in agent.turns if turn.code or turn.phase in {"running", "done"}]
    if hangs_on in repls and len(coded) > repls.index(hangs_on):
        return coded[repls.index(hangs_on)]
    return agent.turns[-1] if agent.turns else None


def _agent(run: Node) -> ReplAgent:
    agent = ReplAgent(
        run_id=run.id,
        parent_id=run.parent.id if run.parent is not None else None,
        status=_STATUS.get(run.status, "done"),
        max_iterations=run.props.get("maxIterations"),
        depth=run.props.get("depth", 0),
        input_tokens=run.props.get("inputTokens", 0),
        output_tokens=run.props.get("outputTokens", 0),
    )
    turn: ReplTurn | None = None
    answered = False
    for node in _parts(run):
        match node.kind:
            case "text" if answered:
                agent.final_answer = (agent.final_answer or "") + node.text()
            case "text" | "reasoning":
                if turn is None or turn.code or turn.error is not None:
                    turn = _next(agent)
                turn.reasoning += node.text()
            case "repl":
                if turn is None or turn.code or turn.error is not None:
                    turn = _next(agent)
                _run_code(turn, node)
                answered = bool(node.props.get("done"))
            case "error":
                if turn is None or turn.error is not None:
                    turn = _next(agent)
                turn.phase, turn.error = "error", node.text()
            case _:
                pass
    spoken = agent.turns[-1] if agent.turns else None
    if spoken is not None and not spoken.code and spoken.error is None and agent.status == "done" and not answered:
        agent.final_answer = spoken.reasoning  # an answer in words
        agent.turns.pop()
    return agent


def _parts(run: Node) -> list[Node]:
    parts: list[Node] = []
    for child in run.children:
        parts.extend(child.children if child.kind == "turn" else [child])
    return parts


def _next(agent: ReplAgent) -> ReplTurn:
    agent.turns.append(ReplTurn(iteration=len(agent.turns)))
    return agent.turns[-1]


def _run_code(turn: ReplTurn, node: Node) -> None:
    turn.iteration = node.props.get("iteration", turn.iteration)
    turn.code = node.props.get("code", "")
    turn.stdout, turn.stderr = node.text("stdout"), node.text("stderr")
    turn.error = node.props.get("error")
    if turn.error is not None:
        turn.phase = "error"
    elif any(child.kind == "relay" and child.status == "pending" for child in node.children):
        turn.phase = "permission"
    else:
        turn.phase = "running" if node.status == "running" else "done"
