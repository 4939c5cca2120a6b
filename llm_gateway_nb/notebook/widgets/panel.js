import { save } from "./menu.js";
import { Store } from "./store.js";
import { View } from "./view.js";

const ASK_AGAIN_MS = 1000;
const SILENCE_MS = 4000;

/** One store a model, any number of views. @returns {any} */
export default () => {
  const store = new Store();
  let asked = 0;
  let loading = 0;
  let silence = 0;

  return {
    /** @param {{ model: any }} props */
    initialize({ model }) {
      const ask = () => {
        if (Date.now() - asked < ASK_AGAIN_MS) return;
        asked = Date.now();
        model.send({ k: "ready" });
      };

      /** @param {any} message */
      const snapshot = (message) => {
        if (message.part === 0) {
          if (message.seq <= store.seq) return; // we have all that
          store.nodes.clear();
          for (const view of store.views) view.rebuild();
          loading = message.seq;
        }
        if (message.seq !== loading) return;
        store.apply(message.ops);
        if (message.part === message.parts - 1) {
          store.seq = loading;
          loading = 0;
          asked = 0;
        }
      };

      /** @param {any} message */
      const patch = (message) => {
        if (message.seq <= store.seq) return;
        if (loading || message.seq !== store.seq + 1) return ask(); // something was lost
        store.seq = message.seq;
        store.apply(message.ops);
      };

      /** @param {any} message */
      const onMessage = (message) => {
        if (message?.k === "file") return save(message.name, message.kind, message.text);
        if (message?.k !== "patch" && message?.k !== "snapshot") return;
        const was = [store.dead, store.over].join();
        store.dead = false; // a page that gets messages has its kernel again
        store.over = Boolean(message.over);
        if (store.over) store.stopping = false;
        if (typeof message.now === "number" && !store.skew) store.skew = message.now - Date.now() / 1000;
        if (message.k === "patch") patch(message);
        else snapshot(message);
        if (was !== [store.dead, store.over].join()) store.changed();
        // The last message of all may be the one that was lost: ask once in every silence.
        clearTimeout(silence);
        if (!store.over) silence = window.setTimeout(() => model.send({ k: "ready", seq: store.seq }), SILENCE_MS);
      };

      const onDead = () => {
        clearTimeout(silence);
        store.dead = true;
        store.changed();
      };

      model.on("msg:custom", onMessage);
      model.on("comm_live_update", onDead);
      ask();
      return () => {
        clearTimeout(silence);
        model.off("msg:custom", onMessage);
        model.off("comm_live_update", onDead);
      };
    },

    /** @param {{ model: any, el: HTMLElement }} props */
    render({ model, el }) {
      const given = {
        title: String(model.get("title") ?? ""),
        chat: Boolean(model.get("chat")),
        rendermime: model.widget_manager?.rendermime ?? null,
      };
      const view = new View(el, store, given, (message) => model.send(message));
      store.views.add(view);
      const onChat = () => {
        if (view.composer) view.composer.element.hidden = !model.get("chat"); // the conversation was closed
      };
      model.on("change:chat", onChat);
      return () => {
        model.off("change:chat", onChat);
        store.views.delete(view);
        view.remove();
      };
    },
  };
};
