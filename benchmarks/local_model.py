"""What the local model can do, and how fast: `python benchmarks/local_model.py [model] [--threads N] [task …]`.

Speed is one long prompt and one long answer. A trial is a real loop of at most four model calls: it counts when the first
call has the right tool and arguments and the answer says what the tool said. Tools are faked, so that nothing is run.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

from llm_gateway_nb.providers.local import LocalLLM
from llm_gateway_nb.tools import bash_tool
from llm_gateway_nb.types import (
    AssistantMessage,
    HarnessEndEvent,
    Message,
    TextEvent,
    ToolCall,
    ToolCallEvent,
    ToolDefinition,
    ToolMessage,
    UsageEvent,
    UserMessage,
)

Fits = Callable[[dict[str, Any]], bool]
Trial = tuple[str, str, Fits, Callable[[dict[str, Any]], tuple[str, str]]]
"""A prompt, the tool it needs, whether the arguments fit, and what the tool says with a pattern for the answer."""


def _tool(name: str, description: str, **properties: str) -> ToolDefinition:
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return ToolDefinition(name=name, description=description, schema_=schema)


TOOLS = [
    _tool("get_weather", "Get the current weather in a city", city="string"),
    _tool("add", "Add two numbers", a="number", b="number"),
    _tool("search_notes", "Search the user's notes for a text", query="string"),
    _tool("get_time", "Get the current time in a city", city="string"),
]


def _text(key: str, wanted: str) -> Fits:
    return lambda arguments: wanted in str(arguments.get(key, "")).lower()


def _says(result: str, pattern: str) -> Callable[[dict[str, Any]], tuple[str, str]]:
    return lambda _: (result, pattern)


def _sum(arguments: dict[str, Any]) -> tuple[str, str]:
    total = f"{arguments.get('a', 0) + arguments.get('b', 0):g}"
    return total, rf"\b{total}\b"


def _numbers(a: int, b: int) -> Fits:
    return lambda arguments: (arguments.get("a"), arguments.get("b")) == (a, b)


def _weather(prompt: str, city: str) -> Trial:
    return prompt, "get_weather", _text("city", city), _says("17 degrees, light rain", "17|rain")


def _clock(prompt: str, city: str) -> Trial:
    return prompt, "get_time", _text("city", city), _says("21:37", "21:37|9:37")


def _notes(prompt: str, word: str) -> Trial:
    return prompt, "search_notes", _text("query", word), _says("1 note: 'call Marta on Friday'", "marta|friday")


def _added(prompt: str, a: int, b: int) -> Trial:
    return prompt, "add", _numbers(a, b), _sum


def _shell(prompt: str, command: str, output: str, pattern: str) -> Trial:
    return prompt, "bash", lambda given: bool(re.search(command, str(given.get("command")))), _says(output, pattern)


AGENT: list[Trial] = [
    _weather("What's the weather in Paris?", "paris"),
    _weather("Tell me the weather in Tokyo.", "tokyo"),
    _weather("Is it raining in London right now?", "london"),
    _weather("How is the weather in Berlin today?", "berlin"),
    _weather("Weather for Madrid please", "madrid"),
    _added("Add 12 and 30.", 12, 30),
    _added("What is 7 plus 8? Use the add tool.", 7, 8),
    _added("Please compute 100 + 250.", 100, 250),
    _added("Sum 3 and 4 for me.", 3, 4),
    _added("Use a tool to add 19 and 23.", 19, 23),
    _notes("Search my notes for 'budget'.", "budget"),
    _notes("Find notes about holidays.", "holiday"),
    _notes("Look in my notes for the word python.", "python"),
    _notes("Do I have notes on gardening?", "garden"),
    _notes("Search notes: meeting", "meeting"),
    _clock("What time is it in Sydney?", "sydney"),
    _clock("Tell me the current time in Cairo.", "cairo"),
    _clock("Time in Oslo?", "oslo"),
    _clock("What's the local time in Lima now?", "lima"),
    _clock("Get the time in Rome.", "rome"),
]

SHELL: list[Trial] = [
    _shell(
        "How many lines has README.md?", r"(wc -l|grep -c).*README\.md|README\.md.*wc -l", "42 README.md", r"\b42\b"
    ),
    _shell("List the files here.", r"\bls\b|find \.", "README.md\nsetup.py\nsrc", "readme"),
    _shell("What is in the file notes.txt?", r"(cat|head|less) .*notes\.txt", "Buy milk on Monday.", "milk"),
    _shell("Which directory am I in?", r"\bpwd\b", "/home/ada/project", "ada/project"),
    _shell("What is the date today? Use bash.", r"\bdate\b", "Fri Nov 20 10:15:00 UTC 2026", "nov|2026"),
    _shell("Who am I logged in as?", r"whoami|\bid\b|\$USER", "ada", "ada"),
    _shell("How much disk space is free?", r"\bdf\b", "/dev/sda1 100G 58G 42G 58% /", "42"),
    _shell("Find all Python files.", r"\.py", "./setup.py\n./src/app.py", r"app\.py|setup"),
    _shell("Count the words in report.txt.", r"wc .*report\.txt|report\.txt.*wc", "118 report.txt", r"\b118\b"),
    _shell(
        "Search for TODO in main.py.",
        r"grep.*TODO.*main\.py|main\.py.*grep.*TODO",
        "12:# TODO: close the file",
        "todo|12|close",
    ),
    _shell(
        "Show the first 3 lines of data.csv.",
        r"(head|sed).*data\.csv|data\.csv.*head",
        "name,age\nann,3\nbob,5",
        "ann|name|bob",
    ),
    _shell("Which Python version is installed?", r"python3? (--version|-V)", "Python 3.11.7", r"3\.11"),
    _shell("Create an empty file called todo.txt.", r"(touch|>) *'?\"?todo\.txt", "", "todo|created|file"),
    _shell("What is the size of big.bin?", r"(ls -l|du|stat|wc -c).*big\.bin", "1048576 big.bin", "1048576"),
]

TASKS: dict[str, tuple[Sequence[ToolDefinition], list[Trial]]] = {
    "agent (4 tools)": (TOOLS, AGENT),
    "weather (1 tool)": (TOOLS[:1], AGENT[:5]),
    "bash (1 tool)": ([bash_tool], SHELL),
    "bash (5 tools)": ([*TOOLS, bash_tool], SHELL),
    "agent (5 tools)": ([*TOOLS, bash_tool], AGENT),
}


async def attempt(llm: LocalLLM, tools: Sequence[ToolDefinition], trial: Trial) -> tuple[bool, bool, list[str]]:
    """Whether the first call was right, whether the answer was, and what the model said on the way."""
    prompt, tool, fits, result_of = trial
    messages: list[Message] = [UserMessage(content=prompt)]
    called, said, pattern = False, [], "^$"
    for step in range(4):
        response = await llm.agenerate(messages=messages, tools=tools)
        if not response.tool_calls:
            said.append(response.content or "")
            return called, called and bool(re.search(pattern, said[-1].lower())), said
        call: ToolCall = response.tool_calls[0]
        said.append(f"{call.name}({call.arguments})")
        right = call.name == tool and fits(call.arguments or {})
        called = right if step == 0 else called
        result, pattern = result_of(call.arguments or {}) if right else ("error: nothing found", "^$")
        messages += [
            AssistantMessage(content=None, tool_calls=[call]),
            ToolMessage(tool_call_id=call.id, content=result),
        ]
    return called, False, said


async def trials(llm: LocalLLM, name: str, *, verbose: bool) -> tuple[int, int, int]:
    """Right calls, right answers, and how many trials there were."""
    tools, cases = TASKS[name]
    began, calls, answers = time.perf_counter(), 0, 0
    for trial in cases:
        called, answered, said = await attempt(llm, tools, trial)
        calls, answers = calls + called, answers + answered
        if verbose and not answered:
            print(f"    {trial[0]} -> {' | '.join(said)}", flush=True)
    seconds = (time.perf_counter() - began) / len(cases)
    print(f"{name:18} call {calls}/{len(cases)}  answer {answers}/{len(cases)}  {seconds:.1f} s each", flush=True)
    return calls, answers, len(cases)


async def speed(llm: LocalLLM) -> None:
    """Time to the first token of a short prompt (load included), then tokens a second."""
    began = time.perf_counter()
    await llm.agenerate("Hi", max_tokens=1)
    print(f"load and first token {time.perf_counter() - began:.2f} s")
    prompt = "Name the animal in this list: " + "stone river cloud table " * 100
    began, first, ended, usage = time.perf_counter(), 0.0, 0.0, None
    settings = {"max_tokens": 128, "temperature": 0.8}
    async with aclosing(
        llm.invoke(messages=[UserMessage(content=prompt + "Then write a long story.")], settings=settings)
    ) as events:
        async for event in events:
            match event:
                case TextEvent():
                    first = first or time.perf_counter()
                case UsageEvent():
                    usage = event
                case HarnessEndEvent():
                    ended = time.perf_counter()
                case ToolCallEvent():
                    pass
    if usage is not None and first:
        prompt_rate, answer_rate = usage.input_tokens / (first - began), usage.output_tokens / (ended - first)
        print(f"prompt {prompt_rate:.0f} tok/s, answer {answer_rate:.0f} tok/s")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", nargs="?", help="a name of the catalogue, or a path")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--task", action="append", choices=list(TASKS))
    parser.add_argument("--verbose", action="store_true", help="show what went wrong")
    options = parser.parse_args()
    async with LocalLLM(options.model, defaults={"n_threads": options.threads}) as llm:
        await speed(llm)
        for name in options.task or TASKS:
            await trials(llm, name, verbose=options.verbose)


if __name__ == "__main__":
    asyncio.run(main())
