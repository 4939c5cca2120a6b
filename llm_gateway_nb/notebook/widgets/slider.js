import { keepShortcutsOut } from "./dom.js";

/** A slider over a recording, and a button that plays it in its own time. The panel beside it shows what there was by then. */

const FRAME_MS = 33;
const LONGEST_PAUSE_S = 2;

/** @param {number} seconds */
const told = (seconds) => {
  const minutes = Math.floor(seconds / 60);
  const rest = seconds - 60 * minutes;
  return minutes ? `${minutes} min ${rest.toFixed(0)} s` : `${rest.toFixed(rest < 10 ? 2 : 1)} s`;
};

/** @param {string} tag @param {Record<string, string>} attributes @returns {any} */
const made = (tag, attributes) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

export default () => ({
  /** @param {{ model: any, el: HTMLElement }} props */
  render({ model, el }) {
    /** @type {number[]} */
    let times = model.get("times") ?? [];
    let last = times.length;
    const root = made("div", { class: "lgnb lgnb-timeline", role: "group", "aria-label": "Time in the recording" });
    const play = made("button", { type: "button", class: "lgnb-play" });
    const slider = made("input", { type: "range", min: "0", max: String(last), step: "1", "aria-label": "Event" });
    const label = made("output", { class: "lgnb-when" });
    root.append(play, slider, label);
    el.append(root);

    let at = 0;
    let timer = 0;
    let waiting = 0;

    const draw = () => {
      const seconds = at ? times[at - 1] - times[0] : 0;
      const text = `event ${at} of ${last}, ${told(seconds)}`;
      slider.value = String(at);
      slider.setAttribute("aria-valuetext", text);
      label.textContent = text;
      play.textContent = timer ? "❚❚" : "▶";
      play.setAttribute("aria-label", timer ? "Pause" : "Play");
    };

    /** At most once a frame, and the last one always. */
    const tell = () => {
      if (waiting) return;
      waiting = window.setTimeout(() => {
        waiting = 0;
        model.send({ k: "seek", at });
      }, FRAME_MS);
    };

    /** @param {number} to */
    const go = (to) => {
      at = Math.max(0, Math.min(last, to));
      draw();
      tell();
    };

    const stop = () => {
      clearTimeout(timer);
      timer = 0;
      draw();
    };

    const step = () => {
      // All that came within a frame comes at once; a long pause is cut short.
      const from = times[Math.max(0, at - 1)];
      let to = at + 1;
      while (to < last && times[to] - from < FRAME_MS / 1000) to += 1;
      go(to);
      if (at >= last) return stop();
      const pause = Math.min(LONGEST_PAUSE_S, times[at] - times[at - 1]);
      timer = window.setTimeout(step, Math.max(FRAME_MS, 1000 * pause));
      draw();
    };

    const onPlay = () => {
      if (timer) return stop();
      if (at >= last) go(0);
      timer = window.setTimeout(step, FRAME_MS);
      draw();
    };

    const onSlide = () => {
      if (timer) stop();
      go(Number(slider.value));
    };

    /** A recording that plays has no times yet, and no slider. */
    const onTimes = () => {
      times = model.get("times") ?? [];
      last = times.length;
      at = Number(model.get("at") ?? last);
      slider.max = String(last);
      root.hidden = !last;
      draw();
    };

    play.addEventListener("click", onPlay);
    model.on("change:times", onTimes);
    slider.addEventListener("input", onSlide);
    // The notebook's own shortcuts end where the slider has the focus.
    keepShortcutsOut(root);
    root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => event.stopPropagation());
    onTimes();
    return () => {
      model.off("change:times", onTimes);
      clearTimeout(timer);
      clearTimeout(waiting);
      root.remove();
    };
  },
});
