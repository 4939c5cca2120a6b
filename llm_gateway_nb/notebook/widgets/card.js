import { CardView } from "./card_view.js";

const SILENCE_MS = 4000;

/** One picture a model, any number of views. @returns {any} */
export default () => {
  /** @type {Set<CardView>} */
  const views = new Set();
  /** @type {any} */
  let picture = null;
  let seq = 0;
  let dead = false;
  let silence = 0;
  const show = () => {
    for (const view of views) view.show(picture, dead);
  };

  return {
    /** @param {{ model: any }} props */
    initialize({ model }) {
      picture = model.get("first");
      /** @param {any} message */
      const onMessage = (message) => {
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
        show();
      };
      model.on("msg:custom", onMessage);
      model.on("comm_live_update", onDead);
      model.send({ k: "ready", seq });
      return () => {
        clearTimeout(silence);
        model.off("msg:custom", onMessage);
        model.off("comm_live_update", onDead);
      };
    },

    /** @param {{ model: any, el: HTMLElement }} props */
    render({ model, el }) {
      const view = new CardView(el, picture, (message) => model.send(message));
      view.show(picture, dead);
      views.add(view);
      return () => {
        views.delete(view);
        view.element.remove();
      };
    },
  };
};
