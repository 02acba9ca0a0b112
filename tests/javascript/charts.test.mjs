import assert from "node:assert/strict";
import test from "node:test";

import { script } from "./page.mjs";

const { engagement, volume } = await script("reports/charts.js");
const COLOURS = { sent: "s", delivered: "d", opened: "o" };
const series = (key, data = [1, 2]) => ({ key, label: key, data });

test("what was delivered is drawn before what was sent, inside the same bar", () => {
  const { data } = volume({ labels: ["a", "b"], series: ["sent", "delivered", "opened"].map((key) => series(key)) }, COLOURS);
  const [line, delivered, sent] = data.datasets;
  assert.deepEqual([line.label, delivered.label, sent.label], ["opened", "delivered", "sent"]);
  assert.ok(delivered.order < sent.order);
  assert.ok(delivered.maxBarThickness < sent.maxBarThickness);
  assert.deepEqual([delivered.grouped, sent.grouped], [false, false]);
});

test("a day without a rate leaves no hole, and single points stay visible", () => {
  const drawn = (data) => engagement({ labels: [], series: [series("opened", data)] }, COLOURS).data.datasets[0];
  assert.ok(drawn([1, null, 3]).spanGaps);
  assert.ok(drawn([null, 5, null]).pointRadius > 0);
  assert.equal(drawn(Array(32).fill(1)).pointRadius, 0);
});
