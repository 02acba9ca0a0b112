// What scripts say, in the language of the page. Its catalogue (/words/<language>.js) is loaded before; without one the
// sentences stay as they are written here.

const catalogue = globalThis.pushpilot ?? {};

export const gettext = catalogue.gettext ?? ((sentence) => sentence);
export const ngettext = catalogue.ngettext ?? ((one, many, count) => (count === 1 ? one : many));

// format("%(count)s of %(all)s", { count: 3, all: 5 }); a name without a value stays.
export function format(sentence, values) {
  return sentence.replace(/%\((\w+)\)s/g, (placeholder, name) => (name in values ? String(values[name]) : placeholder));
}

// The page's language in the first region that the reader's browser asks for, as pushpilot/lib/display.py has it.
function localeOf(language, accepted) {
  const region = accepted.map((tag) => new Intl.Locale(tag).region).find(Boolean) ?? (language === "en" ? "GB" : "");
  return region ? `${language}-${region}` : language;
}

export const locale = localeOf(new Intl.Locale(document.documentElement.lang || "en").language, [...navigator.languages]);

const numbers = new Intl.NumberFormat(locale);

export function number(value) {
  return numbers.format(value);
}
