import { button, h, onKeys } from "./dom.js";
import { shown } from "./format.js";

/** @typedef {import("./format.js").Props} Props */

/**
 * Is it the tool `ask_user`, which asks the person and not for permission? One by that name with anything else among its
 * arguments is not: nothing may run that is not shown.
 * @param {Props} props
 */
export function isAsk({ tool, params }) {
  if (tool !== "ask_user" || typeof Object(params).question !== "string") return false;
  return Object.entries(params).every(([key, value]) => key === "question" || (key === "answer" && !value) || (key === "options" && (value === null || isOptions(value))));
}

/** @param {any} value */
function isOptions(value) {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

/** A question of the model's, with its options as buttons and a line for any other answer. */
export class AskForm {
  /** @param {Props} props @param {(answer: import("./relay.js").Answer) => void} answer */
  constructor(props, answer) {
    const { question, options } = props.params;
    /** @param {string} text */
    const say = (text) => answer({ approved: true, input: { ...props.params, answer: text } });
    const field = h("input", "field");
    field.type = "text";
    field.placeholder = options?.length ? "or something else" : "Your answer";
    field.setAttribute("aria-label", "Your answer");
    const send = () => {
      if (field.value.trim()) say(field.value.trim());
    };
    onKeys(field, send, () => field.blur());
    const choices = h("div", "buttons", ...(options ?? []).map((/** @type {string} */ one) => button("choice", shown(one), () => say(one))));
    const words = h("div", "asked", shown(question));
    words.dir = "auto";
    this.element = h(
      "div",
      "ask",
      words,
      choices,
      h("div", "deny", field, button("primary", "Answer", send), button("plain", "No answer", () => answer({ approved: false, reason: "The person gave no answer." }))),
    );
  }
}
