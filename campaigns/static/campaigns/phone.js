// Fills each [data-phone] with the message that the server compiles for the provider: from the form named in
// data-form while somebody types, else from the saved campaign in data-campaign.

const WAIT_MS = 300;

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
  drawSize(root, answer);
  const problems = root.querySelector("[data-problems]");
  problems.replaceChildren(...Object.entries(answer.problems).map(([field, problem]) => {
    const line = document.createElement("li");
    line.textContent = `${field.replace("_", " ")}: ${problem}`;
    return line;
  }));
  problems.hidden = !problems.childElementCount;
  const nobody = answer.is_broadcast ? "Everyone gets the same" : "No contacts yet: defaults are shown";
  text(root, "[data-person]", answer.person ? `As ${answer.person.name} sees it` : nobody);
  root.querySelector("[data-next]").hidden = !answer.person;
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
  opens.textContent = `A tap opens ${link}`;
  opens.hidden = !link;
  text(root, "[data-site]", /^https:\/\/([^/?#]+)/.exec(message.site)?.[1] || "www.your-shop.example");
}

function drawSize(root, answer) {
  const share = Math.min(100, (100 * answer.bytes) / answer.limit);
  root.querySelector("[data-bytes-bar]").style.width = `${share}%`;
  const state = answer.bytes > answer.limit ? "over" : share > 85 ? "warn" : "";
  root.querySelector(".cp-bytes .cp-meter").dataset.state = state;
  const words = `${answer.bytes.toLocaleString("en")} of ${answer.limit.toLocaleString("en")} bytes`;
  text(root, "[data-bytes]", state === "over" ? `${words}: too large to send` : words);
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

// "Check with FCM": the provider's own look at the message, which sends nothing.
function bindCheck(root, form, bodyOf) {
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
    say("busy", ["Asking…"]);
    try {
      const response = await fetch(box.dataset.url, {
        method: "POST", body: bodyOf(), headers: { "X-CSRFToken": root.dataset.csrf },
      });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const answer = await response.json();
      say(answer.ok ? "fine" : "error", answer.lines);
    } catch {
      say("error", ["No answer from the server; try again."]);
    }
    button.disabled = false;
  });
}

function bind(root) {
  const form = root.dataset.form ? document.getElementById(root.dataset.form) : null;
  const now = new Date();
  text(root, "[data-clock]", "9:41");
  text(root, "[data-date]", now.toLocaleDateString("en", { weekday: "long", day: "numeric", month: "long" }));
  bindTabs(root);
  let person = null;
  let after = "";
  let running = null;

  function bodyOf() {
    const body = form ? new FormData(form) : new FormData();
    if (root.dataset.campaign) body.set("campaign", root.dataset.campaign);
    return body;
  }

  async function refresh() {
    running?.abort();
    running = new AbortController();
    const body = bodyOf();
    if (after) body.set("after", after);
    try {
      const response = await fetch(root.dataset.url, {
        method: "POST", body, signal: running.signal, headers: { "X-CSRFToken": root.dataset.csrf },
      });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const answer = await response.json();
      person = answer.person;
      showDevicesOf(root, answer.channel);
      draw(root, answer);
    } catch (error) {
      if (error.name !== "AbortError") text(root, "[data-person]", "The preview cannot be loaded right now.");
    }
  }

  let timer = 0;
  const soon = () => { clearTimeout(timer); timer = setTimeout(refresh, WAIT_MS); };
  form?.addEventListener("input", soon);
  form?.addEventListener("change", soon);
  bindPictures(root);
  root.querySelector("[data-next]").addEventListener("click", () => { after = person ? String(person.id) : ""; refresh(); });
  bindCheck(root, form, bodyOf);
  refresh();
}

for (const root of document.querySelectorAll("[data-phone]")) bind(root);
