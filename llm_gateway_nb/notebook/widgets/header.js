import { button, h } from "./dom.js";
import { count, duration, RUN_WORDS, shown } from "./format.js";

/** The line at the top: how the run is doing, and the button that stops it. */
export class Header {
  /** @param {() => void} stop @param {() => void} goToQuestion */
  constructor(stop, goToQuestion) {
    this.mark = h("span", "mark");
    this.word = h("span", "status");
    this.title = h("span", "title");
    this.model = h("span", "model");
    this.bar = h("span", "bar", h("span", "bar-fill"));
    this.bar.setAttribute("role", "progressbar");
    this.bar.setAttribute("aria-label", "iterations");
    this.steps = h("span", "steps");
    this.progress = h("span", "iterations", this.bar, this.steps);
    this.tokens = h("span", "tokens");
    this.time = h("span", "time");
    this.question = button("jump", "", goToQuestion);
    this.stop = button("stop", "Stop", stop);
    this.element = h(
      "div",
      "head",
      h("span", "state", this.mark, this.word),
      this.title,
      this.model,
      h("span", "meters", this.progress, this.tokens, this.time),
      this.question,
      this.stop,
    );
  }

  /**
   * @param {{ status: string, title: string, model: string, steps: number, max: number, tokensIn: number, tokensOut: number,
   *   seconds: number | null, questions: number, live: boolean, stopping: boolean }} state
   */
  show(state) {
    const [word, tone] = RUN_WORDS[state.status] ?? [shown(state.status), "quiet"];
    put(this.word, word);
    this.mark.dataset.tone = tone;
    put(this.title, state.title);
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
    put(this.tokens, tokensIn || tokensOut ? `${count(tokensIn)} in · ${count(tokensOut)} out` : "");
    this.tokens.title = tokensIn || tokensOut ? `${tokensIn} tokens in, ${tokensOut} tokens out` : "";
    put(this.time, state.seconds === null ? "" : state.live && state.seconds < 60 ? `${Math.floor(state.seconds)} s` : duration(state.seconds));
    this.question.hidden = !state.questions;
    put(this.question, state.questions > 1 ? `${state.questions} questions` : "Question");
    this.stop.hidden = !state.live;
    this.stop.disabled = state.stopping;
    put(this.stop, state.stopping ? "stopping…" : "Stop");
  }
}

/** @param {HTMLElement} element @param {string} text */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
