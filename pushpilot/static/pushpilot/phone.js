// Fills each [data-phone] with the message that the server compiles for the provider: from the form named in
// data-form while somebody types, else from the saved campaign in data-campaign.

const WAIT_MS = 300;

function text(root, selector, value) {
  for (const node of root.querySelectorAll(selector)) node.textContent = value;
}

function draw(root, answer) {
  const shown = answer.message.notification || {};
  text(root, "[data-title]", shown.title || "");
  text(root, "[data-body]", shown.body || "");
  const note = root.querySelector("[data-note]");
  note.hidden = answer.silent;
  root.querySelector("[data-silent]").hidden = !answer.silent;
  const image = root.querySelector("[data-image]");
  if (image.getAttribute("src") !== (shown.image || null)) {
    image.hidden = !shown.image;
    if (shown.image) image.src = shown.image;
    else image.removeAttribute("src");
    root.querySelector("[data-image-problem]").hidden = true;
  }
  drawSize(root, answer);
  const problems = root.querySelector("[data-problems]");
  problems.replaceChildren(...Object.entries(answer.problems).map(([field, problem]) => {
    const line = document.createElement("li");
    line.textContent = `${field.replace("_", " ")}: ${problem}`;
    return line;
  }));
  problems.hidden = !problems.childElementCount;
  text(root, "[data-person]", answer.person ? `As ${answer.person.name} sees it` : "No contacts yet: defaults are shown");
  root.querySelector("[data-next]").hidden = !answer.person;
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
  const wanted = channel === "web_push" ? ["desktop", "android"] : ["ios", "android"];
  for (const button of root.querySelectorAll("button[data-device]")) {
    button.hidden = !wanted.includes(button.dataset.device);
  }
  const screen = root.querySelector("[data-screen]");
  if (!wanted.includes(screen.dataset.device)) root.querySelector(`button[data-device="${wanted[0]}"]`).click();
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

  async function refresh() {
    running?.abort();
    running = new AbortController();
    const body = form ? new FormData(form) : new FormData();
    if (root.dataset.campaign) body.set("campaign", root.dataset.campaign);
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
  const image = root.querySelector("[data-image]");
  const showImage = (isLoaded) => {
    image.hidden = !isLoaded;
    root.querySelector("[data-image-problem]").hidden = isLoaded;
  };
  image.addEventListener("error", () => showImage(false));
  image.addEventListener("load", () => showImage(true));
  root.querySelector("[data-next]").addEventListener("click", () => { after = person ? String(person.id) : ""; refresh(); });
  refresh();
}

for (const root of document.querySelectorAll("[data-phone]")) bind(root);
