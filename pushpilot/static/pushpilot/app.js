// Behaviours of every page, bound by data attributes: nothing here knows a page.

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
    label.textContent = "Copied";
  } catch {
    // Without https there is no clipboard: select the text, so that Ctrl-C works.
    getSelection().selectAllChildren(source);
    label.textContent = "Press Ctrl+C";
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

// Unfold's scrollbars measure before the fonts have come and would stay over the last row of a list.
document.fonts?.ready.then(() => dispatchEvent(new Event("resize")));
