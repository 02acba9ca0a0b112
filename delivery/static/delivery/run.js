// The live page of a run: asks for its progress every second and redraws what changed, until the run has ended.

import { format, gettext, locale, ngettext, number } from "../pushpilot/words.js";

const EVERY_MS = 1000;
const RETRY_MOST_MS = 15000;
const SHARDS_EVERY_MS = 2000;
const REPORTS_AFTER_MS = [3000, 10000, 30000, 60000, 120000]; // most phones report within seconds of the send
const TIME = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });

class RunPage {
  constructor(root) {
    this.root = root;
    this.shards = root.querySelector("[data-shards]");
    this.retryMs = EVERY_MS;
    this.undoTotalMs = 0;
    this.draw(JSON.parse(root.querySelector("#run-data").textContent));
    root.querySelector("[data-errors-now]").addEventListener("click", () => this.loadErrors());
    this.shards.addEventListener("toggle", () => this.loadShards());
    setInterval(() => this.count(), 200);
    if (this.data.is_live) this.next(EVERY_MS);
    else this.loadErrors();
  }

  next(ms) {
    setTimeout(() => this.poll(), document.hidden ? Math.max(ms, 5000) : ms);
  }

  async poll() {
    try {
      const answer = await fetch(this.root.dataset.url, { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      this.retryMs = EVERY_MS;
      this.root.classList.remove("is-stale");
      this.draw(await answer.json());
    } catch {
      this.root.classList.add("is-stale");
      this.drawPace();
      this.retryMs = Math.min(this.retryMs * 2, RETRY_MOST_MS);
    }
    if (this.data.is_live) this.next(this.retryMs);
    else this.ended();
  }

  draw(data) {
    const before = this.data;
    this.data = data;
    this.drawnAt = new Date();
    this.clockAhead = Date.now() - Date.parse(data.now);
    this.root.querySelector(".run-head").dataset.tone = data.tone;
    for (const node of this.root.querySelectorAll("[data-bind]")) this.fill(node);
    for (const node of this.root.querySelectorAll("[data-verb]")) node.hidden = !data.can.includes(node.dataset.verb);
    const decide = this.root.querySelector("[data-decide]");
    if (decide) decide.hidden = !decide.querySelector(".run-choice:not([hidden])");
    for (const node of this.root.querySelectorAll("[data-account]")) node.hidden = data.audience === null;
    for (const node of this.root.querySelectorAll("[data-no-account]")) node.hidden = data.audience !== null;
    const flying = data.counts.in_flight;
    this.root.querySelector("[data-flying]").textContent = flying
      ? format(gettext("· %(count)s in flight"), { count: number(flying) })
      : "";
    this.drawNotices(before);
    this.drawLines();
    this.drawBar();
    this.drawPace();
    this.root.querySelector("[data-errors]").hidden = !this.hasTrouble();
    this.count();
    if (before?.state === "planned" && data.state !== "planned" && data.is_live) this.redraw();
  }

  fill(node) {
    const value = node.dataset.bind.split(".").reduce((part, name) => part?.[name], this.data);
    const text = "number" in node.dataset ? number(value ?? 0) : String(value ?? "");
    if (node.textContent !== text) node.textContent = text;
  }

  drawNotices(before) {
    if (before && JSON.stringify(before.notices) === JSON.stringify(this.data.notices)) return;
    const template = this.root.querySelector("[data-notice-template]");
    const drawn = this.data.notices.map((notice) => {
      const node = template.content.firstElementChild.cloneNode(true);
      node.dataset.tone = notice.tone;
      node.firstElementChild.textContent = notice.icon;
      node.querySelector("[data-text]").textContent = notice.text;
      return node;
    });
    this.root.querySelector("[data-notices]").replaceChildren(...drawn);
  }

  drawLines() {
    const body = this.root.querySelector("[data-lines]");
    const template = this.root.querySelector("[data-line-template]");
    const kept = new Map([...body.children].map((row) => [row.dataset.slug, row]));
    const rows = this.data.lines.map((line) => {
      const row = kept.get(line.slug) ?? template.content.firstElementChild.cloneNode(true);
      Object.assign(row.dataset, { slug: line.slug, group: line.group });
      const label = row.querySelector("[data-label]");
      label.textContent = line.label;
      if (line.slug !== "in_flight") label.href = `${this.root.dataset.recipientsUrl}?reason=${line.slug}`;
      row.querySelector("[data-explanation]").textContent = line.explanation;
      row.querySelector("[data-count]").textContent = number(line.count);
      row.querySelector("[data-share]").textContent = line.percent;
      return row;
    });
    if (rows.length !== body.children.length || rows.some((row, at) => body.children[at] !== row)) body.replaceChildren(...rows);
    const balance = this.root.querySelector("[data-balance]");
    balance.textContent = this.data.is_balanced ? gettext("✓ adds up") : gettext("✗ does not add up");
    balance.classList.toggle("is-wrong", !this.data.is_balanced);
  }

  drawBar() {
    const bar = this.root.querySelector("[data-bar]");
    const kept = new Map([...bar.children].map((part) => [part.dataset.slug, part]));
    const parts = this.data.lines.map((line) => {
      const part = kept.get(line.slug) ?? document.createElement("i");
      Object.assign(part.dataset, { slug: line.slug, group: line.group });
      part.style.flexGrow = String(line.share);
      part.title = `${line.label}: ${number(line.count)}`;
      return part;
    });
    // Moving a node restarts its transition, so the bar is rebuilt only when its parts change.
    if (parts.length !== bar.children.length || parts.some((part, at) => bar.children[at] !== part)) bar.replaceChildren(...parts);
    bar.setAttribute("aria-label", this.data.equation);
    this.root.classList.toggle("is-sending", this.data.state === "running");
  }

  drawPace() {
    const { data } = this;
    const words = [];
    if (this.root.classList.contains("is-stale")) {
      words.push(format(gettext("No connection to the server. Figures of %(time)s"), { time: TIME.format(this.drawnAt) }));
    } else if (data.state === "running") {
      if (data.rate) words.push(speed(data.rate));
      if (data.limit) words.push(data.limit);
      if (data.eta_secs >= 3) words.push(toGo(data));
    } else if (!data.is_live) {
      if (data.took) words.push(format(gettext("took %(span)s"), { span: data.took }));
      if (data.rate) words.push(format(gettext("%(speed)s on average"), { speed: speed(data.rate) }));
    }
    this.root.querySelector("[data-pace]").textContent = words.join(" · ");
  }

  count() {
    const box = this.root.querySelector("[data-countdown]");
    const until = this.data.undo_until && Date.parse(this.data.undo_until) + this.clockAhead;
    box.hidden = !until;
    if (!until) return;
    const left = Math.max(0, until - Date.now());
    this.undoTotalMs = Math.max(this.undoTotalMs, left, 30000);
    const secs = Math.ceil(left / 1000);
    box.querySelector("[data-seconds]").textContent = secs;
    box.querySelector("[data-ring]").style.strokeDashoffset = String(1 - left / this.undoTotalMs);
    const words = secs
      ? format(ngettext("Sends in %(count)s second", "Sends in %(count)s seconds", secs), { count: number(secs) })
      : gettext("Starting…");
    const headline = this.root.querySelector('[data-bind="headline"]');
    headline.setAttribute("aria-live", "off"); // a screen reader need not hear every second
    if (headline.textContent !== words) headline.textContent = words;
  }

  hasTrouble() {
    return this.data.lines.some((line) => ["failed", "unsure"].includes(line.group) || ["render_error", "payload_too_large"].includes(line.slug));
  }

  ended() {
    this.loadErrors();
    this.loadShards();
    this.redraw();
    for (const ms of REPORTS_AFTER_MS) setTimeout(() => document.hidden || this.redraw(), ms);
  }

  // What the server drew at the start (times, panels) is drawn anew when the run has begun, when it has ended, and when
  // the phones have reported.
  async redraw() {
    try {
      const answer = await fetch(location.href);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of this.root.querySelectorAll("[data-refresh]")) {
        const now = fresh.getElementById(part.id);
        if (now) part.replaceChildren(...now.childNodes);
      }
    } catch {
      // The figures above are right; the rest waits for a reload.
    }
  }

  async loadErrors() {
    if (!this.hasTrouble()) return;
    const body = this.root.querySelector("[data-errors-body]");
    this.root.querySelector("[data-errors-now]").hidden = !this.data.is_live;
    try {
      const answer = await fetch(this.root.dataset.errorsUrl);
      if (!answer.ok) throw new Error();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      body.replaceChildren(...fresh.body.childNodes);
    } catch {
      body.textContent = gettext("The errors could not be loaded. Try again.");
    }
  }

  // The parts and their workers: asked for only while somebody looks, and anew while the run is live.
  async loadShards() {
    clearTimeout(this.shardsTimer);
    if (!this.shards.open) return;
    const body = this.shards.querySelector("[data-shards-body]");
    try {
      const answer = await fetch(this.root.dataset.shardsUrl);
      if (!answer.ok || answer.redirected) throw new Error();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const left = body.querySelector(".run-scroll")?.scrollLeft ?? 0;
      body.replaceChildren(...fresh.body.childNodes);
      body.querySelector(".run-scroll")?.scrollTo(left, 0);
    } catch {
      if (!body.firstElementChild) body.textContent = gettext("The parts could not be loaded. PushPilot tries again.");
    }
    if (this.data.is_live) this.shardsTimer = setTimeout(() => this.loadShards(), document.hidden ? 15000 : SHARDS_EVERY_MS);
  }
}

export function speed(rate) {
  if (rate >= 1) return format(gettext("%(rate)s a second"), { rate: number(Math.round(rate)) });
  return format(gettext("%(rate)s a minute"), { rate: number(Math.max(1, Math.round(rate * 60))) });
}

export function toGo(data) {
  const words = data.rate ? gettext("about %(span)s to go") : gettext("at least %(span)s to go");
  return format(words, { span: duration(data.eta_secs) });
}

export function duration(exactly) {
  const secs = Math.round(exactly);
  if (secs < 60) return format(gettext("%(seconds)s s"), { seconds: secs });
  if (secs < 3600) {
    const parts = { minutes: Math.floor(secs / 60), seconds: secs % 60 };
    return format(gettext("%(minutes)s min %(seconds)s s"), parts);
  }
  const mins = Math.round(secs / 60);
  const parts = { hours: number(Math.floor(mins / 60)), minutes: mins % 60 };
  return format(gettext("%(hours)s h %(minutes)s min"), parts);
}

for (const root of document.querySelectorAll("[data-run]")) new RunPage(root);
