import { button, h } from "./dom.js";

/** @typedef {import("./format.js").Props} Props */

/** The arguments of a call as fields: texts as they are, everything else as JSON. */
export class EditForm {
  /** @param {Props} params @param {(input: Props) => void} run @param {() => void} back */
  constructor(params, run, back) {
    /** @type {[string, boolean, HTMLTextAreaElement][]} */
    this.fields = Object.entries(params).map(([key, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
      const field = h("textarea", "field");
      field.value = text;
      field.rows = Math.min(14, text.split("\n").length + Math.floor(text.length / 90));
      field.spellcheck = false;
      return [key, typeof value === "string", field];
    });
    this.wrong = h("div", "wrong");
    this.wrong.setAttribute("role", "alert");
    const submit = () => {
      const input = this.read();
      if (input) run(input);
    };
    const rows = this.fields.map(([key, , field]) => h("label", "edit-row", h("span", "label", key), field));
    this.element = h("div", "edit-form", ...rows, this.wrong, h("div", "buttons", button("primary", "Run as edited", submit), button("plain", "Back", back)));
    this.element.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") back();
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
      else return;
      event.preventDefault();
    });
  }

  /** The arguments, unless one of them is no JSON; then it says which. @returns {Props | null} */
  read() {
    /** @type {Props} */
    const input = {};
    for (const [key, isText, field] of this.fields) {
      field.removeAttribute("aria-invalid");
      try {
        input[key] = isText ? field.value : JSON.parse(field.value);
      } catch (error) {
        this.wrong.textContent = `${key} is not JSON: ${error instanceof Error ? error.message : error}`;
        field.setAttribute("aria-invalid", "true");
        field.focus();
        return null;
      }
    }
    this.wrong.textContent = "";
    return input;
  }
}
