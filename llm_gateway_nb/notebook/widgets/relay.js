import { block } from "./blocks.js";
import { button, h } from "./dom.js";
import { answerText, ruleText, shown } from "./format.js";

/**
 * A question that a person answers, here or on another page. It never takes the focus; `a` and `d` act only while it has it.
 */
export class Question {
  /**
   * @param {import("./format.js").Props} props
   * @param {(answer: { approved: boolean, reason?: string, always?: boolean }) => void} answer
   */
  constructor(props, answer) {
    this.props = props;
    this.answer = answer;
    this.budget = props.kind === "budget";
    this.element = h("div", "relay");
    this.note = h("div", "relay-note");
    this.update({}, true, false);
  }

  /** In one sentence, for the announcement. */
  get words() {
    if (this.budget) {
      const { limit, used, unit } = this.props;
      return `The budget of ${Number(limit).toLocaleString()} ${shown(String(unit))} is reached (${Number(used).toLocaleString()}). Go on?`;
    }
    return `${shown(String(this.props.tool))} wants to run`;
  }

  /** @param {import("./format.js").Props} props @param {boolean} open may it still be answered? @param {boolean} sent */
  update(props, open, sent) {
    Object.assign(this.props, props);
    const pending = this.props.status === "pending";
    if (!pending) return this.settled();
    if (!this.reason) this.ask();
    for (const control of this.element.querySelectorAll("button, input")) {
      if (!control.closest(".lgnb-code")) /** @type {HTMLButtonElement} */ (control).disabled = sent || !open;
    }
    this.note.textContent = sent ? "Sent to the kernel…" : open ? "" : "Can no longer be answered";
    return undefined;
  }

  settled() {
    if (this.done === undefined) {
      this.done = h("div", "answer");
      this.element.className = "lgnb-relay-done";
      for (const name of ["tabindex", "role", "aria-label", "aria-keyshortcuts"]) this.element.removeAttribute(name);
      const hadFocus = this.element.contains(document.activeElement);
      this.element.replaceChildren(this.done);
      if (hadFocus) {
        this.done.tabIndex = -1;
        this.done.focus({ preventScroll: true }); // else it would fall to the page's body
      }
    }
    this.done.dataset.tone = { approved: "good", denied: "bad" }[String(this.props.status)] ?? "quiet";
    this.done.textContent = answerText(this.props);
  }

  ask() {
    const { props, element } = this;
    element.tabIndex = 0;
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", `Question: ${this.words}. Press a to approve, d to deny.`);
    element.setAttribute("aria-keyshortcuts", "a d");
    element.append(h("div", "relay-head", h("span", "relay-mark", "?"), h("strong", "", this.words)));
    if (!this.budget) element.append(...full(props.params));
    if (props.why) element.append(h("div", "why", shown(String(props.why))));

    this.reason = h("input", "reason");
    this.reason.type = "text";
    this.reason.placeholder = "Reason for the model (optional)";
    this.reason.setAttribute("aria-label", "Reason for denying");
    const form = h("div", "deny", this.reason, button("danger", "Deny", () => this.deny()), button("plain", "Back", () => this.closeDeny()));
    form.hidden = true;
    this.form = form;

    this.yes = button("primary", this.budget ? "Go on" : "Approve", () => this.answer({ approved: true }));
    const buttons = h("div", "buttons", this.yes);
    if (props.rule && !this.budget) {
      const label = h("span", "", "Always allow ", h("code", "", ruleText(props.rule)));
      buttons.append(button("always", label, () => this.answer({ approved: true, always: true })));
    }
    this.no = button("danger", this.budget ? "Stop here" : "Deny", () => this.openDeny());
    buttons.append(this.no);
    const keys = h("span", "keys", h("kbd", "", "a"), " approve ", h("kbd", "", "d"), " deny");
    buttons.append(keys);
    this.buttons = buttons;
    element.append(buttons, form, this.note);

    element.addEventListener("keydown", (event) => {
      event.stopPropagation(); // the notebook's own shortcuts
      if (event.target !== element || event.ctrlKey || event.metaKey || event.altKey || this.yes?.disabled) return;
      if (event.key === "a") this.yes?.click();
      else if (event.key === "d") this.openDeny();
      else return;
      event.preventDefault();
    });
    this.reason.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.isComposing) return;
      if (event.key === "Enter") this.deny();
      else if (event.key === "Escape") this.closeDeny();
      else return;
      event.preventDefault();
    });
  }

  openDeny() {
    if (!this.form || !this.buttons || !this.reason) return;
    this.form.hidden = false;
    this.buttons.hidden = true;
    this.reason.focus({ preventScroll: true });
  }

  closeDeny() {
    if (!this.form || !this.buttons) return;
    this.form.hidden = true;
    this.buttons.hidden = false;
    this.element.focus({ preventScroll: true });
  }

  deny() {
    const reason = this.reason?.value.trim();
    this.answer(reason ? { approved: false, reason } : { approved: false });
  }
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
    if (typeof value !== "string" || !(key === "command" || value.includes("\n"))) continue;
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
  const painted = /^@@ |^\*\*\* Begin Patch/m.test(text) ? block(shown(text)).querySelector("pre") : null;
  if (painted && text.length < 1500) pre.replaceChildren(...painted.childNodes);
  else pre.textContent = shown(text);
  return element;
}
