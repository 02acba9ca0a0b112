// Behaviours of every page, bound by data attributes: nothing here knows a page.

// A classic script, since the theme cannot wait for modules: what words.js is to those.
const { gettext = (sentence) => sentence } = globalThis.pushpilot ?? {};

// Account and error pages have no Alpine; they follow the theme that the console keeps, before the first paint.
const themeKey = "adminTheme";

function storedTheme() {
  try {
    return JSON.parse(localStorage.getItem(themeKey)) || "auto";
  } catch {
    return "auto";
  }
}

function isDark() {
  const theme = storedTheme();
  return theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
}

if ("plain" in document.documentElement.dataset) {
  const apply = () => document.documentElement.classList.toggle("dark", isDark());
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-toggle]")) {
      localStorage.setItem(themeKey, JSON.stringify(isDark() ? "light" : "dark"));
      apply();
    }
  });
}

// <button data-copy="#id">: copies that element's text and says so for two seconds.
async function copy(button) {
  const source = document.querySelector(button.dataset.copy);
  const label = button.querySelector("[data-copy-label]") || button;
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    label.textContent = gettext("Copied");
  } catch {
    // Without https there is no clipboard: select the text, so that Ctrl-C works.
    getSelection().selectAllChildren(source);
    label.textContent = gettext("Press Ctrl+C");
  }
  setTimeout(() => (label.textContent = before), 2000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

// <button data-reveal="#id">: shows or hides what is typed into a password field.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-reveal]");
  if (!button) return;
  const input = document.querySelector(button.dataset.reveal);
  input.type = input.type === "password" ? "text" : "password";
  button.setAttribute("aria-pressed", String(input.type === "text"));
});

// A form that is on its way is not sent twice.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-once]")) return;
  for (const button of event.target.querySelectorAll("button:not([type=button])")) {
    setTimeout(() => (button.disabled = true));
  }
});

// Unfold's scrollbars are made when the page is read, in English.
document.addEventListener("DOMContentLoaded", () => {
  if (window.SimpleBar) SimpleBar.defaultOptions.ariaLabel = gettext("Content that scrolls");
});

// Unfold's scrollbars measure before the fonts have come and would stay over the last row of a list.
document.fonts?.ready.then(() => dispatchEvent(new Event("resize")));

// The command palette (Ctrl-K, ⌘K): Unfold's, but Enter opens the chosen hit of what stands in the field now.
const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

function commandPalette() {
  return {
    ...searchCommand(),
    answered: null, // the words whose hits are shown
    waiting: null, // what Enter wants to do once the hits of the words in the field are there
    words() {
      return this.$refs.searchInputCommand.value;
    },
    handleOpen() {
      this.openCommandResults = true;
      document.body.classList.add("overflow-hidden");
      this.answered = this.waiting = null;
      this.focusField();
    },
    // A hidden field takes no focus, and a busy computer draws the frame that shows it late.
    focusField(tries = 120) {
      const field = this.$refs.searchInputCommand;
      field.focus();
      const isOver = document.activeElement === field || !this.openCommandResults || !tries;
      if (!isOver) requestAnimationFrame(() => this.focusField(tries - 1));
    },
    handleShortcut(event) {
      // Ctrl-K on a Mac deletes to the end of the line, so that only ⌘K opens the palette there.
      if (event.key.toLowerCase() !== "k" || !(isMac ? event.metaKey : event.ctrlKey)) return;
      event.preventDefault();
      if (!this.openCommandResults) this.handleOpen();
    },
    handleEscape() {
      this.waiting = null;
      if (this.words() === "") return this.close();
      this.$refs.searchInputCommand.value = "";
      this.$refs.searchInputCommand.dispatchEvent(new Event("input"));
    },
    handleOutsideClick() {
      this.close();
    },
    close() {
      this.$refs.searchInputCommand.value = "";
      // A field that is only hidden has the focus until the next frame, and asks for no hits if it is opened before.
      this.$refs.searchInputCommand.blur();
      this.openCommandResults = false;
      document.body.classList.remove("overflow-hidden");
    },
    handleContentLoaded(event) {
      if (event.target.id !== "command-results") return;
      this.items = document.querySelectorAll("#command-results-list li:has(a)");
      this.totalItems = this.items.length;
      this.hasResults = this.totalItems > 0;
      this.currentIndex = this.hasResults ? 1 : 0;
      this.answered = new URL(event.detail.xhr.responseURL).searchParams.get("s");
      if (this.waiting && this.answered === this.words()) this.selectItem(false, this.waiting.inNewTab);
    },
    selectItem(addHistory, inNewTab = false) {
      if (this.answered !== this.words()) {
        this.waiting = { inNewTab };
        return;
      }
      this.waiting = null;
      const link = this.items[this.currentIndex - 1]?.querySelector("a");
      if (link && inNewTab) window.open(link.href, "_blank");
      else if (link) window.location = link.href;
    },
  };
}
