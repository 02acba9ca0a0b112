// Draws a push on the phone of the preview: preview.js asks the server, and says "previewed".

import { format, gettext, locale } from "../../pushpilot/words.js";

function text(root, selector, value) {
  for (const node of root.querySelectorAll(selector)) node.textContent = value;
}

function draw(root, answer) {
  const { message } = answer;
  text(root, "[data-title]", message.title);
  text(root, "[data-body]", message.body);
  const note = root.querySelector("[data-note]");
  note.hidden = message.is_silent;
  note.dataset.drawn = message.drawn_by;
  root.querySelector("[data-silent]").hidden = !message.is_silent;
  drawPicture(root.querySelector("[data-image]"), message.image_url);
  drawPicture(root.querySelector("[data-icon]"), message.icon_url);
  if (!message.image_url) root.querySelector("[data-image-problem]").hidden = true;
  drawButtons(root, message);
  drawLink(root, message);
}

function drawPicture(image, address) {
  if (image.getAttribute("src") === (address || null)) return;
  image.hidden = !address;
  if (address) image.src = address;
  else image.removeAttribute("src");
}

// phone.css shows them only where the device does: a browser two, Android none unless the app draws the message.
function drawButtons(root, message) {
  const names = message.buttons.filter(Boolean);
  const box = root.querySelector("[data-actions]");
  box.replaceChildren(...names.map((name) => {
    const button = document.createElement("span");
    button.textContent = name;
    button.dir = "auto";
    return button;
  }));
  box.hidden = !names.length;
}

function drawLink(root, message) {
  const link = message.deep_link;
  const opens = root.querySelector("[data-opens]");
  opens.textContent = format(gettext("A tap opens %(link)s"), { link });
  opens.hidden = !link;
  text(root, "[data-site]", /^https:\/\/([^/?#]+)/.exec(message.site)?.[1] || "www.your-shop.example");
}

function bindTabs(root) {
  const screen = root.querySelector("[data-screen]");
  for (const kind of ["device", "scene"]) {
    for (const button of root.querySelectorAll(`button[data-${kind}]`)) {
      button.addEventListener("click", () => {
        screen.dataset[kind] = button.dataset[kind];
        for (const other of root.querySelectorAll(`button[data-${kind}]`)) {
          other.setAttribute("aria-pressed", String(other === button));
        }
      });
    }
  }
}

function showDevicesOf(root, channel) {
  const wanted = channel === "web_push" ? ["desktop"] : ["ios", "android"];
  for (const button of root.querySelectorAll("button[data-device]")) {
    button.hidden = !wanted.includes(button.dataset.device);
  }
  root.querySelector(".cp-phone-tabs").hidden = wanted.length === 1;
  const screen = root.querySelector("[data-screen]");
  if (!wanted.includes(screen.dataset.device)) root.querySelector(`button[data-device="${wanted[0]}"]`).click();
}

function bindPictures(root) {
  const picture = root.querySelector("[data-image]");
  for (const image of [picture, root.querySelector("[data-icon]")]) {
    const show = (isLoaded) => {
      image.hidden = !isLoaded;
      if (image === picture) root.querySelector("[data-image-problem]").hidden = isLoaded;
    };
    image.addEventListener("error", () => show(false));
    image.addEventListener("load", () => show(true));
  }
}

function bind(root) {
  const now = new Date();
  text(root, "[data-clock]", "9:41");
  text(root, "[data-date]", now.toLocaleDateString(locale, { weekday: "long", day: "numeric", month: "long" }));
  bindTabs(root);
  bindPictures(root);
  root.addEventListener("previewed", ({ detail }) => {
    showDevicesOf(root, detail.channel);
    draw(root, detail);
  });
}

for (const screen of document.querySelectorAll("[data-preview] [data-screen]")) bind(screen.closest("[data-preview]"));
