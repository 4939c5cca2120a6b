"""`ask_user`: the model asks the person something, and waits for the answer.

The question goes the way of every other one: the call needs a person, who answers it with its arguments completed,
`{"approved": true, "input": {"question": …, "answer": "blue"}}`. So it works wherever a permission is asked for, on a page,
at a console and over a wire, and a recording has the answer.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.types import ToolContext, ToolDefinition

__all__ = ["ask_user"]


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", title="AskUser")

    question: str = Field(description="The question, in one or two sentences.", min_length=1)
    options: list[str] | None = Field(
        default=None, description="Answers to choose from, if there are likely ones; any other answer is possible, too."
    )
    answer: SkipJsonSchema[str | None] = None
    """Put in by the person; no model is told of it."""


async def _execute(given: _Question, _ctx: ToolContext) -> str:
    if not given.answer:
        raise ToolError(
            "Nobody has answered: ask_user asks a person, so no rule may allow it, and whoever approves it gives an answer."
        )
    return given.answer


ask_user = ToolDefinition(
    name="ask_user",
    description="Ask the person a question and wait for the answer. Use it where only they can know or decide.",
    schema_=_Question,
    execute=_execute,
    derive_permission=lambda _params: None,  # no answer holds for the next question
)
"""`ask_user(question, options)`: the panel shows the question with a line to write the answer in."""
