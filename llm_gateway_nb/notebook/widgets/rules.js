import { badge, draw } from "./bits.js";
import { block } from "./blocks.js";
import { button, h } from "./dom.js";
import { shown } from "./format.js";

/** Permissions that a person edits. The table is Python's; what is typed stays. */
export class Rules {
  /** @param {any} props @param {(message: object) => void} send */
  constructor(props, send) {
    this.send = send;
    this.rows = h("div", "rules");
    this.rows.setAttribute("role", "list");
    this.rows.setAttribute("aria-label", "Rules, in the order in which they count");
    this.problem = h("div", "row-error");
    this.problem.setAttribute("role", "status");
    this.tried = h("div", "tried");
    this.tried.setAttribute("role", "status");
    this.code = h("div", "");

    this.list = h("select", "input");
    for (const list of props.lists) this.list.append(new Option(list.word, list.name));
    this.list.value = "allowlist";
    this.tool = textField("tool");
    this.param = textField("parameter");
    this.pattern = textField("git status *");
    this.add = button("plain", "Add rule", () => this.addRule());
    this.tryTool = textField("tool");
    this.tryArguments = textField("a command, or the arguments as JSON");
    this.tryTool.value = "bash";
    this.test = button("plain", "Try", () => this.tryCall());
    for (const [input, name] of /** @type {[HTMLElement, string][]} */ ([
      [this.list, "List"],
      [this.tool, "Tool of the new rule"],
      [this.param, "Parameter of the new rule"],
      [this.pattern, "Pattern of the new rule"],
      [this.tryTool, "Tool of the call to try"],
      [this.tryArguments, "Arguments of the call to try"],
    ]))
      input.setAttribute("aria-label", name);
    const adding = h("div", "rule-form", h("span", "rule-form-name", "New rule"), this.list, this.tool, this.param, this.pattern, this.add);
    const trying = h("div", "rule-form", h("span", "rule-form-name", "Try a call"), this.tryTool, this.tryArguments, this.test);
    onEnter(adding, () => this.addRule());
    onEnter(trying, () => this.tryCall());
    this.element = h("div", "permissions", this.rows, adding, this.problem, trying, this.tried, this.code);
    this.open = true;
    this.shownCode = "";
    this.update(props, true);
  }

  addRule() {
    const { list, tool, param, pattern } = this;
    const name = param.value.trim() || (pattern.value.trim() ? "command" : "");
    this.send({ k: "add", list: list.value, tool: tool.value, params: name ? { [name]: pattern.value } : {} });
    if (tool.value.trim()) pattern.value = "";
  }

  tryCall() {
    this.send({ k: "try", tool: this.tryTool.value, arguments: this.tryArguments.value });
  }

  /** @param {any} props @param {boolean} open can the kernel be reached? */
  update(props, open) {
    for (const control of [this.add, this.test]) control.disabled = !open;
    const at = [...this.rows.querySelectorAll("button")].indexOf(/** @type {any} */ (document.activeElement));
    const words = Object.fromEntries(props.lists.map((/** @type {any} */ list) => [list.name, list]));
    this.rows.replaceChildren(
      ...props.rows.map((/** @type {any} */ row) => {
        const { word, tone } = words[row.list];
        const remove = button("remove", "✕", () => this.send({ k: "remove", list: row.list, index: row.index }));
        remove.setAttribute("aria-label", `Remove: ${word} ${shown(row.rule)}`);
        remove.title = "Remove";
        remove.disabled = !open;
        const element = h("div", "rule", badge(word, tone), h("code", "value", shown(row.rule)), remove);
        element.setAttribute("role", "listitem");
        return element;
      }),
    );
    if (at >= 0) {
      const others = this.rows.querySelectorAll("button");
      (others[Math.min(at, others.length - 1)] ?? this.tool).focus({ preventScroll: true }); // the one with the focus is gone
    }
    this.rows.append(h("p", "small", props.rows.length ? "What no rule covers asks a person." : "No rules: every call asks a person."));
    this.problem.textContent = shown(props.problem ?? "");
    this.tried.replaceChildren(...props.tried.map(draw));
    if (props.code !== this.shownCode) {
      this.shownCode = props.code;
      this.code.replaceChildren(h("details", "fold", h("summary", "", "As code"), block(shown(props.code))));
    }
  }
}

/** @param {string} placeholder */
function textField(placeholder) {
  const input = h("input", "input");
  input.type = "text";
  input.placeholder = placeholder;
  input.spellcheck = false;
  return input;
}

/** @param {HTMLElement} form @param {() => void} act */
function onEnter(form, act) {
  form.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook's own shortcuts
    if (event.key !== "Enter" || event.isComposing || !(event.target instanceof HTMLInputElement)) return;
    event.preventDefault();
    act();
  });
}
