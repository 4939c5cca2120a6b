import { h, fold } from "./dom.js";
import { answerText, count, duration, money, printed, RUN_WORDS, shown } from "./format.js";
import { attachments } from "./media.js";
import { Prose } from "./prose.js";
import { Question } from "./relay.js";

/** @typedef {import("./format.js").Props} Props */
/** @typedef {import("./view.js").View} View */

const GROUP = 24;

/**
 * In groups, of which a browser lays out only the last and those in sight: a long run costs no more a frame than a short one.
 * @param {HTMLElement} host @param {HTMLElement | null} group the last one @param {HTMLElement} child
 * @param {boolean} unseen lay it out only once it comes into sight
 * @returns {HTMLElement} the group that it went into
 */
export function intoGroup(host, group, child, unseen) {
  if (group !== null && group.childElementCount >= GROUP) {
    group.classList.add("lgnb-full");
    group = null;
  }
  if (group === null) host.append((group = h("div", "group")));
  if (unseen) group.classList.add("lgnb-full");
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
    this.group = intoGroup(this.body, this.group, child, this.view.backlog);
  }

  /** @param {string} _stream @param {string} _text */
  append(_stream, _text) {}

  /** @param {Props} _props what is new; `this.props` has it already */
  update(_props) {}

  /** Something else has come after it. */
  over() {}
}

export class TextView extends NodeView {
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
      if (Array.isArray(this.props.media)) this.element.append(h("div", "attachments", ...attachments(this.props.media)));
      this.element.append(host);
    }
    this.body = this.element;
    this.prose = new Prose(host);
  }

  /** @param {string} _stream @param {string} text */
  append(_stream, text) {
    if (typeof this.props.prose !== "string") this.prose.append(text);
  }

  /** @param {Props} props */
  update(props) {
    if (typeof props.prose !== "string") return;
    const host = h("div", "prose"); // what comes after it stands below, as the cell that ran it
    host.dir = "auto";
    this.element.lastElementChild?.replaceWith(host);
    this.prose = new Prose(host);
    if (props.prose) this.prose.append(props.prose);
    this.element.hidden = !props.prose;
  }

  over() {
    if (this.summary) this.summary.textContent = "Thought";
  }
}

export class RelayView extends NodeView {
  /** @param {ConstructorParameters<typeof NodeView>} args */
  constructor(...args) {
    super(...args);
    this.id = String(this.props.id);
    /** Its pictures: in its place, and at the top of the panel. @type {Set<Question>} */
    this.questions = new Set();
    this.question = this.another("");
    this.element = this.body = this.question.element;
    if (this.pending) this.view.pending.add(this);
  }

  get pending() {
    return this.props.status === "pending";
  }

  /** Is it asked from inside a subagent? */
  get nested() {
    let runs = 0;
    for (let node = this.parent; node; node = node.parent) if (node.kind === "run") runs++;
    return runs > 1;
  }

  /** @param {string} path */
  another(path) {
    const alike = () => (this.props.rule ? [...this.view.pending].filter((one) => one.sort === this.sort && !this.view.store.answered.has(one.id)) : []);
    const question = new Question(
      this.props,
      {
        answer: (answer) => this.view.answer(this.id, answer),
        alike: () => alike().length,
        answerAlike: () => {
          for (const one of alike()) this.view.answer(one.id, { approved: true });
        },
        left: (one) => this.view.left(one),
      },
      path,
    );
    this.questions.add(question);
    return question;
  }

  /** Questions that one rule would cover. */
  get sort() {
    return JSON.stringify([this.props.tool, this.props.rule]);
  }

  /** @param {Props} props */
  update(props) {
    const { store, pending } = this.view;
    if (!this.pending && pending.delete(this)) this.view.announce(answerText(this.props, this.question.forPerson));
    for (const question of this.questions) question.update(props, !store.dead && !store.over, store.answered.has(this.id));
  }
}

export class ErrorView extends NodeView {
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
    const told = /** @type {any} */ (this.parent)?.text;
    if (typeof told === "string" && told) this.superseded(told);
  }

  /** The output of the call may say the same. @param {string} output */
  superseded(output) {
    this.element.hidden = output.includes(this.text);
  }
}

export class RunView extends NodeView {
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
    this.head = h("div", "run-head", this.mark, this.word, this.facts);
    this.element.prepend(this.head);
    this.update(this.props);
  }

  /** @param {Props} props */
  update(props) {
    if (props.kind === "run" && this.kind === "turn") this.become();
    if (!this.head || !this.mark || !this.word || !this.facts) return;
    const { status, model, maxIterations, iterations, inputTokens, outputTokens, cost, startedAt, endedAt } = this.props;
    const [word, tone] = RUN_WORDS[status === "running" && this.view.store.over ? "ended" : status] ?? [shown(String(status)), "quiet"];
    this.word.textContent = this.parent ? `subagent ${word}` : word;
    this.head.dataset.tone = this.mark.dataset.tone = tone;
    const steps = iterations ?? this.turns;
    const facts = [
      model ? shown(String(model)) : "",
      maxIterations ? `${steps} of ${maxIterations} iterations` : "",
      inputTokens || outputTokens ? `${count((inputTokens ?? 0) + (outputTokens ?? 0))} tokens` : "",
      typeof cost === "number" ? money(cost) : "",
      typeof startedAt === "number" && typeof endedAt === "number" && endedAt - startedAt >= 0.1 ? duration(endedAt - startedAt) : "",
    ];
    this.facts.textContent = facts.filter(Boolean).join(" · ");
  }
}
