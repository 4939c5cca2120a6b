import { button, h, icon } from "./dom.js";

/** Where a person writes their next turn. Enter sends it; with Shift it is a line break. */
export class Composer {
  /** @param {(text: string) => void} say */
  constructor(say) {
    this.busy = false;
    this.field = h("textarea", "field");
    this.field.rows = 1;
    this.field.placeholder = "Write a message";
    this.field.setAttribute("aria-label", "Your message");
    const send = () => {
      const text = this.field.value.trim();
      if (!text || this.busy || this.field.disabled) return;
      say(text);
      this.field.value = "";
      this.field.focus({ preventScroll: true }); // the button is off from now on
      this.resize();
    };
    this.button = button("primary send", icon("send"), send);
    this.button.setAttribute("aria-label", "Send");
    this.element = h("div", "composer", this.field, this.button);
    this.field.addEventListener("input", () => this.resize());
    this.element.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.target !== this.field) return;
      event.preventDefault();
      send();
    });
  }

  resize() {
    this.field.rows = Math.min(8, this.field.value.split("\n").length);
  }

  /** While the model answers the next turn can be written, not sent. @param {{ busy: boolean, dead: boolean }} state */
  show({ busy, dead }) {
    this.busy = busy;
    this.button.disabled = busy || dead;
    this.field.disabled = dead;
    this.field.placeholder = dead ? "The kernel is gone" : "Write a message";
  }
}
