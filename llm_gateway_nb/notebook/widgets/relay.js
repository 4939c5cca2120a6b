import { AskForm, isAsk } from "./ask.js";
import { block } from "./blocks.js";
import { button, h, onKeys } from "./dom.js";
import { EditForm } from "./edit.js";
import { answerText, money, ruleText, shown } from "./format.js";
import { diff } from "./highlight.js";

/** @typedef {import("./format.js").Props} Props */
/** @typedef {{ approved: boolean, reason?: string, always?: boolean, input?: Props }} Answer */
/**
 * What a question may do: answer itself, and how many are open that it stands for, which it may answer, too.
 * @typedef {{ answer: (answer: Answer) => void, alike: () => number, answerAlike: () => void, left: (question: Question) => void }} Asked
 */

/** Keys that were meant for the question before are over by then. */
const LOOK_MS = 600;

/**
 * A question that a person answers, here or on another page. It never takes the focus; `a` and `d` act only while it has it.
 */
export class Question {
  /** @param {Props} props @param {Asked} asked @param {string} [path] what asks, where that is not where it stands */
  constructor(props, asked, path = "") {
    this.props = props;
    this.asked = asked;
    this.path = path;
    this.budget = props.kind === "budget";
    this.forPerson = isAsk(props);
    this.element = h("div", "relay");
    this.note = h("div", "relay-note");
    this.arrived = -Infinity;
    this.update({}, true, false);
  }

  /** In one sentence, for the announcement. */
  get words() {
    if (this.forPerson) return "The agent asks you";
    if (this.budget) {
      const { limit, used, unit } = this.props;
      return `The budget of ${amount(limit, unit)} is reached: ${amount(used, unit)} used. Go on?`;
    }
    return `${shown(String(this.props.tool))} wants to run`;
  }

  /** @param {Props} props @param {boolean} open may it still be answered? @param {boolean} sent */
  update(props, open, sent) {
    Object.assign(this.props, props);
    if (this.props.status !== "pending") return this.settled();
    if (!this.buttons) this.ask();
    const active = document.activeElement;
    for (const control of this.element.querySelectorAll("button, input, textarea")) {
      if (!control.closest(".lgnb-code")) /** @type {HTMLButtonElement} */ (control).disabled = sent || !open;
    }
    if (this.element.contains(active) && /** @type {HTMLButtonElement} */ (active).disabled) this.element.focus({ preventScroll: true });
    this.note.textContent = sent ? "Sent to the kernel…" : open ? "" : "Can no longer be answered";
    this.count();
    return undefined;
  }

  /** How many are like this one may have changed. */
  count() {
    if (!this.all) return;
    const alike = this.asked.alike();
    this.all.hidden = alike < 2;
    this.all.textContent = `Approve all ${alike} like this`;
  }

  settled() {
    if (this.done === undefined) {
      const hadFocus = this.element.contains(document.activeElement); // before it can't be focused any more
      this.done = h("div", "answer");
      this.element.className = "lgnb-relay-done";
      for (const name of ["tabindex", "role", "aria-label", "aria-keyshortcuts"]) this.element.removeAttribute(name);
      this.element.replaceChildren(this.done);
      if (hadFocus) {
        this.done.tabIndex = -1;
        this.done.focus({ preventScroll: true }); // else it would fall to the page's body
        this.asked.left(this);
      }
    }
    this.done.dataset.tone = { approved: "good", denied: "bad" }[String(this.props.status)] ?? "quiet";
    this.done.textContent = answerText(this.props, this.forPerson);
  }

  /** The focus comes from the question before. @param {(element: HTMLElement) => void} reveal */
  arrive(reveal) {
    this.arrived = performance.now();
    reveal(this.element);
    this.element.focus({ preventScroll: true });
  }

  ask() {
    const { props, element } = this;
    element.tabIndex = 0;
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", `Question: ${this.words}${this.forPerson ? "" : this.budget ? " Press a to go on, d to stop." : ". Press a to approve, d to deny."}`);
    const words = h("div", "relay-words", h("strong", "", this.words));
    if (this.path) words.append(" ", h("span", "path", this.path));
    element.append(h("div", "relay-head", h("span", "relay-mark", "?"), words));
    if (this.forPerson) {
      const form = new AskForm(props, this.asked.answer);
      this.buttons = form.element;
      element.append(form.element, this.note);
      element.addEventListener("keydown", (event) => event.stopPropagation());
      return;
    }
    element.setAttribute("aria-keyshortcuts", "a d");
    if (!this.budget) element.append(...full(props.params));
    if (props.why) element.append(h("div", "why", shown(String(props.why))));
    element.append(this.controls(), this.note);
    element.addEventListener("keydown", (event) => {
      event.stopPropagation(); // the notebook's own shortcuts
      if (event.target !== element || event.ctrlKey || event.metaKey || event.altKey || this.yes?.disabled) return;
      if (event.repeat || event.timeStamp - this.arrived < LOOK_MS) return; // nobody has read it yet
      if (event.key === "a") this.yes?.click();
      else if (event.key === "d") this.no?.click();
      else return;
      event.preventDefault();
    });
  }

  controls() {
    const { props, asked } = this;
    this.yes = button("primary", this.budget ? "Go on" : "Approve", () => asked.answer({ approved: true }));
    this.no = button("danger", this.budget ? "Stop here" : "Deny", () => (this.budget ? asked.answer({ approved: false }) : this.open(this.denial())));
    const buttons = h("div", "buttons", this.yes);
    if (props.rule && !this.budget) {
      const label = h("span", "", "Always allow ", h("code", "", ruleText(props.rule)));
      buttons.append(button("always", label, () => asked.answer({ approved: true, always: true })));
    }
    buttons.append(this.no);
    if (!this.budget) {
      const hasInput = typeof props.params === "object" && props.params !== null && Object.keys(props.params).length > 0;
      if (hasInput) buttons.append(button("plain edit", "Edit", () => this.open(this.editing())));
      this.all = button("plain all", "", () => asked.answerAlike());
      this.all.hidden = true;
      buttons.append(this.all);
    }
    buttons.append(h("span", "keys", h("kbd", "", "a"), this.budget ? " go on " : " approve ", h("kbd", "", "d"), this.budget ? " stop" : " deny"));
    this.buttons = buttons;
    return buttons;
  }

  /** A form in place of the buttons. @param {HTMLElement} form */
  open(form) {
    const buttons = /** @type {HTMLElement} */ (this.buttons);
    buttons.hidden = true;
    buttons.after(form);
    const field = /** @type {HTMLElement | null} */ (form.querySelector("input, textarea"));
    field?.focus({ preventScroll: true });
  }

  /** @param {HTMLElement} form */
  shut(form) {
    form.remove();
    /** @type {HTMLElement} */ (this.buttons).hidden = false;
    this.element.focus({ preventScroll: true });
  }

  denial() {
    const reason = h("input", "field");
    reason.type = "text";
    reason.placeholder = "Reason for the model (optional)";
    reason.setAttribute("aria-label", "Reason for denying");
    const deny = () => {
      const text = reason.value.trim();
      this.asked.answer(text ? { approved: false, reason: text } : { approved: false });
    };
    const form = h("div", "deny", reason, button("danger", "Deny", deny), button("plain", "Back", () => this.shut(form)));
    onKeys(reason, deny, () => this.shut(form));
    return form;
  }

  editing() {
    const form = new EditForm(
      this.props.params,
      (input) => this.asked.answer({ approved: true, input }),
      () => this.shut(form.element),
    );
    return form.element;
  }
}

/** @param {any} value @param {any} unit */
function amount(value, unit) {
  if (unit === "usd") return money(Number(value));
  return `${Number(value).toLocaleString("en")} ${shown(String(unit))}`;
}

/**
 * All that would run, nothing left out: what a person approves they have seen.
 * @param {any} params
 * @returns {HTMLElement[]}
 */
function full(params) {
  if (typeof params !== "object" || params === null) return [uncut(JSON.stringify(params) ?? "")];
  const rest = { ...params };
  /** @type {HTMLElement[]} */
  const blocks = [];
  for (const [key, value] of Object.entries(params)) {
    if (typeof value !== "string" || !(key === "command" || key === "code" || value.includes("\n"))) continue;
    delete rest[key];
    if (key !== "command") blocks.push(h("div", "label", shown(key)));
    blocks.push(uncut(value, key === "command" ? "command" : ""));
  }
  const lines = Object.entries(rest).map(([key, value]) => `${key}: ${JSON.stringify(value, null, 2)}`);
  if (lines.length) blocks.push(uncut(lines.join("\n")));
  return blocks;
}

/** @param {string} text @param {string} [cls] */
function uncut(text, cls = "") {
  const element = block("", `uncut ${cls}`);
  const pre = /** @type {HTMLElement} */ (element.querySelector("pre"));
  element.replaceChildren(pre);
  element.tabIndex = 0; // so that a keyboard can scroll it
  if (/^@@ |^\*\*\* Begin Patch/m.test(text) && text.length < 50_000) pre.replaceChildren(...diff(shown(text)));
  else pre.textContent = shown(text);
  return element;
}
