// The phone wall: shows what the sandbox's phones receive, and posts what an SDK on them would post.

import { format, gettext, locale, ngettext, number } from "../pushpilot/words.js";

const POLL_MS = 1000;
const RETRY_MOST_MS = 15000;
const FLUSH_MS = 300;
const NOTES_SHOWN = 3;
const QUIET_MS = 15000; // a phone that was quiet for this long gives its place to another
const WAVE_MS = 900; // one poll's arrivals are spread over this time
const APP_MS = 3500; // an opened app closes by itself
const TAP_SHARE = 0.1;
const REMEMBERED = 3000;
const MODELS = { ios: "iPhone", android: "Android", web: gettext("Browser") };

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Posts events in batches, as SDKs do: queued, at most a batch at a time, kept while they cannot be sent.
export class Sdk {
  constructor(config, csrf, onProblem) {
    Object.assign(this, { config, csrf, onProblem, queue: [], key: null, isSending: false });
    setInterval(() => this.flush(), FLUSH_MS);
  }

  // The id says what happened to which message, so a second look at the same wall counts nothing twice.
  add(type, ref, platform, detail = "") {
    const metadata = { platform, source: "phone wall", ...(detail && { action: detail }) };
    const id = [ref, type, detail].filter(Boolean).join(":").slice(0, 100);
    this.queue.push({ event_id: id, type, ref, occurred_at: new Date().toISOString(), metadata });
  }

  async flush() {
    if (this.isSending || !this.queue.length || Date.now() < (this.notBefore ?? 0)) return;
    this.isSending = true;
    const batch = this.queue.slice(0, this.config.batch);
    try {
      const answer = await this.post(batch);
      if (answer.status === 401) this.key = null; // revoked: ask for another and send again
      else if (answer.ok || answer.status === 422 || answer.status === 413) this.queue.splice(0, batch.length);
      if (!answer.ok) throw new Error((await answer.json()).detail ?? answered(answer));
      this.onProblem("");
    } catch (error) {
      this.notBefore = Date.now() + 3000;
      const words = gettext("The events could not be sent. PushPilot tries again. Cause: %(cause)s");
      this.onProblem(format(words, { cause: error.message }));
    } finally {
      this.isSending = false;
    }
  }

  async post(batch) {
    this.key ??= await this.mint();
    return fetch(this.config.events, {
      method: "POST",
      credentials: "omit",
      headers: { Authorization: `Bearer ${this.key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ batch, sent_at: new Date().toISOString() }),
    });
  }

  async mint() {
    const answer = await fetch(this.config.key, { method: "POST", headers: { "X-CSRFToken": this.csrf } });
    if (!answer.ok) throw new Error(gettext("This page cannot send events any more. Reload the page."));
    return (await answer.json()).key;
  }
}

// One device on the wall. It knows how to draw; what a tap means is the wall's to say.
class Phone {
  constructor(wall, device) {
    this.wall = wall;
    this.node = wall.template("phone");
    this.notes = new Map();
    this.hidden = 0;
    this.lastAt = 0;
    this.screen = this.node.querySelector(".phone-screen");
    this.become(device);
  }

  become(device) {
    this.device = device;
    this.lastAt = 0;
    this.clear();
    this.node.dataset.platform = device.platform;
    this.node.dataset.paper = String(device.id % 6);
    this.node.querySelector("[data-name]").textContent = device.name;
    this.node.querySelector("[data-model]").textContent = MODELS[device.platform] ?? gettext("Phone");
  }

  clear() {
    this.notes.clear();
    this.hidden = 0;
    this.node.querySelector("[data-notes]").replaceChildren();
    this.closeApp();
    this.rest();
  }

  receive(message) {
    this.lastAt = Date.now();
    if (message.silent) return this.pulse("is-silent");
    this.dismiss(message.id); // a copy replaces the first, by its tag
    const note = this.draw(message);
    this.notes.set(message.id, { message, node: note });
    this.node.querySelector("[data-notes]").prepend(note);
    while (this.notes.size > NOTES_SHOWN) {
      const [oldest, { node }] = this.notes.entries().next().value;
      node.remove();
      this.notes.delete(oldest);
      this.hidden += 1;
    }
    this.rest();
    this.pulse("is-buzzing");
  }

  draw(message) {
    const node = this.wall.template("note");
    fill(node, message, this.wall.config.app);
    node.querySelector("[data-age]").textContent = age(message.at);
    node.querySelector(".note-open").addEventListener("click", () => this.wall.open(this, message));
    const buttons = node.querySelector("[data-buttons]");
    buttons.hidden = !message.buttons.length;
    for (const { id, text } of message.buttons) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.dir = "auto";
      button.addEventListener("click", () => this.wall.click(this, message, `button ${id}`));
      buttons.append(button);
    }
    return node;
  }

  dismiss(id) {
    this.notes.get(id)?.node.remove();
    this.notes.delete(id);
    this.rest();
  }

  // The app comes up as it would after a tap, shows where the link leads, and closes by itself.
  async showApp(message) {
    const note = this.notes.get(message.id)?.node;
    note?.classList.add("is-pressed");
    await pause(160);
    this.dismiss(message.id);
    const app = this.node.querySelector("[data-app]");
    app.replaceChildren(this.wall.template("app", true));
    fill(app, message, this.wall.config.app);
    const link = app.querySelector("[data-link]");
    link.hidden = !message.link;
    link.querySelector("[data-where]").textContent = message.link;
    link.addEventListener("click", () => {
      link.classList.add("is-done");
      this.wall.click(this, message, "link");
    });
    app.querySelector("[data-close]").addEventListener("click", () => this.closeApp());
    app.hidden = false;
    this.node.classList.add("is-awake");
    clearTimeout(this.appTimer);
    this.appTimer = setTimeout(() => this.closeApp(), APP_MS);
  }

  closeApp() {
    clearTimeout(this.appTimer);
    this.node.querySelector("[data-app]").hidden = true;
    this.rest();
  }

  rest() {
    const isBusy = this.notes.size > 0 || !this.node.querySelector("[data-app]").hidden;
    this.node.classList.toggle("is-awake", isBusy);
    const more = this.node.querySelector("[data-more]");
    more.hidden = !this.hidden || !this.notes.size;
    more.textContent = format(gettext("Earlier: %(count)s"), { count: number(this.hidden) });
  }

  pulse(name) {
    this.node.classList.remove("is-buzzing", "is-silent");
    void this.node.offsetWidth; // lets the same animation start again
    this.node.classList.add(name);
  }
}

class Wall {
  constructor(root) {
    this.root = root;
    this.config = JSON.parse(root.querySelector("#wall-config").textContent);
    this.phones = new Map();
    this.messages = new Map(); // id → message, everything received while the page is open
    this.counts = { received: 0, opened: 0, clicked: 0 };
    this.memory = `phone-wall:${this.config.received}`;
    this.openedBefore = new Set(JSON.parse(sessionStorage.getItem(this.memory) ?? "[]"));
    const csrf = root.querySelector("[data-csrf] input").value;
    if (this.config.mayTap) this.sdk = new Sdk(this.config, csrf, (text) => this.problem("events", text));
    this.problems = {};
    for (const device of JSON.parse(root.querySelector("#wall-idle").textContent)) this.hang(device);
    this.places = Math.max(this.phones.size, 6);
    root.querySelector("[data-tap-some]")?.addEventListener("click", () => this.tapSome());
    this.tellTime();
    setInterval(() => this.tellTime(), 10000);
    this.follow();
  }

  template(name, isWhole = false) {
    const { content } = this.root.querySelector(`[data-${name}-template]`);
    return isWhole ? content.cloneNode(true) : content.firstElementChild.cloneNode(true);
  }

  hang(device) {
    const phone = new Phone(this, device);
    this.phones.set(device.id, phone);
    this.root.querySelector("[data-phones]").append(phone.node);
    return phone;
  }

  async follow() {
    let after = "";
    let retryMs = POLL_MS;
    for (;;) {
      let more = false;
      try {
        const answer = await fetch(`${this.config.received}?after=${after}`, { headers: { Accept: "application/json" } });
        const page = await answer.json();
        if (!answer.ok) throw new Error(page.problem ?? answered(answer));
        this.problem("sandbox", "");
        this.arrive(page.messages, after === "");
        ({ more } = page);
        after = String(page.last);
        retryMs = POLL_MS;
      } catch (error) {
        retryMs = Math.min(retryMs * 2, RETRY_MOST_MS);
        const words = gettext("%(problem)s PushPilot tries again in %(seconds)s s.");
        this.problem("sandbox", format(words, { problem: error.message, seconds: Math.round(retryMs / 1000) }));
      }
      await pause(more ? 50 : document.hidden ? Math.max(retryMs, 3000) : retryMs);
    }
  }

  arrive(messages, isHistory) {
    const shown = [];
    for (const message of messages) {
      this.counts.received += 1;
      if (message.id) this.messages.set(message.id, message);
      const phone = message.phone && this.place(message.phone);
      if (phone && !this.openedBefore.has(message.id)) shown.push([phone, message]);
    }
    const step = isHistory ? 30 : Math.min(140, WAVE_MS / Math.max(1, shown.length));
    shown.forEach(([phone, message], at) => setTimeout(() => phone.receive(message), at * step));
    for (const id of this.messages.keys()) {
      if (this.messages.size <= 10 * REMEMBERED) break;
      this.messages.delete(id);
    }
    this.drawCounts();
  }

  // The phone of a device: its own place, or that of the one that was quiet for longest; null if all are busy.
  place(device) {
    const own = this.phones.get(device.id);
    if (own) {
      own.lastAt = Date.now();
      return own;
    }
    if (this.phones.size < this.places) return this.hang(device);
    const quiet = [...this.phones.values()].reduce((a, b) => (b.lastAt < a.lastAt ? b : a));
    if (Date.now() - quiet.lastAt < QUIET_MS) return null;
    this.phones.delete(quiet.device.id);
    quiet.become(device);
    quiet.lastAt = Date.now();
    this.phones.set(device.id, quiet);
    return quiet;
  }

  markOpened(message) {
    if (!this.sdk || !message.ref) return;
    if (message.isOpened || this.openedBefore.has(message.id)) return;
    message.isOpened = true;
    // Its arrival the phone reports by itself (reports/sandbox_devices.py); where no phones run, the tap proves it.
    this.sdk.add("delivered", message.ref, message.phone?.platform ?? "");
    this.counts.opened += 1;
    this.sdk.add("opened", message.ref, message.phone?.platform ?? "");
    this.openedBefore.add(message.id);
    const kept = [...this.openedBefore].slice(-REMEMBERED);
    sessionStorage.setItem(this.memory, JSON.stringify(kept));
    this.drawCounts();
  }

  open(phone, message) {
    if (!this.sdk) return;
    this.markOpened(message);
    phone.showApp(message);
    this.root.querySelector("[data-tapped]").hidden = !message.ref;
    this.root.querySelector("[data-ref]").textContent = message.ref;
  }

  click(phone, message, what) {
    if (!this.sdk || !message.ref) return;
    this.markOpened(message);
    message.clicks ??= new Set();
    if (!message.clicks.has(what)) {
      message.clicks.add(what);
      this.counts.clicked += 1;
      this.sdk.add("clicked", message.ref, message.phone?.platform ?? "", what);
      this.drawCounts();
    }
    if (phone.notes.has(message.id)) phone.showApp(message);
  }

  async tapSome() {
    const open = [...this.messages.values()].filter((message) => message.id && !message.silent && !this.openedBefore.has(message.id));
    const wanted = Math.min(open.length, Math.max(1, Math.round(open.length * TAP_SHARE)));
    for (let at = 0; at < wanted; at += 1) {
      const pick = at + Math.floor(Math.random() * (open.length - at));
      [open[at], open[pick]] = [open[pick], open[at]];
    }
    if (!wanted) this.say(gettext("No message is left to tap."));
    for (const message of open.slice(0, wanted)) {
      const phone = message.phone && this.phones.get(message.phone.id);
      if (phone?.notes.has(message.id)) {
        this.open(phone, message);
        await pause(120);
      } else {
        this.markOpened(message);
      }
    }
  }

  drawCounts() {
    for (const [name, value] of Object.entries(this.counts)) {
      const node = this.root.querySelector(`[data-count="${name}"]`);
      const text = number(value);
      if (node.textContent === text) continue;
      node.textContent = text;
      node.classList.remove("is-new");
      void node.offsetWidth;
      node.classList.add("is-new");
    }
    this.say(this.standing());
  }

  standing() {
    const shown = this.phones.size;
    if (this.counts.received) {
      const words = ngettext(
        "The figures count from the moment you opened this page. The wall shows %(count)s phone.",
        "The figures count from the moment you opened this page. The wall shows %(count)s phones.",
        shown,
      );
      return format(words, { count: number(shown) });
    }
    if (shown) return gettext("No message yet. Send a campaign and watch the phones light up.");
    return gettext("This workspace has no device yet.");
  }

  say(text) {
    this.root.querySelector("[data-status]").textContent = text;
  }

  problem(source, text) {
    this.problems[source] = text;
    const found = this.problems.sandbox || this.problems.events || "";
    const box = this.root.querySelector("[data-problem]");
    box.hidden = !found;
    if (box.querySelector("[data-text]").textContent !== found) box.querySelector("[data-text]").textContent = found;
    this.root.classList.toggle("is-silent", Boolean(this.problems.sandbox));
  }

  tellTime() {
    const now = new Date();
    const time = now.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
    const date = now.toLocaleDateString(locale, { weekday: "long", day: "numeric", month: "long" });
    for (const node of this.root.querySelectorAll("[data-clock]")) node.textContent = time;
    for (const node of this.root.querySelectorAll("[data-date]")) node.textContent = date;
    for (const { notes } of this.phones.values()) {
      for (const { message, node } of notes.values()) node.querySelector("[data-age]").textContent = age(message.at);
    }
  }
}

function fill(node, message, app) {
  node.querySelector("[data-app-name]").textContent = app;
  node.querySelector("[data-title]").textContent = message.title;
  node.querySelector("[data-body]").textContent = message.body;
  const image = node.querySelector("[data-image]");
  if (!message.image) return;
  image.addEventListener("load", () => (image.hidden = false));
  image.src = message.image;
}

export function age(at) {
  const mins = Math.floor((Date.now() / 1000 - at) / 60);
  if (mins < 1) return gettext("now");
  if (mins < 60) return format(gettext("%(minutes)sm"), { minutes: mins });
  if (mins < 1440) return format(gettext("%(hours)sh"), { hours: Math.floor(mins / 60) });
  return format(gettext("%(days)sd"), { days: Math.floor(mins / 1440) });
}

function answered(answer) {
  return format(gettext("The server answered %(status)s."), { status: answer.status });
}

for (const root of document.querySelectorAll("[data-wall]")) new Wall(root);
