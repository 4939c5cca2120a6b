import { badge, draw } from "./bits.js";
import { button, h, isOff, setOff } from "./dom.js";
import { shown } from "./format.js";

/** @typedef {{ name: string, kind: string, type: string, required: boolean, about: string, default?: any, choices?: any[] }} Field */

/** @type {Record<string, [string, string]>} */
const WORDS = {
  running: ["running", "busy"],
  ok: ["done", "good"],
  error: ["failed", "bad"],
  invalid: ["not called", "bad"],
  cancelled: ["stopped", "quiet"],
};

/** A tool's parameters as a form, and what came of the last call. What is typed stays; the rest is drawn as Python says. */
export class ToolForm {
  /** @param {any} props @param {(message: object) => void} send */
  constructor(props, send) {
    this.send = send;
    this.id = `lgnb-form-${Math.random().toString(36).slice(2)}`; // each widget has this module for itself: no counting
    /** @type {Map<string, { field: Field, input: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement, error: HTMLElement }>} */
    this.inputs = new Map();
    this.element = h("form", "form");
    this.element.setAttribute("aria-label", `Call ${shown(props.name)}`);
    for (const field of props.fields) this.element.append(this.row(field));
    this.whole = h("div", "row-error");
    this.call = button("primary", "Call", () => this.submit());
    this.stop = button("danger", "Stop", () => this.send({ k: "stop" }));
    this.state = h("span", "form-state");
    this.state.setAttribute("role", "status");
    this.output = h("div", "form-output");
    this.element.append(this.whole, h("div", "buttons", this.call, this.stop, this.state), this.output);
    this.element.addEventListener("submit", (event) => event.preventDefault());
    this.element.addEventListener("keydown", (event) => {
      event.stopPropagation(); // the notebook's own shortcuts
      const many = event.target instanceof HTMLTextAreaElement;
      if (event.key !== "Enter" || event.isComposing || event.target instanceof HTMLButtonElement) return;
      if (many && !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.submit();
    });
    this.update(props, true);
  }

  /** @param {Field} field */
  row(field) {
    const input = control(field);
    input.id = `${this.id}-${this.inputs.size}`;
    const label = h("label", "row-name", shown(field.name));
    label.htmlFor = input.id;
    const error = h("div", "row-error");
    error.id = `${input.id}-error`;
    input.setAttribute("aria-describedby", error.id);
    if (field.required) input.setAttribute("aria-required", "true");
    this.inputs.set(field.name, { field, input, error });
    const about = h("div", "row-about", shown([field.type, field.required ? "" : "optional", field.about].filter(Boolean).join(" · ")));
    return h("div", "row", label, h("div", "row-main", input, about, error));
  }

  submit() {
    if (isOff(this.call)) return;
    /** @type {Record<string, any>} */
    const values = {};
    for (const [name, { field, input }] of this.inputs) values[name] = valueOf(field, input);
    setOff(this.call, true);
    this.state.replaceChildren("sent to the kernel…");
    this.send({ k: "call", values });
  }

  /** @param {any} props @param {boolean} open can the kernel be reached? */
  update(props, open) {
    const running = props.status === "running";
    setOff(this.call, running || !open);
    if (!running && document.activeElement === this.stop) this.call.focus({ preventScroll: true });
    this.stop.hidden = !running;
    const [word, tone] = WORDS[props.status] ?? ["", ""];
    this.state.replaceChildren(...(open ? (word ? [badge(word, tone)] : []) : ["the kernel is gone"]));
    const errors = props.errors ?? {};
    this.whole.textContent = shown(errors[""] ?? "");
    let first = null;
    for (const [name, { input, error }] of this.inputs) {
      error.textContent = shown(errors[name] ?? "");
      if (errors[name]) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
      if (errors[name]) first ??= input;
    }
    if (first && this.element.contains(document.activeElement)) first.focus({ preventScroll: true });
    this.output.replaceChildren(...(props.output ?? []).map(draw));
    this.output.dataset.tone = props.status === "error" ? "bad" : "";
  }
}

/** @param {Field} field */
function control(field) {
  if (field.kind === "choice") {
    const select = h("select", "input");
    if (!field.required || field.default === undefined) select.append(new Option("", ""));
    for (const [index, choice] of (field.choices ?? []).entries()) {
      select.append(new Option(typeof choice === "string" ? shown(choice) : JSON.stringify(choice), String(index)));
    }
    if (field.default !== undefined) select.value = String((field.choices ?? []).indexOf(field.default));
    return select;
  }
  if (field.kind === "boolean") {
    const box = h("input", "check");
    box.type = "checkbox";
    box.checked = field.default === true;
    return box;
  }
  if (field.kind === "integer" || field.kind === "number") {
    const number = h("input", "input");
    number.type = "text"; // a number field would swallow what is no number, and nobody could tell why
    number.inputMode = field.kind === "integer" ? "numeric" : "decimal";
    number.value = field.default === undefined ? "" : String(field.default);
    return number;
  }
  const area = h("textarea", "input");
  area.rows = field.kind === "json" ? 2 : 1;
  area.spellcheck = false;
  if (field.kind === "json") area.placeholder = field.type.startsWith("array") ? "[…]" : "{…}";
  if (field.default !== undefined) area.value = field.kind === "json" ? JSON.stringify(field.default) : String(field.default);
  return area;
}

/** @param {Field} field @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} input */
function valueOf(field, input) {
  if (field.kind === "boolean") return /** @type {HTMLInputElement} */ (input).checked;
  if (field.kind === "choice") return input.value === "" ? null : field.choices?.[Number(input.value)];
  if (field.kind === "integer" || field.kind === "number") {
    const text = input.value.trim();
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  }
  return input.value;
}
