// Elements, and how things are said. Whatever a job says is text: nothing here makes markup of a string.

const SVG = "http://www.w3.org/2000/svg";

/** h("a.link.quiet", {href, onclick, "aria-label": …}, "text", child, [children], null) → the element. */
export function h(tag, ...rest) {
  return build(document.createElement(tag.split(".")[0]), tag, rest);
}

export function svg(tag, ...rest) {
  return build(document.createElementNS(SVG, tag.split(".")[0]), tag, rest);
}

function build(element, tag, rest) {
  const classes = tag.split(".").slice(1);
  if (classes.length) element.classList.add(...classes);
  const first = rest[0];
  const isProps = first !== null && typeof first === "object" && !Array.isArray(first) && !(first instanceof Node);
  for (const [name, value] of Object.entries(isProps ? first : {})) set(element, name, value);
  element.append(...(isProps ? rest.slice(1) : rest).flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "value") element.value = value;
  else if (name === "checked") element.checked = value;
  else if (name === "vars") for (const [key, size] of Object.entries(value)) element.style.setProperty(key, size);
  else if (name !== "href" || isHarmless(value)) element.setAttribute(name, value === true ? "" : value);
}

function isHarmless(href) {
  return /^(#|\/(?!\/)|https?:\/\/)/.test(href);
}

/** Puts `make()` into `element`, only if `data` is other than last time; what had the focus keeps it. */
export function put(element, data, make) {
  const text = JSON.stringify(data) ?? "";
  if (element.shown === text) return;
  const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const opened = new Set([...element.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key));
  element.replaceChildren(...[make()].flat(9).filter(Boolean));
  for (const one of element.querySelectorAll("details[data-key]")) if (opened.has(one.dataset.key)) one.open = true;
  if (key) [...element.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key)?.focus();
  element.shown = text;
}

export const number = (value) => (value ?? 0).toLocaleString("en");

export const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

/** 850 ms · 4.2 s · 1 min 20 s · 3 h 5 min · 2 d 4 h */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 0) return "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 3600) return pair(s, 60, "min", 1, "s");
  return s < 86_400 ? pair(s, 3600, "h", 60, "min") : pair(s, 86_400, "d", 3600, "h");
}

function pair(s, large, largeUnit, small, smallUnit) {
  const rest = Math.floor((s % large) / small);
  return `${Math.floor(s / large)} ${largeUnit}${rest ? ` ${rest} ${smallUnit}` : ""}`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** A moment as it is from now: it ages by itself. */
export function ago(at) {
  if (!at) return h("span.quiet", "–");
  return h("time", { datetime: at, "data-ago": at, title: `${CLOCK.format(new Date(at))} · ${at}` }, agoText(at));
}

export function agoText(at) {
  const ms = Date.now() - Date.parse(at);
  if (Math.abs(ms) < 1500) return "now";
  return ms < 0 ? `in ${rough(-ms)}` : `${rough(ms)} ago`;
}

const rough = (ms) => duration(Math.floor(ms / 1000) * 1000).replace(/^(\d+)\.\d s$/, "$1 s").replace(/ (\d+ (s|min|h))$/, "");

/** How long from one moment to another, or until now. */
export function lasted(from, until) {
  if (!from) return h("span.quiet", "–");
  if (until) return h("span", duration(Date.parse(until) - Date.parse(from)));
  return h("time", { datetime: from, "data-since": from }, duration(Date.now() - Date.parse(from)));
}

export const clock = (at) => new Date(at).toLocaleTimeString("en-GB", { hour12: false }) + "." + at.slice(20, 23);

setInterval(() => {
  for (const one of document.querySelectorAll("[data-ago]")) one.textContent = agoText(one.dataset.ago);
  for (const one of document.querySelectorAll("[data-since]")) {
    one.textContent = duration(Date.now() - Date.parse(one.dataset.since));
  }
}, 1000);

const WORDS = {
  QUEUED: "queued", RUNNING: "running", WAITING: "waiting", SUCCESS: "succeeded",
  PARTIAL_SUCCESS: "partly", FAILED: "failed", CANCELLED: "cancelled",
  PENDING: "not begun", SKIPPED: "left out", BLOCKED: "blocked",
};

export const OVER = new Set(["SUCCESS", "PARTIAL_SUCCESS", "FAILED", "CANCELLED"]);

export function badge(status) {
  return h(`span.badge.${status.toLowerCase()}`, WORDS[status] ?? status);
}

/** A bar that fills, with what it says beside it. */
export function bar(progress) {
  const { current, total, percent } = progress;
  const text = total ? `${number(current)} of ${number(total)}` : number(current);
  const limits = total ? { "aria-valuenow": percent, "aria-valuemin": 0, "aria-valuemax": 100 } : {};
  return h("span.progress", h("span.track", { role: "progressbar", "aria-label": text, ...limits },
    h(`span.fill${total ? "" : ".endless"}`, { vars: { "--share": `${total ? percent : 100}%` } })),
  h("span.count", total ? `${Math.round(percent)} %` : text));
}

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const SHOWN_MAX = 200_000;

/** JSON as people read it. */
export function json(value) {
  const text = JSON.stringify(value, null, 2) ?? "null";
  if (text.length > SHOWN_MAX) return h("pre.code", { tabindex: 0 }, `${text.slice(0, SHOWN_MAX)}\n… ${number(text.length)} characters in all`);
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    parts.push(text.slice(end, match.index), h(`span.${match[2] ? "name" : match[1] ? "text" : "value"}`, match[1] ?? match[0]), match[2] ?? "");
    end = match.index + match[0].length;
  }
  return h("pre.code", { tabindex: 0 }, parts, text.slice(end));
}

export function copier(text, label) {
  return h("button.quiet.small", {
    type: "button", "aria-label": label,
    onclick: async (event) => {
      const button = event.currentTarget;
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    },
  }, "copy");
}

export function toast(text, kind = "good") {
  const place = document.getElementById("toasts");
  if ([...place.children].some((shown) => shown.textContent === text)) return;
  const one = h(`div.toast.${kind}`, text);
  place.append(one);
  setTimeout(() => one.remove(), kind === "bad" ? 9000 : 5000);
}

export const notice = (problem) => h("p.notice", { role: "alert" }, problem.message || String(problem));

export const section = (title, ...children) => h("section", h("h2", title), children);
