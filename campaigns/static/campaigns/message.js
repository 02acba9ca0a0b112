// The message in a form: counters, personalisation, and the field that a finding on another page links to.

import { changed, element } from "../pushpilot/dom.js";
import { format, ngettext, number } from "../pushpilot/words.js";

const root = document.querySelector("[data-message-editor]")?.closest("form");
const attributes = JSON.parse(document.getElementById("known-attributes")?.textContent || "[]");

// --- counters -------------------------------------------------------------------------------------------
export function lengthState(length, limit, advice) {
  if (length > limit) return "over";
  return length > advice ? "long" : "";
}

function bindCounter(counter) {
  const input = document.getElementById(counter.dataset.countFor);
  const [limit, advice] = [Number(counter.dataset.limit), Number(counter.dataset.advice)];
  const show = () => {
    const length = [...input.value].length;
    counter.textContent = `${length}/${limit}`;
    counter.title = format(ngettext(
      "Devices show about %(count)s character.", "Devices show about %(count)s characters.", advice,
    ), { count: number(advice) });
    counter.dataset.state = lengthState(length, limit, advice);
  };
  for (const event of ["input", "change"]) input.addEventListener(event, show);
  show();
}

// --- personalisation ----------------------------------------------------------------------------------------
// Of names that a message's language cannot read: nothing.
export function variable(name, fallback) {
  if (!/^[A-Za-z_][\w-]*$/.test(name)) return "";
  const word = fallback.replace(/["'{}]/g, "").trim();
  return word ? `{{ ${name} | default: "${word}" }}` : `{{ ${name} }}`;
}

function bindVariables() {
  const dialog = root.querySelector("dialog[data-variables]");
  const fallback = dialog.querySelector("[data-fallback]");
  let target = null;
  const insert = (name) => {
    const value = variable(name, fallback.value);
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
  for (const button of root.querySelectorAll("[data-personalise]")) {
    button.addEventListener("click", () => {
      target = document.getElementById(button.dataset.personalise);
      dialog.showModal();
    });
  }
}

// --- another channel ---------------------------------------------------------------------------------------
// Its part of the form has other inputs: the server shows the page again with all that was entered. The button is made
// for this post alone, else the Enter key would press it.
function bindChannels() {
  for (const radio of root.querySelectorAll("[data-reloads]")) {
    radio.addEventListener("change", () => {
      if (!radio.checked) return;
      const button = element("button", "");
      Object.assign(button, { name: "_channel", value: "1", formNoValidate: true, hidden: true });
      root.append(button);
      root.requestSubmit(button);
    });
  }
}

function bindDialogs() {
  for (const close of root.querySelectorAll("dialog [data-close]")) {
    const dialog = close.closest("dialog");
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }
}

// A finding on the review page links to #id_<field>; the field may lie in a closed part.
function showLinkedField() {
  const linked = location.hash.startsWith("#id_") ? document.getElementById(location.hash.slice(1)) : null;
  linked?.closest("details")?.setAttribute("open", "");
  linked?.scrollIntoView({ block: "center" });
  linked?.focus?.({ preventScroll: true });
}

// After the browser's Back the inputs hold what was typed, and everything around them what a fresh page says. (No
// "input": Unfold would take it for typing, and ask before leaving.)
function showRestored(event) {
  const [entry] = performance.getEntriesByType("navigation");
  if (!event.persisted && entry?.type !== "back_forward") return;
  for (const control of [...root.elements].filter((one) => one.name && one.type !== "hidden")) {
    control.dispatchEvent(new Event("change", { bubbles: true }));
    if (isFilled(control)) control.closest("details")?.setAttribute("open", "");
  }
}

export function isFilled(control) {
  if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
  if (!control.options) return control.value !== control.defaultValue;
  const standard = [...control.options].findIndex((option) => option.defaultSelected);
  return control.selectedIndex !== Math.max(0, standard);
}

// A pasted NUL is nothing that anybody sees; the server refuses the whole form for one.
export function withoutNul({ formData }) {
  for (const [name, value] of [...formData]) {
    if (typeof value === "string" && value.includes("\0")) formData.set(name, value.replaceAll("\0", ""));
  }
}

if (root) {
  root.addEventListener("formdata", withoutNul);
  addEventListener("pageshow", showRestored);
  root.querySelectorAll("[data-count-for]").forEach(bindCounter);
  bindVariables();
  bindChannels();
  bindDialogs();
  showLinkedField();
}
