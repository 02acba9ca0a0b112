// The campaign editor, and its schedule on a page of its own: live audience count, next dates, templates. Its message:
// message.js. Which parts of the form are visible is decided by campaign.css alone.

import { changed, element } from "../pushpilot/dom.js";
import { format, gettext } from "../pushpilot/words.js";

const WAIT_MS = 350;
const editor = document.querySelector("[data-campaign-editor]");
const form = editor?.closest("form");
const attributes = JSON.parse(document.getElementById("known-attributes")?.textContent || "[]");

// Inputs that some platforms may leave out: the server says so under them, with the audience count.
function notable() {
  return [...editor.querySelectorAll("[data-note-for]")].map((line) => line.dataset.noteFor);
}

// The addresses of the channel's broadcasts.
function broadcasts() {
  return [...editor.querySelectorAll("[data-broadcast] input")].map((input) => input.name);
}

function field(name) {
  return form.elements.namedItem(name);
}

// --- answers from the server while somebody types ---------------------------------------------------------
function live(url, names, show) {
  let timer = 0;
  let running = null;
  const ask = async () => {
    running?.abort();
    running = new AbortController();
    try {
      const response = await fetch(url, { method: "POST", body: new FormData(form), signal: running.signal });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      show(await response.json());
    } catch (error) {
      if (error.name !== "AbortError") show({ error: gettext("The server does not answer. Check your connection.") });
    }
  };
  const soon = (event) => {
    if (!names.includes(event.target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  };
  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  return ask;
}

function bindAudience() {
  const badge = editor.querySelector("[data-audience-count]");
  const ask = live(editor.dataset.audienceUrl, [
    "audience", "audience_field", "audience_op", "audience_value", "channel", ...broadcasts(), ...notable(),
  ], (answer) => {
    badge.textContent = answer.error || answer.words;
    badge.dataset.state = answer.error ? "error" : "";
    for (const line of editor.querySelectorAll("[data-note-for]")) {
      line.textContent = answer.notes?.[line.dataset.noteFor] || "";
      line.hidden = !line.textContent;
    }
  });
  const hints = () => {
    const known = attributes.find((attribute) => attribute.field === field("audience_field").value);
    const list = document.getElementById("rule-values");
    list.replaceChildren(...(known?.examples || []).map((example) => {
      const option = document.createElement("option");
      option.value = example;
      return option;
    }));
    const many = field("audience_op").value === "in" ? gettext("Separate values with commas.") : "";
    const examples = known?.examples.slice(0, 5).join(", ");
    const seen = examples ? format(gettext("Frequent values: %(values)s."), { values: examples }) : "";
    editor.querySelector("[data-rule-hint]").textContent = [seen, many].filter(Boolean).join(" ");
  };
  field("audience_value").setAttribute("list", "rule-values");
  field("audience_field").addEventListener("change", hints);
  field("audience_op").addEventListener("change", hints);
  hints();
  ask();
}

function bindDates() {
  const box = editor.querySelector("[data-dates]");
  const names = ["schedule_type", "scheduled_at", "time_zone", "repeat", "interval", "weekdays", "month_day", "recurrence_rule",
    "ends", "end_date", "count", "skipped"];
  const nextSend = editor.querySelector("[data-next-send]");
  const ask = live(editor.dataset.datesUrl, names, (answer) => {
    box.dataset.state = answer.error ? "error" : "";
    if (nextSend) {
      // What is wrong with a series stands in its box.
      nextSend.textContent = answer.next_send || (box.offsetParent ? "" : answer.error);
    }
    if (answer.error) {
      box.replaceChildren(answer.error);
      return;
    }
    if (!answer.rule) return; // a single send
    const list = document.createElement("ol");
    list.append(...answer.dates.map((date) => element("li", date)));
    const end = answer.ends ? [element("p", gettext("Then the series ends."))] : [];
    const title = format(gettext("Next sends: %(repetition)s"), { repetition: answer.words });
    box.replaceChildren(element("strong", title), list, ...end, element("code", answer.rule));
  });
  ask();
}

// --- templates --------------------------------------------------------------------------------------------
function bindTemplates() {
  const dialog = form.querySelector("dialog[data-templates]");
  const list = dialog.querySelector("[data-template-list]");
  const search = dialog.querySelector("[data-template-search]");
  const use = (template) => {
    const inputs = Object.keys(template.texts).filter((name) => field(name));
    for (const name of inputs) field(name).value = template.texts[name];
    field("tone").value = template.tone;
    field("template_used").value = template.id;
    dialog.close();
    for (const name of inputs) changed(field(name));
  };
  const card = (template) => {
    const button = element("button", "", "cp-template");
    button.type = "button";
    const origin = template.is_global ? [gettext("library")] : [];
    const kind = [template.category, template.language, ...origin].join(" · ");
    const texts = [template.name, ...Object.values(template.texts).slice(0, 2)]
      .map((words, index) => element(index ? "p" : "strong", words));
    for (const text of texts) text.dir = "auto";
    button.append(element("small", kind), ...texts);
    button.addEventListener("click", () => use(template));
    return button;
  };
  const load = async () => {
    const asked = new URLSearchParams({ q: search.value, channel: field("channel").value });
    const response = await fetch(`${editor.dataset.templatesUrl}?${asked}`);
    const { templates } = await response.json();
    const none = search.value
      ? gettext("No template matches your search.")
      : gettext("No templates yet. Import templates on the Templates page.");
    list.replaceChildren(...(templates.length ? templates.map(card) : [element("p", none, "cp-quiet")]));
  };
  let timer = 0;
  search.addEventListener("input", (event) => {
    event.stopPropagation();
    clearTimeout(timer);
    timer = setTimeout(load, WAIT_MS);
  });
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  editor.querySelector("[data-open-templates]").addEventListener("click", () => { dialog.showModal(); load(); });
}

// The browser's Back fetches the add page anew; its entry in the history still knows which draft it has made.
function keepKey() {
  const key = field("form_key");
  if (!key?.value) return;
  if (history.state?.formKey) key.value = history.state.formKey;
  else history.replaceState({ ...history.state, formKey: key.value }, "");
}

if (form) {
  bindDates();
  if (editor.dataset.audienceUrl) { // else it is the page that changes the schedule alone
    keepKey();
    bindAudience();
    bindTemplates();
  }
}
