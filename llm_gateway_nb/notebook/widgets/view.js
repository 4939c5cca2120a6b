import { Composer } from "./composer.js";
import { Dock } from "./dock.js";
import { h, keepShortcutsOut, stickToEnd } from "./dom.js";
import { Header } from "./header.js";
import { createNode } from "./kinds.js";
import { intoGroup } from "./nodes.js";
import { Search } from "./search.js";
import { saidBelow, summary } from "./summary.js";

/** A frame has room for so much of ours; what is new has to be laid out in it, too. */
const SLICE_MS = 6;
const SLICE_NODES = 40;
/** With so much to draw it is drawn out of sight, where it costs no layout, and the reader is taken to the end after it. */
const BACKLOG = 400;
const BACKLOG_NODES = [30, 200];
const MAX_DEPTH = 60;

/** One picture of a store. */
export class View {
  /**
   * @param {HTMLElement} host @param {import("./store.js").Store} store
   * @param {{ title: string, chat: boolean, rendermime: any }} given `rendermime`: the notebook's own renderers, if it has them
   * @param {(message: object) => void} send
   */
  constructor(host, store, given, send) {
    const { title } = given;
    this.store = store;
    this.title = title;
    this.rendermime = given.rendermime;
    this.send = send;
    this.search = new Search(this);
    this.dock = new Dock((question) => this.left(question));
    this.composer = given.chat ? new Composer((text) => this.say(text)) : null;
    this.header = new Header({
      stop: () => this.stop(),
      leave: () => this.body.focus({ preventScroll: true }),
      goToQuestion: () => this.goToQuestion(),
      search: () => this.search.toggle(),
      fold: () => this.foldAll(),
      pick: (what) => this.pick(what),
    });
    this.content = h("div", "content");
    this.body = h("div", "body", this.content);
    this.body.tabIndex = 0;
    this.body.setAttribute("role", "log");
    this.body.setAttribute("aria-live", "off");
    this.body.setAttribute("aria-label", "The run");
    this.says = h("div", "says");
    this.says.setAttribute("role", "status");
    this.says.setAttribute("aria-live", "polite");
    this.element = h("div", "", this.header.element, this.search.element, this.dock.element, this.body, ...(this.composer ? [this.composer.element] : []), this.says);
    this.element.className = "lgnb lgnb-live";
    keepShortcutsOut(this.element);
    this.element.setAttribute("role", "region");
    this.element.setAttribute("aria-label", title ? `Run: ${title}` : "Run");
    host.append(this.element);

    /** What is to be said, and the questions that have been. @type {string[]} */
    this.saying = [];
    this.announced = new Set();
    /** A question that is no more, and had the focus. @type {import("./relay.js").Question | null} */
    this.wasThere = null;
    /** What the notebook's renderers have made, and lets go. @type {(() => void)[]} */
    this.attached = [];
    this.stick = stickToEnd(this.body, this.content);
    /** What the view has started, and ends with it. @type {(() => void)[]} */
    this.ending = [this.stick.end];
    this.frame = 0;
    this.timer = 0;
    this.clock = 0;
    this.gone = false;
    this.room = SLICE_NODES;
    this.backlog = false;
    /** When the last slice ended. */
    this.sliced = performance.now();
    /** @type {Map<number, import("./nodes.js").NodeView>} */
    this.nodes = new Map();
    /** @type {Map<number, import("./nodes.js").NodeView[]>} */
    this.children = new Map();
    /** Runs at the top. @type {import("./nodes.js").NodeView[]} */
    this.runs = [];
    /** Open questions. @type {Set<import("./nodes.js").RelayView>} */
    this.pending = new Set();
    /** Calls that have told their output since all was drawn. @type {Set<import("./tool.js").ToolView>} */
    this.told = new Set();
    /** What came last in each node. @type {Map<number | null, import("./nodes.js").NodeView>} */
    this.lastOf = new Map();
    /** Operations that are still to be drawn, from `at` on. @type {import("./store.js").Op[]} */
    this.queue = [];
    this.at = 0;
    /** @type {HTMLElement | null} */
    this.group = null;
    this.rebuild();
  }

  rebuild() {
    for (const known of [this.nodes, this.children, this.pending, this.lastOf]) known.clear();
    this.runs = [];
    this.group = null;
    this.dock.update(this.pending);
    this.letGo();
    this.content.replaceChildren();
    this.queue = this.store.operations();
    this.at = 0;
    this.schedule();
  }

  /** @param {import("./store.js").Op[]} ops */
  take(ops) {
    for (const op of ops) this.queue.push(op);
    this.schedule();
  }

  /** Something beside the nodes has changed: dead, over, answered, stopping. */
  refresh() {
    for (const relay of this.pending) relay.update({});
    if (this.store.over) for (const node of this.nodes.values()) if (node.kind === "run" && node.props.status === "running") node.update({});
    this.schedule();
  }

  schedule() {
    if (this.frame || this.timer || this.gone) return;
    const run = () => {
      this.frame = this.timer = 0;
      this.slice();
    };
    // A hidden page draws no frames, and would keep everything for the moment when somebody looks.
    if (document.hidden) this.timer = window.setTimeout(run, 50);
    else this.frame = requestAnimationFrame(run);
  }

  slice() {
    const start = performance.now();
    const until = start + SLICE_MS;
    const backlog = this.queue.length - this.at > BACKLOG;
    if (backlog !== this.backlog) {
      this.backlog = backlog;
      this.stick.pause(backlog);
    }
    // After a late frame fewer nodes, after a punctual one more: the page is slower than ours, or busy with others.
    const [least, most] = backlog ? BACKLOG_NODES : [6, SLICE_NODES];
    this.room = Math.max(least, Math.min(most, start - this.sliced > 34 ? this.room / 2 : this.room * 1.25));
    for (let room = this.room; this.at < this.queue.length && room > 0 && performance.now() < until; this.at++) {
      const op = this.queue[this.at];
      this.apply(op);
      if (op[0] === "n") room--;
    }
    if (this.at === this.queue.length) {
      this.queue = [];
      this.at = 0;
      for (const tool of this.told) if (saidBelow(this, tool, tool.text)) tool.output();
      this.told.clear();
    } else this.schedule();
    this.showHeader();
    this.sliced = performance.now();
  }

  /** @param {import("./store.js").Op} op */
  apply(op) {
    const [what, key] = op;
    if (what === "n") return this.add(key, op[2], op[3], op[4]);
    const node = this.nodes.get(key);
    if (!node) return undefined;
    if (what === "+") node.append(op[2], op[3]);
    else if (what === "s") {
      Object.assign(node.props, op[2]);
      node.update(op[2]);
    }
    return undefined;
  }

  /** @param {number} key @param {number | null} parentKey @param {string} kind @param {import("./format.js").Props} props */
  add(key, parentKey, kind, props) {
    const parent = parentKey === null ? null : (this.nodes.get(parentKey) ?? null);
    const node = createNode(key, kind, { ...props }, parent, this);
    this.nodes.set(key, node);
    this.nested(node);
    if (kind === "relay" && node.props.status === "pending" && !this.announced.has(props.id)) {
      this.announced.add(props.id);
      this.announce(`Waiting for you: ${/** @type {any} */ (node).question.words}`);
    }
    if (parent && node.depth > MAX_DEPTH) parent.element.after(node.element);
    else if (parent) parent.hold(node.element);
    else this.group = intoGroup(this.content, this.group, node.element, this.backlog);
  }

  /** @param {import("./nodes.js").NodeView} node */
  nested(node) {
    const { parent } = node;
    // Reasoning is over when something else comes in the same run, turns counted as part of it.
    const scope = parent?.kind === "turn" ? (parent.parent?.key ?? parent.key) : (parent?.key ?? null);
    if (node.kind !== "turn") {
      /** @type {any} */ (this.lastOf.get(scope))?.over?.();
      this.lastOf.set(scope, node);
    }
    if (parent) {
      const siblings = this.children.get(parent.key);
      if (siblings) siblings.push(node);
      else this.children.set(parent.key, [node]);
    }
    if (node.kind === "turn" && parent?.kind === "run") {
      parent.turns++;
      parent.update({});
    }
    if (!parent && (node.kind === "run" || node.kind === "turn")) {
      this.runs.push(node);
      // Side by side, each needs a heading of its own.
      const side = this.runs.filter((run) => run.props.status === "running").length > 1;
      if (side) this.element.classList.add("lgnb-many");
    }
  }

  /** @param {import("./nodes.js").NodeView} node */
  childrenOf(node) {
    return this.children.get(node.key) ?? [];
  }

  showHeader() {
    const { store } = this;
    const state = summary(this);
    this.dock.update(state.live ? this.pending : new Set());
    for (const relay of this.pending) for (const question of relay.questions) question.count();
    this.header.show(state);
    if (this.saying.length && this.at === this.queue.length) {
      this.says.replaceChildren(h("div", "", this.saying.join(". "))); // a new element, so that the same words are said again
      this.saying = [];
    }
    if (this.wasThere) this.goOn(this.wasThere);
    this.composer?.show({ busy: !store.over, dead: store.dead });
    this.element.dataset.state = state.status;
    if (state.live && !this.clock) this.clock = window.setInterval(() => this.showHeader(), 1000);
    else if (!state.live) this.stopClock();
  }

  stopClock() {
    window.clearInterval(this.clock);
    this.clock = 0;
  }

  /** With all else that is new: a later sentence would take the place of one that is not yet spoken. @param {string} words */
  announce(words) {
    this.saying.push(words);
    this.schedule();
  }

  /** @param {import("./relay.js").Question} question */
  left(question) {
    this.wasThere = question;
    this.schedule();
  }

  /** From an answered question to the next one, else to its answer, else to the run; unless the person is elsewhere by now. @param {import("./relay.js").Question} question */
  goOn(question) {
    this.wasThere = null;
    if (document.activeElement && document.activeElement !== document.body && document.activeElement !== question.done) return undefined;
    const relay = [...this.pending].find((one) => !this.store.answered.has(one.id));
    if (relay) return (this.dock.shown.get(relay) ?? relay.question).arrive((element) => this.reveal(element));
    return (question.element.isConnected && question.done ? question.done : this.body).focus({ preventScroll: true });
  }

  /** @param {string} id @param {object} answer */
  answer(id, answer) {
    if (this.store.dead || this.store.over || this.store.answered.has(id)) return;
    this.store.answered.add(id);
    this.send({ k: "relay", id, ...answer });
    this.store.changed();
  }

  stop() {
    if (this.store.stopping) return;
    this.store.stopping = true;
    this.send({ k: "stop" });
    this.store.changed();
  }

  goToQuestion() {
    const [relay] = this.pending;
    if (!relay) return;
    const top = this.dock.shown.get(relay);
    const { element } = top ?? relay;
    this.reveal(element);
    element.focus({ preventScroll: true });
  }

  /** Unfold what hides it, and bring it into sight. @param {HTMLElement} element */
  reveal(element) {
    for (let above = element.parentElement?.closest("details"); above; above = above.parentElement?.closest("details")) above.open = true;
    if (element instanceof HTMLDetailsElement) element.open = true;
    element.scrollIntoView({ block: "nearest" });
  }

  /** Fold every call and thought, or unfold every call if they are. */
  foldAll() {
    const calls = [...this.content.querySelectorAll("details.lgnb-tool")].map((one) => /** @type {HTMLDetailsElement} */ (one));
    const open = calls.some((one) => one.open);
    for (const one of calls) one.open = !open;
    if (open) for (const one of this.content.querySelectorAll("details.lgnb-fold")) /** @type {HTMLDetailsElement} */ (one).open = false;
  }

  /** @param {string} what */
  pick(what) {
    if (what !== "copy") return this.send({ k: "export", format: what });
    const texts = [...this.store.nodes.values()].filter((node) => node.kind === "text");
    const answer = texts.at(-1)?.streams.get("text") ?? "";
    return navigator.clipboard?.writeText(answer).then(
      () => this.announce("The answer is copied."),
      () => this.announce("The browser does not allow to copy here."),
    );
  }

  /** The person's next turn. @param {string} text */
  say(text) {
    this.send({ k: "say", text });
  }

  letGo() {
    for (const end of this.attached) end();
    this.attached = [];
  }

  /** Everything that the view started ends. */
  remove() {
    this.gone = true;
    cancelAnimationFrame(this.frame);
    window.clearTimeout(this.timer);
    this.stopClock();
    for (const end of this.ending) end();
    this.letGo();
    this.element.remove();
  }
}
