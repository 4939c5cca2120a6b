import assert from "node:assert/strict";
import { test } from "node:test";

import { openPage } from "./page.js";

const { document } = openPage();
const { Prose } = await import("../../llm_gateway_nb/notebook/widgets/prose.js");

/** @param {string} text @param {number} [size] how much of it comes at a time */
function drawn(text, size = text.length) {
  const host = document.createElement("div");
  const prose = new Prose(host);
  for (let at = 0; at < text.length; at += size) prose.append(text.slice(at, at + size));
  return host;
}

/** Without the blocks that only bound the layout, and the buttons. @param {HTMLElement} host */
function html(host) {
  for (const button of host.querySelectorAll("button")) button.remove();
  return host.innerHTML.replace(/ (class|target|rel|title|type|data-language)="[^"]*"/g, "").replace(/<\/?div>/g, "");
}

const CASES = {
  "a paragraph keeps its line breaks": ["one\ntwo", "<p>one\ntwo</p>"],
  "a blank line parts paragraphs": ["one\n\ntwo", "<p>one</p><p>two</p>"],
  "emphasis nests": ["**a *b* c** and ~~d~~ `e*f*`", "<p><strong>a <em>b</em> c</strong> and <s>d</s> <code>e*f*</code></p>"],
  "a mark alone is text": ["2 * 3 * 4 and snake_case_name and **", "<p>2 * 3 * 4 and snake_case_name and **</p>"],
  "a heading stays below the page's own": ["## Two\ntext", "<h4>Two</h4><p>text</p>"],
  "lists nest": ["- a\n  - b\n- c", "<ul><li><p>a</p><ul><li><p>b</p></li></ul></li><li><p>c</p></li></ul>"],
  "a list counts from where it says": ["3. a\n4. b", '<ol start="3"><li><p>a</p></li><li><p>b</p></li></ol>'],
  "a quote": ["> a\n> b", "<blockquote><p>a\nb</p></blockquote>"],
  "a table": ["| a | b |\n|---|--:|\n| 1 | 2 |", '<table><thead><tr><th>a</th><th style="text-align:right">b</th></tr></thead><tbody><tr><td>1</td><td style="text-align:right">2</td></tr></tbody></table>'],
  "a link goes to the web only": ["[a](https://x.org) [b](javascript:alert(1))", '<p><a href="https://x.org">a</a> b</p>'],
  "an image is named and not loaded": ["![cat](http://leak.invalid/a.png)", "<p>[image: cat]</p>"],
  "markup is text": ["<img src=x onerror=alert(1)> &amp; <b>", "<p>&lt;img src=x onerror=alert(1)&gt; &amp;amp; &lt;b&gt;</p>"],
  "what turns text round is seen": ["a\u202eb", "<p>a⟨U+202E⟩b</p>"],
};

for (const [name, [text, expected]] of Object.entries(CASES)) {
  test(name, () => assert.equal(html(drawn(text)), expected));
}

const LONG = `# Title\n\nSome **bold** text, \`code\` and\r\na [link](https://x.org/a_(b)).\n\n1. one\n   - inner\n\n   more\n2. two\n\n| a | b |\n|:-:|---|\n| 1 | x \\| y |\n\n> quote\n> - item\n\n\`\`\`python\nfor x in y:\n\n    print("#")  # c\n\`\`\`\n\n---\nend`;

test("however it is cut, the same comes out", () => {
  const whole = html(drawn(LONG));
  for (const size of [1, 2, 3, 7, 50]) assert.equal(html(drawn(LONG, size)), whole, `in pieces of ${size}`);
});

test("code that is still coming is shown, its fence is not", () => {
  const lines = drawn("```js\nlet a = 1;\nlet b\n``", 3).querySelectorAll("pre > div");
  assert.deepEqual([...lines].map((line) => line.textContent), ["let a = 1;", "let b"]);
});

test("nothing is lost of a line without end", () => {
  const line = "word ".repeat(3000);
  assert.equal((drawn(line, 11).textContent ?? "").replace(/\s+/g, ""), line.replace(/\s+/g, ""));
});
