import { argumentBlocks, block, Progress, python } from "./blocks.js";
import { fold, h, whenOpened } from "./dom.js";
import { count, duration, looksLikeDiff, oneLine, printed, RUN_WORDS, shown, TOOL_WORDS, whole } from "./format.js";
import { Prose } from "./prose.js";
import { Question } from "./relay.js";

/** @typedef {import("./format.js").Props} Props */
/** @typedef {import("./view.js").View} View */

const GROUP = 24;

/**
 * In groups, of which a browser lays out only the last and those in sight: a long run costs no more a frame than a short one.
 * @param {HTMLElement} host @param {HTMLElement | null} group the last one @param {HTMLElement} child
 * @returns {HTMLElement} the group that it went into
 */
export function intoGroup(host, group, child) {
  if (group !== null && group.childElementCount >= GROUP) {
    group.classList.add("lgnb-full");
    group = null;
  }
  if (group === null) host.append((group = h("div", "group")));
  group.append(child);
  return group;
}

/** One node on the page. What is below it goes into `body`. */
export class NodeView {
  /** @param {number} key @param {string} kind @param {Props} props @param {NodeView | null} parent @param {View} view */
  constructor(key, kind, props, parent, view) {
    this.key = key;
    this.kind = kind;
    this.props = props;
    this.parent = parent;
    this.view = view;
    /** @type {number} */
    this.depth = parent ? parent.depth + 1 : 0;
    /** @type {HTMLElement} */
    this.element = h("div", kind);
    /** @type {HTMLElement} */
    this.body = this.element;
    this.turns = 0;
    /** @type {HTMLElement | null} */
    this.group = null;
  }

  /** Put the element of a child in. @param {HTMLElement} child */
  hold(child) {
    this.group = intoGroup(this.body, this.group, child);
  }

  /** @param {string} _stream @param {string} _text */
  append(_stream, _text) {}

  /** @param {Props} _props what is new; `this.props` has it already */
  update(_props) {}
}

class TextView extends NodeView {
  /** @param {ConstructorParameters<typeof NodeView>} args */
  constructor(...args) {
    super(...args);
    const host = h("div", "prose");
    host.dir = "auto";
    if (this.kind === "reasoning") {
      this.summary = h("span", "", "Thinking…");
      this.element = fold("reasoning", this.summary, host);
    } else if (this.kind === "note") {
      this.element = fold("note", shown(String(this.props.title ?? "note")), host);
    } else {
      if (this.kind === "user") this.element.append(h("div", "who", "You"));
      this.element.append(host);
    }
    this.body = this.element;
    this.prose = new Prose(host);
  }

  /** @param {string} _stream @param {string} text */
  append(_stream, text) {
    this.prose.append(text);
  }

  /** Something else has come after it. */
  over() {
    if (this.summary) this.summary.textContent = "Thought";
  }
}

class ToolView extends NodeView {
  /** @param {ConstructorParameters<typeof NodeView>} args */
  constructor(...args) {
    super(...args);
    this.mark = h("span", "mark");
    this.line = h("code", "line");
    this.word = h("span", "word");
    this.took = h("span", "took");
    this.slot = h("div", "slot");
    this.result = h("div", "slot");
    /** The output. */
    this.text = "";
    this.body = h("div", "children");
    const name = h("strong", "tool-name", shown(String(this.props.name ?? "tool")));
    const summary = h("summary", "tool-head", this.mark, name, this.line, this.word, this.took);
    const details = h("details", "tool", summary, this.slot, this.body, this.result);
    details.open = true;
    this.element = details;
  }

  /** @param {string} stream @param {string} text */
  append(stream, text) {
    if (stream !== "progress" && stream !== "text") return;
    if (!this.progress) {
      this.progress = new Progress(this.view);
      this.result.before(this.progress.element);
    }
    this.progress.append(text);
    if (this.text) this.progress.superseded(this.text);
  }

  /** @param {Props} props */
  update(props) {
    if ("status" in props) {
      this.slot.hidden = props.status === "asking"; // the question shows them in full
      const [word, tone] = TOOL_WORDS[props.status] ?? [shown(String(props.status ?? "")), "quiet"];
      this.word.textContent = word;
      this.element.dataset.tone = this.mark.dataset.tone = tone;
    }
    if ("input" in props) this.arguments(props.input);
    if ("startedAt" in props || "endedAt" in props) {
      const { startedAt, endedAt } = this.props;
      if (typeof startedAt === "number" && typeof endedAt === "number") this.took.textContent = duration(endedAt - startedAt);
    }
    if ("output" in props || "status" in props) this.output();
  }

  /** @param {any} input */
  arguments(input) {
    const { line, complete } = oneLine(input);
    this.line.textContent = line;
    this.slot.replaceChildren();
    if (complete) return;
    const patch = Object.values(Object(input)).find((value) => typeof value === "string" && looksLikeDiff(value));
    if (patch) this.slot.append(block(shown(patch)));
    const details = fold("", "Arguments");
    whenOpened(details, () => argumentBlocks(input));
    this.slot.append(details);
  }

  output() {
    const { status, output } = this.props;
    if (output === undefined && (status === "running" || status === "asking")) return;
    const all = whole(output).replace(/^\n+|\n+$/g, "");
    const text = (this.text = status === "denied" ? this.untold(all) : all);
    if (!text) return;
    this.result.replaceChildren(block(text, status === "error" || status === "denied" ? "bad" : ""));
    this.progress?.superseded(text);
    for (const child of this.view.childrenOf(this)) if (child instanceof ErrorView) child.superseded(text);
  }

  /** Of a denial what the question does not tell already. @param {string} text */
  untold(text) {
    const reason = text.replace(/^denied\b[:.]?\s*/i, "");
    const told = [...this.view.childrenOf(this)].some((child) => child instanceof RelayView && child.props.reason === reason);
    return told ? "" : reason;
  }
}

class RelayView extends NodeView {
  /** @param {ConstructorParameters<typeof NodeView>} args */
  constructor(...args) {
    super(...args);
    const id = String(this.props.id);
    this.question = new Question(this.props, (answer) => this.view.answer(id, answer));
    this.element = this.body = this.question.element;
    if (this.pending) this.view.pending.add(this);
  }

  get pending() {
    return this.props.status === "pending";
  }

  /** @param {Props} props */
  update(props) {
    const { store, pending } = this.view;
    if (!this.pending) pending.delete(this);
    this.question.update(props, !store.dead && !store.over, store.answered.has(String(this.props.id)));
  }
}

class ReplView extends NodeView {
  /** @param {ConstructorParameters<typeof NodeView>} args */
  constructor(...args) {
    super(...args);
    const { iteration, code } = this.props;
    const prompt = h("div", "prompt", typeof iteration === "number" ? `In [${iteration + 1}]:` : "In:");
    this.word = h("span", "word");
    this.took = h("span", "took");
    this.out = h("div", "slot");
    this.body = h("div", "children");
    this.element.append(
      h("div", "cell", prompt, block(shown(String(code ?? "")), "input", python)),
      this.out,
      this.body,
      h("div", "foot", this.word, this.took),
    );
    /** @type {Map<string, Progress>} */
    this.streams = new Map();
  }

  /** @param {string} stream @param {string} text */
  append(stream, text) {
    let progress = this.streams.get(stream);
    if (!progress) {
      this.streams.set(stream, (progress = new Progress(this.view)));
      progress.element.classList.add(`lgnb-${stream === "stderr" ? "stderr" : "stdout"}`);
      this.out.append(progress.element);
    }
    progress.append(text);
  }

  /** @param {Props} props */
  update(props) {
    const { status, error, durationMs, truncated } = this.props;
    this.element.dataset.tone = status === "error" ? "bad" : status === "running" ? "busy" : "good";
    this.word.textContent = status === "running" ? "running" : status === "error" ? "failed" : truncated ? "output cut short" : "";
    if (typeof durationMs === "number") this.took.textContent = duration(durationMs / 1000);
    if (Array.isArray(props.mime)) for (const bundle of props.mime) this.out.append(...rich(bundle));
    if (props.error) this.out.append(block(printed(String(error)), "bad"));
  }
}

/**
 * A rich result: pixels that came with it, or its plain side.
 * @param {any} bundle
 */
function rich(bundle) {
  const data = Object(bundle?.data ?? bundle);
  for (const kind of ["image/png", "image/jpeg"]) {
    if (typeof data[kind] === "string" && /^[A-Za-z0-9+/=\s]+$/.test(data[kind])) {
      const image = h("img", "plot");
      image.alt = "plot";
      image.src = `data:${kind};base64,${data[kind]}`;
      return [image];
    }
  }
  const plain = Array.isArray(data["text/plain"]) ? data["text/plain"].join("") : data["text/plain"];
  return plain ? [block(whole(plain))] : [];
}

class ErrorView extends NodeView {
  /** @param {ConstructorParameters<typeof NodeView>} args */
  constructor(...args) {
    super(...args);
    this.text = "";
    this.pre = h("pre", "");
    this.element.append(h("strong", "", shown(String(this.props.name ?? "Error"))), this.pre);
  }

  /** @param {string} _stream @param {string} text */
  append(_stream, text) {
    this.text += printed(text);
    this.pre.append(printed(text));
    if (this.parent instanceof ToolView && this.parent.text) this.superseded(this.parent.text);
  }

  /** The output of the call may say the same. @param {string} output */
  superseded(output) {
    this.element.hidden = output.includes(this.text);
  }
}

class RunView extends NodeView {
  /** @param {ConstructorParameters<typeof NodeView>} args */
  constructor(...args) {
    super(...args);
    if (this.kind === "run") this.become();
  }

  /** A turn shows what is in it and no more; a run has a heading, unless the panel's own says it all. */
  become() {
    this.kind = "run";
    this.element.className = this.parent ? "lgnb-run lgnb-nested" : "lgnb-run";
    this.mark = h("span", "mark");
    this.word = h("strong", "word");
    this.facts = h("span", "facts");
    this.element.prepend(h("div", "run-head", this.mark, this.word, this.facts));
    this.update(this.props);
  }

  /** @param {Props} props */
  update(props) {
    if (props.kind === "run" && this.kind === "turn") this.become();
    if (!this.mark || !this.word || !this.facts) return;
    const { status, model, maxIterations, iterations, inputTokens, outputTokens } = this.props;
    const [word, tone] = RUN_WORDS[status === "running" && this.view.store.over ? "ended" : status] ?? [shown(String(status)), "quiet"];
    this.word.textContent = word;
    this.mark.dataset.tone = tone;
    const steps = iterations ?? this.turns;
    const facts = [
      this.parent ? "subagent" : "",
      model ? shown(String(model)) : "",
      maxIterations ? `${steps} of ${maxIterations}` : "",
      inputTokens || outputTokens ? `${count((inputTokens ?? 0) + (outputTokens ?? 0))} tokens` : "",
    ];
    this.facts.textContent = facts.filter(Boolean).join(" · ");
  }
}

/**
 * @param {number} key @param {string} kind @param {Props} props @param {NodeView | null} parent @param {View} view
 * @returns {NodeView}
 */
export function createNode(key, kind, props, parent, view) {
  /** @type {Record<string, typeof NodeView>} */
  const kinds = {
    run: RunView,
    turn: RunView,
    user: TextView,
    text: TextView,
    reasoning: TextView,
    note: TextView,
    tool: ToolView,
    relay: RelayView,
    repl: ReplView,
    error: ErrorView,
  };
  const node = new (kinds[kind] ?? NodeView)(key, kind, props, parent, view);
  node.update(props);
  return node;
}
