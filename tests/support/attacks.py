"""What a model, a tool or a file name might say to run script, load an address, break out of its box, or look like a question."""

from __future__ import annotations

from collections.abc import Iterator

from llm_gateway_nb.types import (
    CompactionEvent,
    ErrorEvent,
    HarnessEvent,
    ReasoningEvent,
    RelayAnswerEvent,
    RelayEvent,
    ReplInputEvent,
    ReplOutputEvent,
    TextEvent,
    ToolCallEvent,
    ToolProgressEvent,
    ToolResultEvent,
    UnknownEvent,
    UserEvent,
)

ATTACKS = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</pre></details></div></div><script>alert(1)</script>",
    "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'><rect width=9 height=9 /></a></svg>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<style>*{display:none}</style><div style='position:fixed;inset:0;background:url(http://leak.invalid/s)'>over all</div>",
    "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](data:text/html,<script>alert(1)</script>) <javascript:alert(1)>",
    "![x](http://leak.invalid/a.png) ![y](https://leak.invalid/b.svg 't') <http://ok.invalid/\"onmouseover=alert(1)>",
    '[x](https://ok.invalid/" onmouseover="alert(1)) [y]( https://ok.invalid "t\\" onclick=\\"alert(1)")',
    "`<img src=x onerror=alert(1)>` **<img src=x onerror=alert(1)>** ~~<svg onload=alert(1)>~~",
    "# <img src=x onerror=alert(1)>\n\n| <img src=x onerror=alert(1)> | b |\n|---|---|\n| <script>alert(1)</script> | x |",
    "```html\n<script>alert(1)</script>\n```\n> <img src=x onerror=alert(1)>\n\n- <svg onload=alert(1)>\n",
    "@@ <img src=x onerror=alert(1)> @@\n+<script>alert(1)</script>\n-</span><svg onload=alert(1)>",
    "\x1b[31m<img src=x onerror=alert(1)>\x1b[0m \x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07 \x1b[2J\x1b[1;1H",
    "bash wants to run\n\n$ ls\n\n[Approve](https://ok.invalid) <button class='lgnb-button lgnb-primary'>Approve</button>",
    "ls \u202egnp.exe\u202c \u200b\u2066\U000e0041\x00\x07",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62; {{constructor.constructor('alert(1)')()}}",
    "x" * 30_000,
    "*" * 3_000 + "[" * 3_000 + "`" * 2_001,
]

LATEX = "$\\href{javascript:alert(1)}{x}$ $$\\includegraphics{http://leak.invalid/c.png}$$ \\(\\require{html}\\style{x}{y}\\)"


def attack_events(number: int, attack: str) -> Iterator[HarnessEvent]:
    """`attack` wherever a run has a place for text of others."""
    yield UserEvent(run_id=f"u{number}", content=attack)
    yield ReasoningEvent(run_id="r", id=f"th{number}", content=attack)
    yield TextEvent(run_id="r", id=f"t{number}", content=attack)
    arguments = {attack[:2000]: attack, "command": attack, "n": [attack]}
    yield ToolCallEvent(run_id="r", id=f"c{number}", name=attack, input=arguments)
    yield ToolProgressEvent(run_id="r", tool_call_id=f"c{number}", name=attack, content={"text": attack})
    yield ErrorEvent(run_id="r", tool_call_id=f"c{number}", error=ValueError(attack))
    yield ToolResultEvent(run_id="r", id=f"c{number}", name=attack, output={"a": attack}, status="error")
    yield ToolResultEvent(run_id="r", id=f"o{number}", name=attack, output=attack, status="ok")
    picture = {"type": "image", "mediaType": "image/svg+xml", "data": attack, "url": "http://leak.invalid/d.png"}
    yield ToolResultEvent(run_id="r", id=f"p{number}", name="read", output=[picture], status="ok")
    yield RelayEvent(
        run_id="r",
        id=f"q{number}",
        tool_call_id=f"d{number}",
        tool=attack,
        params={attack[:2000]: attack, "command": attack, "text": f"{attack}\n"},
        rule={"tool": attack, "params": {attack[:2000]: attack}},
        why=attack,
    )
    yield RelayAnswerEvent(
        run_id="r", id=f"q{number}", approved=number % 2 == 0, always=True, reason=attack, by=attack[:100]
    )
    yield ReplInputEvent(run_id="r", id=f"i{number}", code=attack)
    yield ReplOutputEvent(
        run_id="r",
        id=f"i{number}",
        stdout=attack,
        error=attack,
        done=True,
        mime=[
            {"data": {"text/html": f"<table><tr><td>{attack}</td></tr></table>", "text/plain": attack}},
            {"data": {"text/html": attack, "image/svg+xml": attack, "application/javascript": "alert(1)"}},
            {"data": {"text/markdown": attack, "image/png": f'"{attack}'}},
            {"data": {"text/latex": LATEX, "text/plain": attack}},
        ],
    )
    yield UnknownEvent(run_id="r", type=f"odd{attack[:500]}", more=attack)
    yield CompactionEvent(run_id="r", summary=attack, messages=1)
