// "Send test": the dialog beside the preview sends the message that the preview draws to a contact or a token, and shows
// device by device what the provider said.

import { fieldsOf } from "./preview.js";
import { gettext } from "../pushpilot/words.js";

function say(list, lines) {
  list.replaceChildren(...lines.map(({ state, text }) => {
    const line = document.createElement("li");
    line.dataset.state = state;
    line.textContent = text;
    return line;
  }));
}

async function ask(root, dialog) {
  const body = fieldsOf(root);
  for (const name of ["contact", "token"]) body.set(`test_${name}`, dialog.querySelector(`[data-${name}]`).value.trim());
  const response = await fetch(dialog.dataset.url, {
    method: "POST", body, headers: { "X-CSRFToken": root.dataset.csrf },
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return (await response.json()).lines;
}

function bind(dialog) {
  const root = dialog.closest("[data-preview]");
  const [button, list] = [dialog.querySelector("[data-go]"), dialog.querySelector("[data-answer]")];
  async function send() {
    button.disabled = true;
    say(list, [{ state: "busy", text: gettext("Sending…") }]);
    try {
      say(list, await ask(root, dialog));
    } catch {
      say(list, [{ state: "unknown", text: gettext("The server does not answer. The test may have arrived.") }]);
    }
    button.disabled = false;
  }
  root.querySelector("[data-opens-test]").addEventListener("click", () => { say(list, []); dialog.showModal(); });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  button.addEventListener("click", send);
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
    event.preventDefault();
    if (!button.disabled) send();
  });
  // What is typed here is no change of the message.
  for (const kind of ["input", "change"]) dialog.addEventListener(kind, (event) => event.stopPropagation());
}

for (const dialog of document.querySelectorAll("[data-test-send]")) bind(dialog);
