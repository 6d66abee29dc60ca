// The frame: who is signed in, where we are, what is live, and the keyboard.

import { isPossible, these } from "./actions.js";
import { children } from "./children.js";
import { agoText, h, put, toast } from "./dom.js";
import { errors } from "./errors.js";
import { help } from "./help.js";
import { jobPage } from "./job.js";
import { jobs } from "./jobs.js";
import { Live } from "./live.js";
import { overview } from "./overview.js";
import { schedules } from "./schedules.js";
import * as session from "./session.js";
import { system } from "./system.js";
import { applyTheme, themeButton, turnTheme } from "./theme.js";
import { welcome } from "./welcome.js";

const PLACES = [["#/", "Overview"], ["#/jobs", "Jobs"], ["#/errors", "Failures"], ["#/schedules", "Schedules"], ["#/system", "System", "admin"]];
const places = () => PLACES.filter(([, , role]) => !role || session.may(role));

const STATES = {
  connecting: "connecting", live: "live", reconnecting: "reconnecting", polling: "looking every 5 s",
};

const main = document.getElementById("main");
const top = document.getElementById("bar");
let view;
let leaving = new AbortController();
let live;
let state = "connecting";
let lastTenant;

/** `#/jobs/ID`, `#/jobs/ID/children?step=…`, `#/jobs?status=…`, `#/errors`, `#/` → the view */
function viewOf(hash) {
  const [where, search = ""] = hash.slice(1).split("?");
  const [, place = "", id, below] = where.split("/");
  const options = { leave: leaving.signal, params: new URLSearchParams(search), go };
  if (place === "jobs" && id) return (below === "children" ? children : jobPage)({ ...options, id: decodeURIComponent(id) });
  return { jobs, errors, schedules, system }[place]?.(options) ?? overview(options);
}

function go(address) {
  if (location.hash === address) show();
  else location.hash = address;
}

function show() {
  leaving.abort();
  leaving = new AbortController();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  showBar();
  if (!session.current()) {
    view = welcome(session);
    main.replaceChildren(view.node);
    view.focus();
  } else {
    const wasSearching = document.activeElement?.id === "search";
    view = viewOf(location.hash || "#/");
    main.replaceChildren(view.node);
    if (wasSearching) document.getElementById("search")?.focus();
    view.look.now();
  }
  document.title = view.title ? `${view.title} · Longshore` : "Longshore";
  scrollTo(0, 0);
}

function showBar() {
  const mine = session.current();
  const place = `#/${location.hash.slice(2).split(/[?/]/)[0]}`;
  put(top, [place, state, session.all().map((one) => one.token), mine?.token, document.documentElement.dataset.theme], () => [
    h("a.brand", { href: "#/" }, h("img", { src: new URL("icon.svg", import.meta.url).pathname, alt: "", width: 22, height: 22 }), "Longshore"),
    mine && h("nav", { "aria-label": "Places" }, places().map(([href, name]) => h("a", { href, "aria-current": href === place ? "page" : null }, name))),
    h("span.rest"),
    mine && h(`span.state.${state}`, { role: "status", "data-state": state }, STATES[state]),
    mine && tenants(mine),
    themeButton(showBar),
    h("button.quiet.icon", { type: "button", "aria-label": "Keys", title: "Keys (?)", onclick: help }, "?"),
  ]);
}

function tenants(mine) {
  const name = (one) => `${one.tenant} · ${one.role ?? "no role"}`;
  return h("select.tenant", {
    "aria-label": "Tenant", title: `${mine.user}, until ${Number.isFinite(mine.until) ? agoText(new Date(mine.until).toISOString()) : "for ever"}`, "data-key": "tenant",
    onchange: ({ target: { value } }) => {
      if (value === "+") welcomeAnother();
      else if (value === "-") session.signOut(mine.token);
      else session.switchTo(value);
    },
  }, session.all().map((one) => h("option", { value: one.token, selected: one === mine }, name(one))),
  h("option", { value: "+" }, "another …"), h("option", { value: "-" }, "sign out"));
}

function welcomeAnother() {
  const inner = welcome(session);
  const dialog = h("dialog", { "aria-label": "Another tenant", onclose: () => { dialog.remove(); top.shown = undefined; showBar(); } }, inner.node);
  document.body.append(dialog);
  dialog.showModal();
  inner.focus();
}

function restart() {
  live?.stop();
  live = undefined;
  document.getElementById("toasts").replaceChildren();
  const tenant = session.current()?.tenant;
  if (tenant && lastTenant && tenant !== lastTenant) history.replaceState(null, "", location.hash.match(/^#\/\w*/)?.[0] ?? "#/");
  lastTenant = tenant ?? lastTenant;
  show();
  if (!tenant) return;
  live = new Live({
    onEvents: (events) => view.hear?.(events),
    onLook: () => view.look?.now(),
    onState: (now) => { state = now; showBar(); },
  });
  live.start();
}

const PRESSED = {
  j: () => view.rows?.step(1),
  k: () => view.rows?.step(-1),
  "/": () => document.getElementById("search") ? document.getElementById("search").select() : search(),
  x: () => view.rows?.toggle(),
  r: () => act("redrive"),
  c: () => act("cancel"),
  t: () => { turnTheme(); showBar(); },
  ...Object.fromEntries(PLACES.map(([href], at) => [at + 1, () => { if (places()[at]) go(href); }])),
  "?": help,
};

function search() {
  go("#/jobs");
  addEventListener("hashchange", () => document.getElementById("search")?.focus(), { once: true });
}

function act(verb) {
  const chosen = view.rows?.selection() ?? [];
  const one = view.rows ? view.rows.here() : view.job?.();
  const meant = chosen.length ? chosen : one ? [one] : [];
  if (!meant.length) return;
  if (!session.may("operator")) toast(`This takes the role operator; your token has ${session.current().role ?? "none"}.`, "bad");
  else if (meant.some((job) => isPossible(verb, job)) || meant.length > 1) these(verb, meant, () => view.look.now());
}

function escape(event, target) {
  if (target.id === "search") {
    event.preventDefault(); // which would empty it
    target.blur();
  } else if (view.rows?.selection().length) view.rows.chooseAll(false);
  else if (/^#\/jobs\/./.test(location.hash)) history.length > 1 ? history.back() : go("#/jobs");
}

addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || !session.current() || document.querySelector("dialog[open]")) return;
  if (key === "Escape") escape(event, target);
  else if (!/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) || target.type === "checkbox") {
    const act = PRESSED[key];
    if (!act) return;
    event.preventDefault();
    act();
  }
});

addEventListener("hashchange", () => {
  if (!session.arrive()) show();
});
session.changes.addEventListener("change", restart);
applyTheme();
session.begin();
