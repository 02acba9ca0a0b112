// The campaign editor: counters, live audience count, next dates, templates, personalisation. Which parts of the
// form are visible is decided by campaign.css alone.

const WAIT_MS = 350;
const editor = document.querySelector("[data-campaign-editor]");
const form = editor?.closest("form");
const attributes = JSON.parse(document.getElementById("known-attributes")?.textContent || "[]");

function field(name) {
  return form.elements.namedItem(name);
}

function changed(node) {
  node.dispatchEvent(new Event("input", { bubbles: true }));
}

function element(tag, words, className = "") {
  const node = document.createElement(tag);
  node.textContent = words;
  if (className) node.className = className;
  return node;
}

// --- counters -------------------------------------------------------------------------------------------
function bindCounter(counter) {
  const input = document.getElementById(counter.dataset.countFor);
  const [limit, advice] = [Number(counter.dataset.limit), Number(counter.dataset.advice)];
  const show = () => {
    const length = [...input.value].length;
    counter.textContent = `${length}/${limit}`;
    counter.title = `About ${advice} characters are shown without being cut.`;
    counter.dataset.state = length > limit ? "over" : length > advice ? "long" : "";
  };
  input.addEventListener("input", show);
  show();
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
      if (error.name !== "AbortError") show({ error: "No answer from the server; check your connection." });
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
  const ask = live(editor.dataset.audienceUrl, ["audience", "audience_field", "audience_op", "audience_value", "channel"],
    (answer) => {
      badge.textContent = answer.error || answer.words;
      badge.dataset.state = answer.error ? "error" : "";
    });
  const hints = () => {
    const known = attributes.find((attribute) => attribute.field === field("audience_field").value);
    const list = document.getElementById("rule-values");
    list.replaceChildren(...(known?.examples || []).map((example) => {
      const option = document.createElement("option");
      option.value = example;
      return option;
    }));
    const many = field("audience_op").value === "in" ? "Separate several values with commas." : "";
    const seen = known?.examples.length ? `Often: ${known.examples.slice(0, 5).join(", ")}.` : "";
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
  const names = ["schedule_type", "scheduled_at", "repeat", "interval", "weekdays", "month_day", "recurrence_rule"];
  const ask = live(editor.dataset.datesUrl, names, (answer) => {
    box.dataset.state = answer.error ? "error" : "";
    if (answer.error) {
      box.replaceChildren(answer.error);
      return;
    }
    const list = document.createElement("ol");
    list.append(...answer.dates.map((date) => element("li", date)));
    box.replaceChildren(element("strong", `Next sends, ${answer.words}`), list, element("code", answer.rule));
  });
  ask();
}

// --- templates --------------------------------------------------------------------------------------------
function bindTemplates() {
  const dialog = form.querySelector("dialog[data-templates]");
  const list = dialog.querySelector("[data-template-list]");
  const search = dialog.querySelector("[data-template-search]");
  const use = (template) => {
    for (const name of ["title", "body", "image_url", "deep_link", "tone"]) field(name).value = template[name] || "";
    field("template_used").value = template.id;
    dialog.close();
    for (const name of ["title", "body"]) changed(field(name));
  };
  const card = (template) => {
    const button = element("button", "", "cp-template");
    button.type = "button";
    const kind = `${template.category} · ${template.language}${template.is_global ? " · library" : ""}`;
    button.append(element("small", kind), element("strong", template.name), element("p", template.title),
      element("p", template.body));
    button.addEventListener("click", () => use(template));
    return button;
  };
  const load = async () => {
    const response = await fetch(`${editor.dataset.templatesUrl}?q=${encodeURIComponent(search.value)}`);
    const { templates } = await response.json();
    const none = search.value ? "No template contains that." : "No templates yet. Import some under Templates.";
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

// --- personalisation ----------------------------------------------------------------------------------------
function bindVariables() {
  const dialog = form.querySelector("dialog[data-variables]");
  const fallback = dialog.querySelector("[data-fallback]");
  let target = null;
  const insert = (name) => {
    const word = fallback.value.replace(/["'{}]/g, "").trim();
    const value = /^[A-Za-z_][\w-]*$/.test(name) ? `{{ ${name}${word ? ` | default: "${word}"` : ""} }}` : "";
    const at = target.selectionStart ?? target.value.length;
    target.setRangeText(value, at, target.selectionEnd ?? at, "end");
    dialog.close();
    target.focus();
    changed(target);
  };
  const own = (one) => Number(!one.field.startsWith("attributes."));
  const usable = attributes.filter((one) => one.variable).sort((a, b) => own(a) - own(b));
  dialog.querySelector("[data-variable-list]").append(...usable.map((one) => {
    const button = element("button", one.label);
    button.type = "button";
    button.addEventListener("click", () => insert(one.variable));
    return button;
  }));
  fallback.addEventListener("input", (event) => event.stopPropagation());
  fallback.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  for (const button of editor.querySelectorAll("[data-personalise]")) {
    button.addEventListener("click", () => {
      target = document.getElementById(button.dataset.personalise);
      dialog.showModal();
    });
  }
}

function bindDialogs() {
  for (const dialog of form.querySelectorAll("dialog")) {
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }
}

// A finding on the review page links to #id_<field>; the field may lie in the closed "Advanced" part.
function showLinkedField() {
  const linked = location.hash.startsWith("#id_") ? document.getElementById(location.hash.slice(1)) : null;
  linked?.closest("details")?.setAttribute("open", "");
  linked?.scrollIntoView({ block: "center" });
  linked?.focus?.({ preventScroll: true });
}

if (form) {
  editor.querySelectorAll("[data-count-for]").forEach(bindCounter);
  bindAudience();
  bindDates();
  bindTemplates();
  bindVariables();
  bindDialogs();
  showLinkedField();
}
