// Texts for the message from a prompt: the server suggests them, a click fills the form.

import { changed, element } from "../pushpilot/dom.js";
import { gettext } from "../pushpilot/words.js";

const dialog = document.querySelector("dialog[data-drafts]");
const form = dialog?.closest("form");

function field(name) {
  return form.elements.namedItem(name);
}

function part(name) {
  return dialog.querySelector(`[data-draft-${name}]`);
}

// Every input that a draft may fill gets its text, also an empty one: else the text of another draft would stay.
function use(draft, names) {
  const inputs = names.filter((name) => field(name));
  for (const name of inputs) field(name).value = draft.texts[name] ?? "";
  field("tone").value = draft.tone;
  field("template_used").value = draft.template ?? "";
  dialog.close();
  for (const name of inputs) changed(field(name));
}

function card(draft, names) {
  const button = element("button", "", "cp-template");
  button.type = "button";
  const texts = names.filter((name) => draft.texts[name])
    .map((name, index) => element(index ? "p" : "strong", draft.texts[name]));
  for (const text of texts) text.dir = "auto";
  button.append(...texts);
  button.addEventListener("click", () => use(draft, names));
  return button;
}

function bindDrafts() {
  let seed = 0;
  const [prompt, status, list, more] = ["prompt", "status", "list", "more"].map(part);
  const show = (answer) => {
    const drafts = answer.drafts ?? [];
    const names = [...new Set(drafts.flatMap((draft) => Object.keys(draft.texts)))];
    status.textContent = answer.error ?? answer.understood.join(" · ");
    status.dataset.state = answer.error ? "error" : "";
    more.hidden = !drafts.length;
    list.replaceChildren(...drafts.map((draft) => card(draft, names)));
  };
  const ask = async () => {
    const asked = new FormData(form);
    asked.set("draft_prompt", prompt.value);
    asked.set("draft_seed", seed);
    try {
      const response = await fetch(dialog.dataset.url, { method: "POST", body: asked });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      show(await response.json());
    } catch {
      show({ error: gettext("The server does not answer. Check your connection.") });
    }
  };
  // What is typed here is no change of the form.
  for (const event of ["input", "change"]) prompt.addEventListener(event, (typed) => typed.stopPropagation());
  part("ask").addEventListener("click", () => { seed = 0; ask(); });
  more.addEventListener("click", () => { seed += 1; ask(); });
  document.querySelector("[data-open-drafts]").addEventListener("click", () => { dialog.showModal(); prompt.focus(); });
}

if (form) bindDrafts();
