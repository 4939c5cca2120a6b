import { button, h, iconButton, setOff } from "./dom.js";
import { count, duration, money, RUN_WORDS, shown } from "./format.js";
import { Menu } from "./menu.js";

/**
 * @typedef {{ status: string, title: string, model: string, steps: number, max: number, tokensIn: number, tokensOut: number,
 *   cost: number | null, seconds: number | null, questions: number, live: boolean, stopping: boolean, exportable: boolean }} HeaderState
 */

/** The line at the top: how the run is doing, what it cost, and what a person can do with it. */
export class Header {
  /** @param {{ stop: () => void, leave: () => void, goToQuestion: () => void, search: () => void, fold: () => void, pick: (what: string) => void }} on */
  constructor(on) {
    this.mark = h("span", "mark");
    this.word = h("span", "status");
    this.title = h("span", "title");
    this.model = h("span", "model");
    this.bar = h("span", "bar", h("span", "bar-fill"));
    this.bar.setAttribute("role", "progressbar");
    this.bar.setAttribute("aria-label", "iterations");
    this.steps = h("span", "steps");
    this.progress = h("span", "iterations", this.bar, h("span", "", this.steps, h("span", "unit", " iterations")));
    this.tokens = h("span", "tokens");
    this.cost = h("span", "cost");
    this.time = h("span", "time");
    this.question = button("jump", "", on.goToQuestion);
    this.leave = on.leave;
    this.stop = button("stop", "Stop", on.stop);
    this.menu = new Menu(on.pick);
    this.tools = h("span", "tools", iconButton("search", "Search", on.search), iconButton("fold", "Fold or unfold all", on.fold), this.menu.element);
    this.element = h(
      "div",
      "head",
      h("span", "state", this.mark, this.word),
      this.title,
      this.model,
      h("span", "meters", this.progress, this.tokens, this.cost, this.time),
      this.question,
      this.stop,
      this.tools,
    );
  }

  /** @param {HeaderState} state */
  show(state) {
    const [word, tone] = RUN_WORDS[state.status] ?? [shown(state.status), "quiet"];
    put(this.word, word);
    this.mark.dataset.tone = this.element.dataset.tone = tone;
    put(this.title, state.title);
    this.title.title = state.title;
    put(this.model, state.model);
    this.progress.hidden = !state.max;
    if (state.max) {
      put(this.steps, `${state.steps} of ${state.max}`);
      /** @type {HTMLElement} */ (this.bar.firstElementChild).style.width = `${Math.min(100, (100 * state.steps) / state.max)}%`;
      this.bar.setAttribute("aria-valuemin", "0");
      this.bar.setAttribute("aria-valuenow", String(state.steps));
      this.bar.setAttribute("aria-valuemax", String(state.max));
    }
    const { tokensIn, tokensOut } = state;
    put(this.tokens, tokensIn || tokensOut ? `${count(tokensIn)} tokens in · ${count(tokensOut)} out` : "");
    this.tokens.title = tokensIn || tokensOut ? `${tokensIn} tokens in, ${tokensOut} tokens out` : "";
    put(this.cost, state.cost === null ? "" : money(state.cost));
    this.cost.title = state.cost === null ? "" : `${state.cost} US dollars`;
    put(this.time, state.seconds === null ? "" : state.live && state.seconds < 60 ? `${Math.floor(state.seconds)} s` : duration(state.seconds));
    this.question.hidden = !state.questions;
    put(this.question, state.questions > 1 ? `Answer ${state.questions}` : "Answer");
    this.question.setAttribute("aria-label", state.questions > 1 ? `Answer ${state.questions} questions` : "Answer the question");
    if (!state.live && document.activeElement === this.stop) this.leave();
    this.stop.hidden = !state.live;
    setOff(this.stop, state.stopping);
    put(this.stop, state.stopping ? "stopping…" : "Stop");
    this.menu.exportable(state.exportable);
  }
}

/** @param {HTMLElement} element @param {string} text */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
