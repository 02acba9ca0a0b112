// Fills each [data-preview] with what the server says of the message: from the form named in data-form while somebody
// types, else from the saved campaign in data-campaign. A channel that draws more listens to "previewed".

import { format, gettext, number } from "../pushpilot/words.js";

const WAIT_MS = 300;

function text(root, selector, value) {
  for (const node of root.querySelectorAll(selector)) node.textContent = value;
}

function show(root, answer) {
  for (const [field, value] of Object.entries(answer.message)) text(root, `[data-field="${field}"]`, value);
  showSize(root, answer);
  const problems = root.querySelector("[data-problems]");
  problems.replaceChildren(...Object.entries(answer.problems).map(([field, problem]) => {
    const line = document.createElement("li");
    line.textContent = `${answer.labels[field]}: ${problem}`;
    return line;
  }));
  problems.hidden = !problems.childElementCount;
  text(root, "[data-person]", readerOf(answer));
  root.querySelector("[data-next]").hidden = !answer.person;
  root.dispatchEvent(new CustomEvent("previewed", { detail: answer }));
}

export function readerOf({ person, is_broadcast: isBroadcast }) {
  if (person) return format(gettext("Message for %(person)s"), { person: person.name });
  if (isBroadcast) return gettext("Same message for everyone");
  return gettext("No contacts yet. The preview shows the fallback texts.");
}

export function sizeState(bytes, limit) {
  if (bytes > limit) return "over";
  return bytes > 0.85 * limit ? "warn" : "";
}

function showSize(root, answer) {
  const share = Math.min(100, (100 * answer.bytes) / answer.limit);
  root.querySelector("[data-bytes-bar]").style.width = `${share}%`;
  const state = sizeState(answer.bytes, answer.limit);
  root.querySelector(".cp-bytes .cp-meter").dataset.state = state;
  const words = state === "over"
    ? gettext("%(bytes)s of %(limit)s bytes: the message is too large to send")
    : gettext("%(bytes)s of %(limit)s bytes");
  text(root, "[data-bytes]", format(words, { bytes: number(answer.bytes), limit: number(answer.limit) }));
}

// "Check with the provider": the provider's own look at the message, which sends nothing.
function bindCheck(root, form) {
  const box = root.querySelector("[data-check]");
  if (!box) return;
  const [button, list] = [box.querySelector("button"), box.querySelector("[data-answer]")];
  const say = (state, lines) => {
    list.dataset.state = state;
    list.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  };
  form?.addEventListener("input", () => say("", []));
  button.addEventListener("click", async () => {
    button.disabled = true;
    say("busy", [gettext("Checking…")]);
    try {
      const response = await fetch(box.dataset.url, {
        method: "POST", body: fieldsOf(root), headers: { "X-CSRFToken": root.dataset.csrf },
      });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const answer = await response.json();
      say(answer.ok ? "fine" : "error", answer.lines);
    } catch {
      say("error", [gettext("The server does not answer. Try again.")]);
    }
    button.disabled = false;
  });
}

// The fields that say which message a [data-preview] is about.
export function fieldsOf(root) {
  const form = root.dataset.form ? document.getElementById(root.dataset.form) : null;
  const body = form ? new FormData(form) : new FormData();
  if (root.dataset.campaign) body.set("campaign", root.dataset.campaign);
  return body;
}

function bind(root) {
  const form = root.dataset.form ? document.getElementById(root.dataset.form) : null;
  let person = null;
  let after = "";
  let running = null;

  async function refresh() {
    running?.abort();
    running = new AbortController();
    const body = fieldsOf(root);
    if (after) body.set("after", after);
    try {
      const response = await fetch(root.dataset.url, {
        method: "POST", body, signal: running.signal, headers: { "X-CSRFToken": root.dataset.csrf },
      });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const answer = await response.json();
      person = answer.person;
      show(root, answer);
    } catch (error) {
      if (error.name !== "AbortError") text(root, "[data-person]", gettext("The preview does not load. Reload the page."));
    }
  }

  let timer = 0;
  const soon = () => { clearTimeout(timer); timer = setTimeout(refresh, WAIT_MS); };
  form?.addEventListener("input", soon);
  form?.addEventListener("change", soon);
  root.querySelector("[data-next]").addEventListener("click", () => { after = person ? String(person.id) : ""; refresh(); });
  bindCheck(root, form);
  refresh();
}

for (const root of document.querySelectorAll("[data-preview]")) bind(root);
