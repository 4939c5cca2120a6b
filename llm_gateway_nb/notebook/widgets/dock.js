import { h } from "./dom.js";
import { oneLine, shown } from "./format.js";
import { Question } from "./relay.js";

/** @typedef {import("./nodes.js").NodeView} NodeView */
/** @typedef {import("./nodes.js").RelayView} RelayView */

const AT_ONCE = 4;

/** The questions of subagents, at the top of the panel, where nobody has to look for them. They stand in their place, too. */
export class Dock {
  /** @param {(question: Question) => void} left a question that goes had the focus */
  constructor(left) {
    this.left = left;
    this.list = h("div", "dock-list");
    this.more = h("div", "dock-more");
    this.element = h("div", "dock", this.list, this.more);
    this.element.hidden = true;
    /** @type {Map<RelayView, Question>} */
    this.shown = new Map();
  }

  /** @param {Set<RelayView>} pending */
  update(pending) {
    for (const [relay, question] of this.shown) {
      if (pending.has(relay)) continue;
      const hadFocus = question.element.contains(document.activeElement);
      question.element.remove();
      relay.questions.delete(question);
      this.shown.delete(relay);
      if (hadFocus) this.left(question);
    }
    const nested = [...pending].filter((relay) => relay.nested);
    for (const relay of nested) {
      if (this.shown.size >= AT_ONCE || this.shown.has(relay)) continue;
      const question = relay.another(pathOf(relay));
      this.shown.set(relay, question);
      this.list.append(question.element);
    }
    const rest = nested.length - this.shown.size;
    this.element.hidden = this.shown.size === 0;
    this.more.textContent = rest > 0 ? `${rest} more below` : "";
  }
}

/** Whose question it is: the calls that it is nested in. @param {NodeView} relay */
export function pathOf(relay) {
  const steps = [];
  for (let node = relay.parent?.parent ?? null; node; node = node.parent) {
    if (node.kind !== "tool") continue;
    const { line } = oneLine(node.props.input);
    steps.unshift(`${shown(String(node.props.name))}${line ? ` “${line.length > 48 ? `${line.slice(0, 48)}…` : line}”` : ""}`);
  }
  return steps.join(" › ");
}
