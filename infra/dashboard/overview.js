// The first look: what needs somebody, how each type does, what happens now.

import { action, all, carefully, newest } from "./actions.js";
import { get, query } from "./api.js";
import { ago, agoText, duration, h, many, number, put, section, svg, notice } from "./dom.js";
import { Rows } from "./rows.js";
import { later } from "./later.js";
import { pauses } from "./pauses.js";

const DAY_MS = 86_400_000;
const RECENT = 12;
const GROUPS = 5;
const COUNTED_EVERY_MS = 20_000;

export function overview({ leave }) {
  const rows = new Rows({ label: "Recent jobs" });
  const paused = pauses(leave);
  const trouble = h("div");
  const types = h("div");
  const recent = async () => rows.set((await get(`/jobs${query({ limit: RECENT })}`, leave)).jobs);
  const groups = async () => {
    const found = await get(`/errors${query({ since: new Date(Date.now() - DAY_MS).toISOString() })}`, leave);
    put(trouble, found, () => attention(found, look));
  };
  const numbers = async () => {
    const stats = await get("/stats", leave).catch((problem) => ({ problem }));
    if (stats.problem?.name === "AbortError") throw stats.problem;
    if (stats.problem) put(types, stats.problem.status, () => unknown(stats.problem));
    else put(types, stats, () => table(stats));
  };
  const [often, rarely, sometimes] = [later(recent, 1000, leave), later(groups, 10_000, leave), later(numbers, 4000, leave)];
  const look = { now: () => Promise.all([often, rarely, sometimes, paused.look].map((one) => one.now())) };
  const timer = setInterval(sometimes.soon, COUNTED_EVERY_MS);
  leave.addEventListener("abort", () => clearInterval(timer));
  return {
    title: "Overview",
    node: h("div.view", paused.node, trouble, section("Job types", types), section("Happening now", rows.node, h("p", h("a", { href: "#/jobs" }, "All jobs")))),
    look,
    rows,
    hear: (events) => {
      if (rows.apply(events)) often.soon();
      if (events.some((event) => event.event === "failed")) rarely.soon();
      sometimes.soon();
    },
  };
}

function attention({ groups, cursor, looked_at: lookedAt }, look) {
  const bound = cursor ? ` among the newest ${number(lookedAt)} jobs` : "";
  if (!groups.length) return h("section.calm", h("h1", "All is well."), h("p.quiet", `Nothing has failed in the last 24 hours${bound}.`));
  const failed = groups.reduce((sum, group) => sum + group.count, 0);
  return h("section", h("h1", `${many(failed, "job")} failed in the last 24 hours`, h("span.quiet", bound)),
    h("ol.groups", groups.slice(0, GROUPS).map((group) => card(group, look))),
    groups.length > GROUPS && h("p", h("a", { href: "#/errors" }, `All ${number(groups.length)} kinds of failure`)));
}

/** One kind of failure: what it says, how often, and the way out. */
export function card(group, look) {
  const { count, error, fingerprint, type, job_id: jobId } = group;
  const filter = { status: "FAILED,PARTIAL_SUCCESS", type, error: fingerprint };
  return h("li.group",
    h("a.count", { href: `#/jobs${query(filter)}`, title: "List them", "aria-label": `List these ${many(count, "job")}` }, number(count)),
    h("div.said", h("p", h("span.code-word", error.code), " ", h("a", { href: `#/jobs/${encodeURIComponent(jobId)}`, "data-key": `why:${fingerprint}:${type}` }, error.message || "no message")),
      h("p.quiet", h("span", type), error.field && [" · field ", h("code", error.field)], " · newest ", ago(group.newest_at), count > 1 && [" · oldest ", ago(group.oldest_at)])),
    h("div.buttons",
      action(fingerprint, count > 1 ? "Run 1 again" : "Run again", () => newest("redrive", filter, 1, look.now)),
      count > 10 && action(fingerprint, "10", () => newest("redrive", filter, 10, look.now)),
      count > 1 && action(fingerprint, `All ${number(count)}`, () => all("redrive", filter, look.now)),
      count > 1 && action(fingerprint, "Try 1, 10, all", () => carefully(filter))));
}

const unknown = (problem) => problem.status === 404 ? h("p.quiet", "This installation keeps no numbers.") : notice(problem);

function table({ types, as_of: asOf }) {
  if (!types.length) return h("p.quiet", "Nothing is counted yet.");
  const heads = ["Type", "Queued", "Running", "Failed 24 h", "Per minute", "p50", "p95", "Oldest waits", "Cost 24 h", "Last 24 hours"];
  return [h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Job types" }, h("table.types", h("thead", h("tr", heads.map((name, at) => h(at && at < 9 ? "th.number" : "th", { scope: "col" }, name)))),
    h("tbody", types.map(row)))), asOf && h("p.quiet.fine", "Counted ", ago(asOf), ".")];
}

function row(one) {
  const cell = (value, href, kind = "") => h(`td.number${value ? kind : ".zero"}`, href && value ? h("a", { href: `#/jobs${query(href)}` }, number(value)) : number(value));
  const { type } = one;
  return h("tr", h("th", { scope: "row" }, h("a", { href: `#/jobs${query({ type })}` }, type)),
    cell(one.queued + (one.waiting ?? 0), { type, status: one.waiting ? "QUEUED,WAITING" : "QUEUED" }),
    cell(one.running, { type, status: "RUNNING" }),
    cell(one.failed_24h, { type, status: "FAILED" }, ".bad"),
    h("td.number", (one.rate_per_min ?? 0).toFixed(one.rate_per_min < 10 ? 1 : 0)),
    h("td.number", duration(one.p50_s === null || one.p50_s === undefined ? null : one.p50_s * 1000)),
    h("td.number", duration(one.p95_s === null || one.p95_s === undefined ? null : one.p95_s * 1000)),
    h("td.number", one.oldest_queued_at ? agoText(one.oldest_queued_at).replace(" ago", "") : "–"),
    h("td.number", money(one.cost_usd_24h)),
    h("td", spark(one.hours ?? [], type)));
}

const money = (usd) => !usd ? "–" : usd < 0.01 ? `${(usd * 100).toPrecision(1)} ¢` : `$${usd.toFixed(2)}`;

/** Jobs an hour; in red the part that failed. */
function spark(hours, type) {
  const most = Math.max(1, ...hours.map((hour) => hour.created), ...hours.map((hour) => hour.failed));
  const created = hours.reduce((sum, hour) => sum + hour.created, 0);
  const label = `${type}: ${many(created, "job")} in 24 hours, at most ${number(most)} an hour`;
  const one = (count, at, kind) => count ? svg(`rect.${kind}`, { x: at * 5, width: 4, y: 22 - Math.max(1.5, 22 * count / most), height: Math.max(1.5, 22 * count / most), rx: 1 }) : null;
  return svg("svg.spark", { viewBox: `0 0 ${Math.max(24, hours.length) * 5} 22`, role: "img", "aria-label": label },
    svg("title", label), svg("rect.base", { y: 21, width: Math.max(24, hours.length) * 5 - 1, height: 1 }), hours.map((hour, at) => [one(hour.created, at, "made"), one(hour.failed, at, "failed")]));
}
