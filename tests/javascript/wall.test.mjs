import assert from "node:assert/strict";
import test from "node:test";

import { script } from "./page.mjs";

const { Sdk, age } = await script("delivery/wall.js");
globalThis.setInterval = () => 0; // the tests flush by themselves

const CONFIG = { batch: 2, events: "/events", key: "/key" };

// An SDK whose server gives these answers in turn; `sent` notes what it was sent.
function sdkWith(...answers) {
  const sent = [];
  const problems = [];
  globalThis.fetch = async (url, options) => {
    if (url === CONFIG.key) return { ok: true, json: async () => ({ key: `key ${sent.length}` }) };
    const status = answers.shift();
    sent.push({ key: options.headers.Authorization, ids: JSON.parse(options.body).batch.map((event) => event.event_id) });
    return { ok: status < 300, status, json: async () => ({ detail: `status ${status}` }) };
  };
  const sdk = new Sdk(CONFIG, "token", (text) => problems.push(text));
  return { sdk, sent, problems };
}

test("events go out in batches, in the order in which they happened", async () => {
  const { sdk, sent } = sdkWith(202, 202);
  for (const ref of ["a", "b", "c"]) sdk.add("opened", ref, "ios");
  await sdk.flush();
  await sdk.flush();
  assert.deepEqual(sent.map(({ ids }) => ids), [["a:opened", "b:opened"], ["c:opened"]]);
  assert.equal(sdk.queue.length, 0);
});

test("an event keeps its id, so that telling it twice counts once", () => {
  const { sdk } = sdkWith();
  sdk.add("clicked", "a", "ios", "link");
  sdk.add("clicked", "a", "ios", "link");
  assert.equal(sdk.queue[0].event_id, sdk.queue[1].event_id);
  sdk.add("clicked", "a".repeat(200), "ios", "link");
  assert.ok(sdk.queue[2].event_id.length <= 100);
});

test("a revoked key is asked for again, and no event is lost", async () => {
  const { sdk, sent, problems } = sdkWith(401, 202);
  sdk.add("opened", "a", "ios");
  await sdk.flush();
  assert.equal(sdk.queue.length, 1);
  assert.match(problems.at(-1), /status 401/);
  sdk.notBefore = 0;
  await sdk.flush();
  assert.notEqual(sent[0].key, sent[1].key);
  assert.deepEqual([sdk.queue.length, problems.at(-1)], [0, ""]);
});

test("what a server refuses for good is dropped, what it cannot take now is kept and waits", async () => {
  for (const [status, left] of [[422, 0], [413, 0], [500, 1], [429, 1]]) {
    const { sdk } = sdkWith(status);
    sdk.add("opened", "a", "ios");
    await sdk.flush();
    assert.equal(sdk.queue.length, left, String(status));
    assert.ok(sdk.notBefore > Date.now(), "the next try waits");
  }
});

test("the age of a notification grows from minutes to hours to days", () => {
  const figure = (secs) => age(Date.now() / 1000 - secs).match(/\d+/)?.[0] ?? "";
  assert.deepEqual([5, 65, 3_599, 3_605, 86_405].map(figure), ["", "1", "59", "1", "1"]);
});
