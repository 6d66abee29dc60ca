// One job: what it is, why it is so, what can be done about it; then everything that is known.

import { action, isPossible, these } from "./actions.js";
import { get, path } from "./api.js";
import { crumbs, graph, groups } from "./flow.js";
import { OVER, ago, badge, bar, clock, copier, h, json, lasted, many, notice, put, section } from "./dom.js";
import { isNewer, merged } from "./live.js";
import { later } from "./later.js";
import { timeline } from "./timeline.js";

const TRAIL_MAX = 30;

const AGAIN_MS = 2000;
const JOBS_PER_SECOND = 2000; // the larger a flow, the less often it is looked at
const ENDING_MS = 120_000; // children of what is over are still being cancelled

export function jobPage({ leave, id }) {
  const parts = Object.fromEntries(["head", "why", "progress", "flow", "timeline", "errors", "result", "payload", "facts", "events"].map((name) => [name, h("div")]));
  const trail = [];
  let job;
  let nextSteps = 0;
  let left = 0;

  const look = later(async () => {
    const found = await get(path(id), leave).catch((problem) => {
      if (problem.status !== 404) throw problem;
      parts.head.replaceChildren(h("h1", "No such job"), h("p.quiet", "There is none with this id here, or it is another tenant's. ", h("a", { href: "#/jobs" }, "All jobs")));
    });
    if (!found) return;
    if (!job || !isNewer(job.version, found.version)) job = found;
    if (job.progress?.message) remember(trail, { ...job.progress, at: job.updated_at });
    showJob();
    await Promise.all([reasons(), steps(), history(), payload(), result()]);
  }, 200, leave);

  // Nobody tells the tenant of each child: what has some, or is one, is looked at while it is alive.
  const again = later(async () => {
    if (job.type === "flow") await Promise.all([reasons(), steps()]);
    else await look.now();
  }, AGAIN_MS, leave);
  const isMoving = () => !OVER.has(job.status) || (left > 0 && Date.now() - Date.parse(job.completed_at) < ENDING_MS);
  const timer = setInterval(() => {
    if (job && (job.parent || job.type === "flow") && isMoving() && performance.now() >= nextSteps && document.visibilityState === "visible") again.soon();
  }, AGAIN_MS / 2);
  leave.addEventListener("abort", () => clearInterval(timer));

  function showJob() {
    put(parts.head, [job.job_id, job.status, job.type, job.cancel_requested], () => head(job, look));
    showProgress();
    put(parts.facts, job, () => facts(job));
  }

  function showProgress() {
    // A flow has its graph.
    const isShown = job.progress && (job.type === "flow" ? job.status === "RUNNING" : !OVER.has(job.status));
    put(parts.progress, [isShown, job.progress, trail.length], () => isShown ? progress(job.progress, trail) : []);
  }

  const optional = (rest) => get(path(id, rest), leave).catch((problem) => {
    if (problem.name === "AbortError") throw problem;
    return { problem };
  });

  async function reasons() {
    const told = await optional("/why");
    put(parts.why, told, () => told.problem ? [] : why(told));
  }

  async function steps() {
    if (job.type !== "flow") return put(parts.flow, job.children, () => job.children.length ? groups(job) : []);
    if (!OVER.has(job.status) && performance.now() < nextSteps) return undefined;
    const told = await optional("/flow");
    nextSteps = performance.now() + (1000 * (told.counts?.total ?? 0)) / JOBS_PER_SECOND;
    left = told.counts?.left ?? 0;
    const { scrollLeft = 0, scrollTop = 0 } = parts.flow.querySelector(".graph") ?? {};
    put(parts.flow, told, () => told.problem ? section("Steps", notice(told.problem)) : graph(told));
    parts.flow.querySelector(".graph")?.scrollTo(scrollLeft, scrollTop);
    return undefined;
  }

  async function history() {
    const [{ events = [] }, { errors = [] }] = await Promise.all([optional("/events"), optional("/errors")]);
    put(parts.timeline, [events, job.status], () => timeline(events, job.status));
    put(parts.errors, errors, () => errors.length ? section("What went wrong", errors.map(failure)) : []);
    put(parts.events, events, () => section("Every move", moves(events)));
  }

  async function payload() {
    if (parts.payload.shown) return;
    const told = await optional("/payload");
    put(parts.payload, told, () => section("Payload", documented("payload", told, told.payload)));
  }

  async function result() {
    if (!OVER.has(job.status)) return put(parts.result, null, () => []);
    const told = await optional("/result");
    return put(parts.result, told, () => told.problem || isBare(told) ? [] : results(told));
  }

  return {
    title: `Job ${id}`,
    node: h("article.view.job", parts.head, parts.why, parts.progress, parts.flow, parts.timeline, parts.errors, h("div.columns", parts.result, parts.payload), parts.facts, parts.events),
    look,
    job: () => job,
    hear: (events) => {
      for (const event of events) {
        if (event.job_id !== id || !job || !isNewer(event.version, job.version)) continue;
        const isMove = event.version.slice(0, 3).some((part, at) => part !== job.version[at]) || event.status !== job.status;
        job = merged(job, event);
        if (event.message) remember(trail, event);
        showJob();
        if (isMove) look.soon();
      }
    },
  };
}

function head(job, look) {
  const again = () => these("redrive", [job], look.now);
  const cancel = () => these("cancel", [job], look.now);
  return h("header.job-head",
    h("div", h("p.crumbs", h("a", { href: "#/jobs" }, "Jobs"), " / ", h("a", { href: `#/jobs?type=${encodeURIComponent(job.type)}` }, job.type), job.parent && crumbs(job.parent)),
      h("h1", h("code", job.job_id), " ", copier(job.job_id, "Copy the id")), h("p", badge(job.status), job.cancel_requested && OVER.has(job.status) === false && h("span.quiet", " asked to stop"))),
    h("div.buttons", isPossible("redrive", job) && action("redrive", "Run again", again, job.status === "CANCELLED" ? "" : ".primary"), isPossible("cancel", job) && action("cancel", "Cancel", cancel)));
}

/** The reasons in the API's words: the nearest is the largest. */
function why({ status, reasons }) {
  return h(`section.why.${status.toLowerCase()}`, { "aria-label": "Why" }, reasons.map(({ text, until, action: advice }, at) =>
    h(at ? "p" : "p.first", text, until && [" ", ago(until)], advice && h("span.advice", ` → ${advice}`))));
}

function progress(now, trail) {
  const steps = trail.filter((step) => step.indent_level || trail.length > 1);
  return section("Progress", h("div.live-progress", bar(now), h("p", now.message, now.context && h("span.quiet", ` ${now.context}`))),
    steps.length > 0 && h("ol.trail", steps.map((step) => h("li", { vars: { "--level": String(Math.min(8, step.indent_level)) } }, h("span.quiet", clock(step.at)), " ", step.message))));
}

/** What was said while this page was open, the newest last. */
function remember(trail, { at, message, indent_level: level = 0 }) {
  const last = trail.at(-1);
  if (last?.message === message) return;
  trail.push({ at, message, indent_level: level });
  if (trail.length > TRAIL_MAX) trail.shift();
}

function failure({ code, message, field, attempt, at, trace }, place) {
  return h("div.failure",
    h("p", attempt ? h("span.quiet", `attempt ${attempt} · `) : null, h("span.code-word", code), field && [" in ", h("code", field)], at && h("span.quiet", " · ", ago(at))),
    h("p.message", message),
    trace && h("details", { "data-key": `trace:${place}`, open: place === 0 }, h("summary", "Stack"), h("pre.code", { tabindex: 0 }, trace)));
}

/** A failure that left nothing but its error, which is shown above. */
const isBare = ({ success, data, links }) => !success && !links.length && !data.result;

function results({ success, data, error, links }) {
  const hasMore = data.result !== undefined && data.result !== null;
  return section("Result",
    links.length > 0 && h("ul.links", links.map(({ href, url }) => h("li", h("a", { href, rel: "noreferrer", target: "_blank" }, url.split("/").at(-1)), " ", h("span.quiet", "link for 15 minutes")))),
    hasMore && json(data.result), Object.keys(data.details ?? {}).length > 0 && h("details", { "data-key": "details" }, h("summary", "Details"), json(data.details)),
    !hasMore && !links.length && success && h("p.quiet", "It gave nothing back."));
}

function documented(name, { problem, href }, value) {
  if (problem) return problem.status === 404 ? h("p.quiet", "It is no longer kept.") : notice(problem);
  if (href) return h("p", h("a", { href, rel: "noreferrer", target: "_blank" }, "Download"), h("span.quiet", " It is too large to be shown. The link holds for 15 minutes."));
  return [h("div.corner", copier(JSON.stringify(value, null, 2), `Copy the ${name}`)), json(value)];
}

function facts(job) {
  const rows = [
    ["Created", [ago(job.created_at), job.user_id && [" by ", job.user_id]]],
    ["Started", job.started_at && ago(job.started_at)],
    ["Ended", job.completed_at && [ago(job.completed_at), " after ", lasted(job.created_at, job.completed_at)]],
    ["Next attempt", job.next_attempt_at && !OVER.has(job.status) && ago(job.next_attempt_at)],
    ["Priority", job.priority !== "normal" && job.priority],
    ["Attempts", `${job.attempts} of ${job.attempts_max} spent`],
    ["Worker", job.worker_id && h("code", job.worker_id)],
    ["Kind of failure", job.fingerprint && h("a", { href: `#/jobs?error=${encodeURIComponent(job.fingerprint)}` }, h("code", job.fingerprint))],
    ["Result at", job.result_url && h("code", job.result_url)],
    ["Cost", job.cost_usd !== undefined && `about $${Number(job.cost_usd).toPrecision(2)}`],
    ["Metadata", job.metadata && Object.keys(job.metadata).length > 0 && json(job.metadata)],
  ];
  return section("Facts", h("dl", rows.filter(([, value]) => value).map(([name, value]) => h("div", h("dt", name), h("dd", value)))));
}

function moves(events) {
  return [h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Every move" }, h("table.moves", h("thead", h("tr", ["When", "What", "Who", "Note"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", events.map(({ at, event, who, note }) => h("tr", h("td", h("time", { datetime: at, title: at }, clock(at))), h("td", event.replaceAll("_", " ")), h("td", who), h("td", note ?? "")))))),
  h("p.quiet.fine", `${many(events.length, "move")}; the first `, ago(events[0]?.at), ".")];
}
