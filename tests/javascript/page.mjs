// The product's scripts as a browser gets them: all static folders in one, in a page that has nothing on it.

import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LAYERS = ["pushpilot", "tenants", "campaigns", "delivery", "reports"];

function staticFolders(folder) {
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.flatMap(({ name }) => (name === "static" ? [join(folder, name)] : staticFolders(join(folder, name))));
}

function assemble() {
  const all = mkdtempSync(join(tmpdir(), "static-"));
  writeFileSync(join(all, "package.json"), '{"type": "module"}');
  for (const folder of LAYERS.flatMap((layer) => staticFolders(join(ROOT, layer)))) cpSync(folder, all, { recursive: true });
  process.on("exit", () => rmSync(all, { recursive: true }));
  return all;
}

class Observer {
  observe() {}
}

const nothing = () => null;
const EMPTY_PAGE = {
  window: globalThis,
  document: {
    documentElement: { lang: "en", classList: { contains: () => false }, dataset: {} },
    querySelectorAll: () => [],
    querySelector: nothing,
    getElementById: nothing,
    addEventListener: nothing,
  },
  navigator: { languages: ["en-GB"] },
  location: { hash: "" },
  addEventListener: nothing,
  MutationObserver: Observer,
  Chart: { defaults: { font: {} } },
};
for (const [name, value] of Object.entries(EMPTY_PAGE)) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

const all = assemble();

// script("delivery/run.js") → what that module exports.
export const script = (name) => import(pathToFileURL(join(all, name)).href);
