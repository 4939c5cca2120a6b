import assert from "node:assert/strict";
import { test } from "node:test";

import { openPage } from "./page.js";

openPage();
const { duration, money, oneLine, printed, shown } = await import("../../llm_gateway_nb/notebook/widgets/format.js");
const { ansi, highlighter, python } = await import("../../llm_gateway_nb/notebook/widgets/highlight.js");

/** @param {(Node | string)[]} parts */
const joined = (parts) => parts.map((part) => (typeof part === "string" ? part : part.textContent)).join("");

test("what hides is seen", () => assert.equal(shown("a\u200b\u202e\x07"), "a⟨U+200B⟩⟨U+202E⟩␇"));

test("a terminal's overwriting is done, its colours are not text", () => {
  assert.equal(printed("10%\r50%\r100%\r\n\x1b[31mred\x1b[0m\n"), "100%\nred\n");
});

test("colours of a terminal colour, and nothing is lost", () => {
  const parts = ansi("a\x1b[1;31mb\x1b[0mc\x1b[38;5;12md\x1b]8;;http://x\x07e");
  assert.equal(joined(parts), "abcde");
  assert.equal(/** @type {any} */ (parts[1]).className, "lgnb-ansi-red lgnb-ansi-bold");
});

test("code in colour is the same code", () => {
  const code = 'def f(x):\n    """doc"""\n    return f"{x}" + \'#\'  # end';
  assert.equal(joined(python(code)), code);
  assert.equal(highlighter("klingon"), undefined);
});

test("arguments on a line say how much they leave out", () => {
  assert.deepEqual(oneLine({ command: "ls" }), { line: "ls", complete: true });
  assert.deepEqual(oneLine({ path: "a.py", patch: "x\ny\n" }), { line: 'path="a.py", patch=(2 lines)', complete: false });
});

test("numbers as a person says them", () => {
  assert.deepEqual([money(0), money(0.00123), money(0.5), money(12.3)], ["$0", "$0.0012", "$0.500", "$12.30"]);
  assert.deepEqual([duration(0.02), duration(3.21), duration(75)], ["20 ms", "3.2 s", "1:15"]);
});
