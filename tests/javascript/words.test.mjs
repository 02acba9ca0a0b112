import assert from "node:assert/strict";
import test from "node:test";

import { script } from "./page.mjs";

test("a sentence takes its values by name, and keeps a name without one", async () => {
  const { format } = await script("pushpilot/words.js");
  assert.equal(format("%(count)s of %(all)s", { count: 3, all: 5 }), "3 of 5");
  assert.equal(format("%(a)s %(b)s", { a: "%(b)s", b: 0 }), "%(b)s 0");
  assert.equal(format("%(absent)s", {}), "%(absent)s");
});

test("without a catalogue one and many are told apart as in English", async () => {
  const { ngettext } = await script("pushpilot/words.js");
  assert.deepEqual([0, 1, 2].map((count) => ngettext("one", "many", count)), ["many", "one", "many"]);
});

test("numbers are written in the page's language and the reader's region", async () => {
  const { locale, number } = await script("pushpilot/words.js");
  assert.equal(locale, "en-GB");
  assert.equal(number(1234567), "1,234,567");
});
