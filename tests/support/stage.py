"""A panel on a plain page in a real Chromium, with a model that anybody can play, and any other widget of ours beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from anywidget import AnyWidget
from playwright.sync_api import Page, expect

from llm_gateway_nb.graph.fold import fold_event
from llm_gateway_nb.graph.tree import RunTree
from llm_gateway_nb.notebook.panel import RunPanel
from llm_gateway_nb.types import (
    HarnessStartEvent,
    ReasoningEvent,
    RelayEvent,
    ReplInputEvent,
    ReplOutputEvent,
    TextEvent,
    ToolCallEvent,
    ToolResultEvent,
    UsageEvent,
    UserEvent,
)

SETUP = """() => {
  window.sent = []; window.mounted = []; window.long = []; window.alerts = 0; window.alert = () => window.alerts++;
  new PerformanceObserver((list) => list.getEntries().forEach((e) => long.push(e.duration))).observe({ type: "longtask" });
  window.mount = async ([source, values, id]) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const widget = (await import(url)).default();
    const handlers = {};
    const model = {
      get: (name) => values[name],
      on: (name, f) => (handlers[name] ??= []).push(f),
      off: (name, f) => (handlers[name] = (handlers[name] ?? []).filter((g) => g !== f)),
      send: (message) => sent.push(message),
    };
    const stop = widget.initialize?.({ model });
    const show = (id) => {
      const el = document.createElement("div");
      el.id = id;
      document.body.append(el);
      return widget.render({ model, el });
    };
    const one = { handlers, stop, show, remove: show(id), emit: (name, message) => (handlers[name] ?? []).forEach((f) => f(message)) };
    mounted.push(one);
    return one;
  };
}"""
FIRST = """async (given) => {
  const { handlers, stop, show, remove, emit } = await mount(given);
  Object.assign(window, { handlers, stopModel: stop, show, removeFirst: remove, emit });
}"""
THEMES = {
    "light": "theme-light-extension",
    "dark": "theme-dark-extension",
    "high contrast": "theme-dark-high-contrast-extension",
}


_LAB = Path(sys.prefix) / "share/jupyter/lab/themes/@jupyterlab"


class Stage:
    """One run, its panel, and a page that shows it; `theme` is one of JupyterLab's."""

    def __init__(self, page: Page, title: str = "A run", *, chat: bool = False, theme: str = "") -> None:
        self.page = page
        self.tree = RunTree()
        self.panel = RunPanel(self.tree, title=title)
        self.messages: list[dict[str, Any]] = []
        self.panel.send = self.messages.append
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.set_content("<!doctype html><meta charset=utf-8><body></body>")
        page.add_style_tag(content=RunPanel._css)
        if theme:
            page.add_style_tag(path=_LAB / THEMES[theme] / "index.css")
            page.add_style_tag(content="body { background: var(--jp-layout-color0) }")
            page.evaluate("(light) => { document.body.dataset.jpThemeLight = light }", str(theme == "light").lower())
        page.evaluate(SETUP)
        page.evaluate(FIRST, [str(self.panel._esm), {"title": title, "chat": chat}, "first"])

    def beside(self, widget: type[AnyWidget], **values: Any) -> None:
        """Another widget on the same page."""
        self.page.add_style_tag(content=str(widget._css))
        source = [str(widget._esm), values, f"{widget.__name__}{len(self.page.query_selector_all('body > div'))}"]
        self.page.evaluate("async (given) => void (await mount(given))", source)

    def fold(self, *events: Any) -> None:
        for event in events:
            fold_event(self.tree, event)
        self.show()

    def show(self) -> None:
        self.panel.flush()
        messages, self.messages[:] = list(self.messages), []
        for message in messages:
            self.emit(message)

    def emit(self, message: dict[str, Any]) -> None:
        self.page.evaluate("(message) => emit('msg:custom', message)", message)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """What the page has said, but for asking whether it has all."""
        return [m for m in self.page.evaluate("sent") if m["k"] != "ready"]


def say(panel: RunPanel, content: Any) -> None:
    """What a page says."""
    panel._on_custom(panel, content, [])


START = HarnessStartEvent(run_id="r", model="scripted", max_iterations=4)
ASK = RelayEvent(
    run_id="r",
    id="q1",
    tool_call_id="c1",
    tool="bash",
    params={"command": "wc -l notes.txt"},
    rule={"tool": "bash", "params": {"command": "wc *"}},
    why="no rule allows it",
)


def text(content: str, event_id: str = "t", run_id: str = "r") -> TextEvent:
    return TextEvent(run_id=run_id, id=event_id, content=content)


MARKDOWN = """# One

Two lines
with **bold**, *slanted*, ***both***, `code`, ~~gone~~, [a link](https://x.org/a_(b)), <https://y.org>, snake_case_names.
2 * 3 * 4, \\*stars\\*, **half, ![cat](http://leak.invalid/x.png)

1. first
   - inner **one**
   - inner two
2. second

- [x] done
- [ ] not

| left | right |
|:--|--:|
| `a` | 1 |
| b | 2 |

> quoted
> *twice*

```python
def f(x):
    return x  # all

print("end")
```

***
### Last
"""


def everything(stage: Stage) -> None:
    """A run with a bit of all that a panel shows, one question of a subagent open."""
    stage.fold(
        UserEvent(run_id="u", content="How many lines?"),
        START,
        ReasoningEvent(run_id="r", id="th", content="Count them."),
        text(MARKDOWN),
        ToolCallEvent(run_id="r", id="c9", name="patch", input={"path": "a.py", "patch": "@@ -1 +1 @@\n-a\n+b\n"}),
        ToolResultEvent(run_id="r", id="c9", name="patch", output="\x1b[31mno\x1b[0m", status="error"),
        ReplInputEvent(run_id="r", id="i", code="print(1)  # one", iteration=1),
        ReplOutputEvent(run_id="r", id="i", stdout="1", done=True, error="\x1b[31mValueError\x1b[0m: x", duration_ms=3),
        ToolCallEvent(run_id="r", id="c0", name="agent", input={"task": "look at the notes"}),
        HarnessStartEvent(run_id="s", parent_id="c0", model="small"),
        ASK.model_copy(update={"run_id": "s", "parent_id": "c0"}),
        UsageEvent(run_id="r", input_tokens=1200, output_tokens=34),
    )
    expect(stage.page.get_by_role("button", name="Approve").first).to_be_visible()
    stage.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
