import { draw } from "./bits.js";
import { h, keepShortcutsOut } from "./dom.js";
import { shown } from "./format.js";
import { Rules } from "./rules.js";
import { ToolForm } from "./tool_form.js";

const WAITING = "The kernel is busy: a cell that is running lets nothing else happen. What you did here is done as soon as it lets go.";

/** One view of a card: what Python has drawn, and below it what a person may do. */
export class CardView {
  /** @param {HTMLElement} host @param {any} picture @param {(message: object) => void} send */
  constructor(host, picture, send) {
    this.send = send;
    this.drawn = "";
    this.card = h("div", "");
    this.live = h("span", "alive", "live");
    this.note = h("p", "small waiting");
    this.note.setAttribute("role", "status");
    this.element = h("div", "", this.card, this.note);
    this.element.className = "lgnb lgnb-thing";
    keepShortcutsOut(this.element);
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", shown(String(picture.card?.title ?? "")));
    host.append(this.element);
    this.show(picture, { dead: false, late: false });
  }

  /** @param {any} picture @param {{ dead: boolean, late: boolean }} kernel is it gone? does a click wait for it? */
  show(picture, { dead, late }) {
    const json = JSON.stringify(picture.card);
    if (json !== this.drawn) {
      this.drawn = json;
      const card = draw(picture.card);
      card.querySelector(".lgnb-card-head")?.append(this.live);
      this.card.replaceChildren(card);
    }
    this.live.textContent = dead ? "kernel gone" : "live";
    this.live.dataset.tone = dead ? "bad" : "good";
    this.note.textContent = late ? WAITING : "";
    for (const [key, Part] of /** @type {[string, any][]} */ ([["form", ToolForm], ["rules", Rules]])) {
      const props = picture[key];
      if (!props) continue;
      if (this.part) this.part.update(props, !dead);
      else {
        this.part = new Part(props, this.send);
        this.note.before(this.part.element);
      }
    }
  }
}
