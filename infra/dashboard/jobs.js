// The list: what the address says is what is shown, a page at a time, however many there are.

import { action, all, isPossible, these } from "./actions.js";
import { get, query, send } from "./api.js";
import { h, many, number, put, toast } from "./dom.js";
import { later } from "./later.js";
import { Rows } from "./rows.js";

const PAGE = 50;
const EMPTY_PAGES_MAX = 40;
const EXPORT_FILES_MAX = 20;

const STATUSES = [["", "All"], ["QUEUED", "Queued"], ["RUNNING", "Running"], ["WAITING", "Waiting"], ["FAILED", "Failed"],
  ["PARTIAL_SUCCESS", "Partly"], ["SUCCESS", "Succeeded"], ["CANCELLED", "Cancelled"]];

const TIMES = [["", "any time"], ["1h", "the last hour"], ["24h", "the last 24 hours"], ["7d", "the last 7 days"], ["30d", "the last 30 days"]];
const UNIT_MS = { h: 3_600_000, d: 86_400_000 };

const FIELDS = ["status", "type", "error", "text", "since", "until"];

export function jobs({ leave, params, go }) {
  const asked = Object.fromEntries(FIELDS.map((name) => [name, params.get(name) ?? ""]));
  const filter = { ...asked, since: moment(asked.since) };
  const said = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
  const cursor = params.get("cursor") ?? "";
  const isFirst = !cursor;
  const foot = h("nav.pages", { "aria-label": "Pages" });
  const state = h("p.quiet", { role: "status" });
  const acts = h("div.acts");
  const rows = new Rows({ label: "Jobs", onChoose: () => showActs() });

  const look = later(async () => {
    const page = await found(filter, cursor, leave, (count) => { state.textContent = `Looking further back … (${number(count)} pages)`; });
    rows.set(page.jobs);
    rows.node.hidden = !page.jobs.length;
    state.textContent = page.jobs.length ? "" : page.cursor ? "Nothing in what was looked through." : "There are no such jobs.";
    put(foot, [page.cursor, isFirst], () => [
      !isFirst && h("a", { href: address({}), "data-key": "first" }, "Newest"),
      page.cursor && h("a", { href: address({ cursor: page.cursor }), "data-key": "older" }, page.jobs.length ? "Older" : "Look further back"),
    ]);
  }, 1500, leave);

  const address = (change) => `#/jobs${query({ ...asked, ...change })}`;

  function showActs() {
    const chosen = rows.selection();
    put(acts, [chosen.map((job) => [job.job_id, job.status]), said], () => chosen.length ? ofChosen(chosen) : Object.keys(said).length ? ofFilter() : []);
    rows.everyone.checked = chosen.length > 0 && chosen.length === rows.jobs.size;
    rows.everyone.indeterminate = chosen.length > 0 && chosen.length < rows.jobs.size;
  }

  const after = () => { rows.chooseAll(false); look.now(); };

  const ofChosen = (chosen) => [h("b", `${number(chosen.length)} chosen`),
    ["redrive", "cancel"].map((verb) => chosen.some((job) => isPossible(verb, job)) && action(verb, verb === "redrive" ? "Run again" : "Cancel", () => these(verb, chosen, after))),
    h("button.quiet", { type: "button", onclick: () => rows.chooseAll(false) }, "None")];

  const ofFilter = () => [h("span.quiet", "All that match:"), action("redrive", "Run again", () => all("redrive", said, after)),
    action("cancel", "Cancel", () => all("cancel", said, after)),
    h("button.quiet", { type: "button", onclick: () => exported(filter, leave) }, "Export CSV")];

  return {
    title: "Jobs",
    node: h("div.view", h("h1.unseen", "Jobs"), controls(asked, address, go, leave), acts, rows.node, state, foot),
    look,
    rows,
    hear: (events) => { if (rows.apply(events) && isFirst) look.soon(); },
  };
}

/** A page with something in it, or the end. */
async function found(filter, cursor, leave, tell) {
  const jobs = [];
  for (let turn = 1; turn <= EMPTY_PAGES_MAX; turn += 1) {
    const page = await get(`/jobs${query({ ...filter, cursor, limit: PAGE })}`, leave);
    jobs.push(...page.jobs);
    ({ cursor } = page);
    if (jobs.length || !cursor) break;
    tell(turn);
  }
  return { jobs, cursor };
}

/** `24h` → when that was; anything else is a moment already. */
function moment(since) {
  const [, count, unit] = /^(\d+)([hd])$/.exec(since) ?? [];
  return unit ? new Date(Math.floor((Date.now() - count * UNIT_MS[unit]) / 60_000) * 60_000).toISOString() : since;
}

function controls(asked, address, go, leave) {
  const types = h("select", { "aria-label": "Type", onchange: ({ target }) => go(address({ type: target.value })) });
  const fillTypes = (names) => types.replaceChildren(...[["", "every type"], ...names.map((name) => [name, name])].map(option(asked.type)));
  fillTypes(asked.type ? [asked.type] : []);
  get("/types", leave).then(({ types: known }) => fillTypes(known.map((one) => one.type)), () => {});
  const text = h("input", { type: "search", id: "search", name: "text", value: asked.text, placeholder: "Search id, payload, error, user … ⏎", "aria-label": "Search", autocomplete: "off", spellcheck: "false", maxlength: 200 });
  const form = h("form.search", { role: "search", onsubmit: (event) => { event.preventDefault(); go(address({ text: text.value.trim() })); } }, text);
  text.addEventListener("search", () => { if (!text.value && asked.text) go(address({ text: "" })); });
  const times = TIMES.some(([value]) => value === asked.since) ? TIMES : [...TIMES, [asked.since, `since ${asked.since}`]];
  const isOpenEnded = asked.until ? [h("span.chip", `until ${asked.until} `, h("a", { href: address({ until: "" }), "aria-label": "Until any time" }, "×"))] : [];
  return h("div.controls",
    h("nav.tabs", { "aria-label": "Status" }, STATUSES.map(([status, name]) => h("a", { href: address({ status }), "aria-current": asked.status === status ? "true" : null }, name))),
    h("div.filters", form, types,
      h("select", { "aria-label": "Created", onchange: ({ target }) => go(address({ since: target.value })) }, times.map(option(asked.since))),
      isOpenEnded,
      asked.error && h("span.chip", "error ", h("code", asked.error), " ", h("a", { href: address({ error: "" }), "aria-label": "Any error" }, "×"))));
}

const option = (chosen) => ([value, name]) => h("option", { value, selected: value === chosen }, name);

/** One file, however many answers it takes. */
async function exported(filter, leave) {
  const lines = [];
  let cursor;
  try {
    for (let turn = 0; turn < EXPORT_FILES_MAX; turn += 1) {
      const answer = await send("GET", `/exports/jobs${query({ ...filter, cursor })}`, undefined, leave);
      const text = await answer.text();
      lines.push(turn ? text.slice(text.indexOf("\n") + 1) : text);
      cursor = answer.headers.get("Longshore-Cursor");
      if (!cursor) break;
    }
  } catch (problem) {
    if (problem.name !== "AbortError") toast(problem.message, "bad");
    return;
  }
  const href = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
  const link = document.createElement("a");
  Object.assign(link, { href, download: "jobs.csv" });
  link.click();
  URL.revokeObjectURL(href);
  toast(cursor ? `The newest of them: ${many(EXPORT_FILES_MAX, "part")}. Narrow the filter for the rest.` : "Exported.");
}
