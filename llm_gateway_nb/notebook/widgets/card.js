import { CardView } from "./card_view.js";

const SILENCE_MS = 4000;
const LATE_MS = 1000;

/** One picture a model, any number of views. @returns {any} */
export default () => {
  /** @type {Set<CardView>} */
  const views = new Set();
  /** @type {any} */
  let picture = null;
  let seq = 0;
  let dead = false;
  let silence = 0;
  let sent = 0;
  let late = false;
  /** What a person did and the kernel has not taken yet: its number, and the timer that will say so. @type {Map<number, number>} */
  const waiting = new Map();
  const show = () => {
    for (const view of views) view.show(picture, { dead, late });
  };
  /** @param {any} model @param {object} message */
  const act = (model, message) => {
    const n = ++sent;
    waiting.set(
      n,
      window.setTimeout(() => {
        late = true;
        show();
      }, LATE_MS),
    );
    model.send({ ...message, n });
  };
  /** @param {number} n */
  const taken = (n) => {
    clearTimeout(waiting.get(n));
    waiting.delete(n);
    if (late && !waiting.size) {
      late = false;
      show();
    }
  };

  return {
    /** @param {{ model: any }} props */
    initialize({ model }) {
      picture = model.get("first");
      /** @param {any} message */
      const onMessage = (message) => {
        if (message?.k === "taken") return taken(message.n);
        if (message?.k !== "card") return;
        dead = false;
        if (message.seq >= seq) {
          seq = message.seq;
          picture = message.picture;
        }
        show();
        // The last message of all may be the one that was lost: ask once in every silence.
        clearTimeout(silence);
        silence = window.setTimeout(() => model.send({ k: "ready", seq }), SILENCE_MS);
      };
      const onDead = () => {
        clearTimeout(silence);
        dead = true;
        for (const n of [...waiting.keys()]) taken(n);
        show();
      };
      model.on("msg:custom", onMessage);
      model.on("comm_live_update", onDead);
      model.send({ k: "ready", seq });
      return () => {
        clearTimeout(silence);
        for (const timer of waiting.values()) clearTimeout(timer);
        model.off("msg:custom", onMessage);
        model.off("comm_live_update", onDead);
      };
    },

    /** @param {{ model: any, el: HTMLElement }} props */
    render({ model, el }) {
      const view = new CardView(el, picture, (message) => act(model, message));
      view.show(picture, { dead, late });
      views.add(view);
      return () => {
        views.delete(view);
        view.element.remove();
      };
    },
  };
};
