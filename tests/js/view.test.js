import assert from "node:assert/strict";
import { test } from "node:test";

import { openPage } from "./page.js";

const { document, draw } = openPage();
const { Store } = await import("../../llm_gateway_nb/notebook/widgets/store.js");
const { View } = await import("../../llm_gateway_nb/notebook/widgets/view.js");

/** @param {import("../../llm_gateway_nb/notebook/widgets/store.js").Op[][]} patches */
function shown(...patches) {
  const store = new Store();
  /** @type {any[]} */
  const sent = [];
  const host = document.createElement("div");
  document.body.append(host);
  const view = new View(host, store, { title: "A run", chat: false, rendermime: null }, (/** @type {any} */ message) => sent.push(message));
  store.views.add(view);
  for (const patch of patches) {
    store.apply(patch);
    draw();
  }
  return { store, view, host, sent };
}

/** @type {any} */
const RUN = ["n", 0, null, "run", { id: "r", status: "running", model: "m", maxIterations: 4 }];
/** @type {any} */
const ASK = [
  ["n", 1, 0, "tool", { id: "c", name: "bash", input: { command: "ls" }, status: "asking" }],
  ["n", 2, 1, "relay", { id: "q", kind: "permission", tool: "bash", params: { command: "ls" }, status: "pending" }],
];

/** @param {Element} host @param {string} selector */
const text = (host, selector) => host.querySelector(selector)?.textContent ?? "";

test("a run, its text and its end", () => {
  const { host } = shown([RUN, ["n", 1, 0, "text", { id: "t" }]], [["+", 1, "text", "It **has** 3."]], [["s", 0, { status: "final", iterations: 2, cost: 0.0123, inputTokens: 1200, outputTokens: 34 }]]);
  assert.equal(text(host, ".lgnb-text"), "It has 3.");
  assert.equal(text(host, ".lgnb-status"), "done");
  assert.equal(text(host, ".lgnb-steps"), "2 of 4");
  assert.equal(text(host, ".lgnb-cost"), "$0.012");
  assert.equal(text(host, ".lgnb-tokens"), "1.2k tokens in · 34 out");
});

test("patches and a snapshot make the same page", () => {
  const patches = /** @type {any} */ ([[RUN], ASK, [["s", 2, { status: "approved", by: "person" }], ["s", 1, { status: "running" }]], [["+", 1, "progress", "a\n"], ["s", 1, { status: "ok", output: "a\nb" }]]]);
  const { host, store } = shown(...patches);
  const late = shown(store.operations());
  assert.equal(text(late.host, ".lgnb-body"), text(host, ".lgnb-body"));
  assert.match(host.textContent ?? "", /Approved by you/);
});

test("one answer, whatever is pressed after it", () => {
  const { host, sent } = shown([RUN], ASK);
  const buttons = [...host.querySelectorAll(".lgnb-relay button")];
  const approve = buttons.find((one) => one.textContent === "Approve");
  approve?.dispatchEvent(new /** @type {any} */ (window).Event("click"));
  approve?.dispatchEvent(new /** @type {any} */ (window).Event("click"));
  assert.deepEqual(sent, [{ k: "relay", id: "q", approved: true }]);
});

test("a subagent's answer is not told twice", () => {
  const { host } = shown([
    RUN,
    ["n", 1, 0, "tool", { id: "c", name: "agent", input: { task: "t" }, status: "ok", output: "It has **3**." }],
    ["n", 2, 1, "run", { id: "s", status: "final" }],
    ["n", 3, 2, "text", { id: "x" }],
    ["+", 3, "text", "It has **3**."],
  ]);
  assert.equal((host.querySelector(".lgnb-body")?.textContent ?? "").split("It has").length, 2);
});

test("what is unknown is kept out of the page and breaks nothing", () => {
  const { host } = shown([RUN, ["n", 1, 0, "hologram", { id: "h" }], ["+", 99, "text", "lost"], ["s", 98, { status: "x" }]]);
  assert.equal(text(host, ".lgnb-status"), "running");
});

test("the kernel goes: no button is left that does nothing", () => {
  const { host, store } = shown([RUN], ASK);
  store.dead = true;
  store.changed();
  draw();
  assert.equal(text(host, ".lgnb-status"), "kernel gone");
  for (const button of host.querySelectorAll(".lgnb-relay button")) assert.ok(/** @type {any} */ (button).disabled);
});
