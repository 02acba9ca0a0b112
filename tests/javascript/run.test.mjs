import assert from "node:assert/strict";
import test from "node:test";

import { script } from "./page.mjs";

const { duration, speed, toGo } = await script("delivery/run.js");

test("a slow send is told by the minute, and never as nothing", () => {
  assert.match(speed(1234.4), /^1,234 .*second/);
  assert.match(speed(1), /^1 .*second/);
  assert.match(speed(0.5), /^30 .*minute/);
  assert.match(speed(0.0001), /^1 .*minute/);
});

test("a span of time names two units at most", () => {
  const figures = (secs) => duration(secs).match(/\d+/g).map(Number);
  assert.deepEqual(figures(59), [59]);
  assert.deepEqual(figures(60), [1, 0]);
  assert.deepEqual(figures(3599), [59, 59]);
  assert.deepEqual(figures(3600), [1, 0]);
  assert.deepEqual(figures(7_380), [2, 3]);
});

test("rounding never writes 60 of a unit", () => {
  for (let secs = 0; secs < 20_000; secs += 0.25) {
    const figures = duration(secs).match(/\d+/g).map(Number);
    assert.ok(figures.length === 1 ? figures[0] < 60 : figures.at(-1) < 60, `${secs} s: ${duration(secs)}`);
  }
});

test("what is left is an estimate with a rate, and a lower bound without one", () => {
  assert.notEqual(toGo({ rate: 5, eta_secs: 30 }), toGo({ rate: 0, eta_secs: 30 }));
});
