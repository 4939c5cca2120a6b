import { draw } from "./bits.js";
import { h } from "./dom.js";
import { shown } from "./format.js";
import { Rules } from "./rules.js";
import { ToolForm } from "./tool_form.js";

/** One view of a card: what Python has drawn, and below it what a person may do. */
export class CardView {
  /** @param {HTMLElement} host @param {any} picture @param {(message: object) => void} send */
  constructor(host, picture, send) {
    this.send = send;
    this.drawn = "";
    this.card = h("div", "");
    this.live = h("span", "alive", "live");
    this.element = h("div", "", this.card);
    this.element.className = "lgnb lgnb-thing";
    this.element.setAttribute("data-lm-suppress-shortcuts", "true");
    this.element.setAttribute("role", "region");
    this.element.setAttribute("aria-label", shown(String(picture.card?.title ?? "")));
    host.append(this.element);
    this.show(picture, false);
  }

  /** @param {any} picture @param {boolean} dead */
  show(picture, dead) {
    const json = JSON.stringify(picture.card);
    if (json !== this.drawn) {
      this.drawn = json;
      const card = draw(picture.card);
      card.querySelector(".lgnb-card-head")?.append(this.live);
      this.card.replaceChildren(card);
    }
    this.live.textContent = dead ? "kernel gone" : "live";
    this.live.dataset.tone = dead ? "bad" : "good";
    for (const [key, Part] of /** @type {[string, any][]} */ ([["form", ToolForm], ["rules", Rules]])) {
      const props = picture[key];
      if (!props) continue;
      if (this.part) this.part.update(props, !dead);
      else {
        this.part = new Part(props, this.send);
        this.element.append(this.part.element);
      }
    }
  }
}
