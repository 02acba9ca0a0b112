import assert from "node:assert/strict";
import test from "node:test";

import { script } from "./page.mjs";

const { isFilled, lengthState, variable, withoutNul } = await script("campaigns/message.js");
const { readerOf, sizeState } = await script("campaigns/preview.js");

test("a text is long after the advice, and over after the limit", () => {
  assert.deepEqual([40, 41, 65, 66].map((length) => lengthState(length, 65, 40)), ["", "long", "long", "over"]);
});

test("a variable takes its fallback without what would end it", () => {
  assert.equal(variable("first_name", ""), "{{ first_name }}");
  assert.equal(variable("first_name", ' "fri}end{" '), '{{ first_name | default: "friend" }}');
  assert.equal(variable("first_name", ' "\' '), "{{ first_name }}");
});

test("a name that Liquid cannot read is not inserted", () => {
  for (const name of ["", "9lives", "a b", "a}}", "{{a"]) assert.equal(variable(name, "x"), "");
});

test("a field is filled if it differs from what the server sent", () => {
  assert.ok(isFilled({ type: "text", value: "a", defaultValue: "" }));
  assert.ok(!isFilled({ type: "text", value: "a", defaultValue: "a" }));
  assert.ok(isFilled({ type: "checkbox", checked: false, defaultChecked: true }));
  const options = [{ defaultSelected: false }, { defaultSelected: true }];
  assert.ok(!isFilled({ type: "select-one", options, selectedIndex: 1 }));
  assert.ok(isFilled({ type: "select-one", options, selectedIndex: 0 }));
  assert.ok(!isFilled({ type: "select-one", options: [{}, {}], selectedIndex: 0 }), "the first is the standard");
});

test("a pasted NUL leaves the form before the server refuses it", () => {
  const formData = new FormData();
  formData.set("title", "Hi\0 there\0");
  formData.set("body", "as it is");
  withoutNul({ formData });
  assert.deepEqual([...formData], [["title", "Hi there"], ["body", "as it is"]]);
});

test("the size warns at 85 % of the limit, and is over beyond it", () => {
  assert.deepEqual([85, 86, 100, 101].map((bytes) => sizeState(bytes, 100)), ["", "warn", "warn", "over"]);
});

test("the preview says for whom the message is drawn", () => {
  assert.match(readerOf({ person: { name: "Asha" } }), /Asha/);
  assert.notEqual(readerOf({ person: null, is_broadcast: true }), readerOf({ person: null, is_broadcast: false }));
});
