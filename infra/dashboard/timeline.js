// The attempts of a job on one scale: how long each waited, how long it ran, how it ended.

import { ago, duration, h, section } from "./dom.js";

const STARTS = new Set(["claim", "claim_bare", "reclaim", "start"]);

const ENDS = {
  succeed: "success", succeed_partly: "partial_success", fail: "failed", bury: "failed", retry: "failed", cancelled: "cancelled",
  snooze: "queued", proceed: "running", wait: "waiting", reclaim: "failed", expire: "failed", cancel: "cancelled",
};

const WORDS = {
  succeed: "succeeded", succeed_partly: "succeeded partly", fail: "failed", bury: "its worker died", reclaim: "its worker died", retry: "failed, tried again",
  snooze: "put off", proceed: "went on in another run", wait: "waited for its children", cancelled: "stopped", expire: "ran out of time", cancel: "cancelled",
};

const RUNS_MAX = 40;

/** Runs: {number, from, until, waitedFrom, event, note}; `until` is missing for one that goes on. */
export function runsOf(events) {
  const runs = [];
  let waitedFrom = null;
  let open = null;
  for (const { at, event, note, who } of events) {
    const time = Date.parse(at);
    if (open && ENDS[event]) {
      Object.assign(open, { until: time, event, note });
      open = null;
      waitedFrom = time;
    }
    if (STARTS.has(event)) {
      open = { number: runs.length + 1, from: time, at, waitedFrom: event === "reclaim" ? null : waitedFrom, who };
      runs.push(open);
    } else if (event !== "request_cancel") waitedFrom = time;
  }
  return runs;
}

export function timeline(events, status) {
  const runs = runsOf(events);
  if (!runs.length) return [];
  const first = Math.min(...runs.map((run) => run.waitedFrom ?? run.from));
  const last = Math.max(first + 1, ...runs.map((run) => run.until ?? Date.now()));
  const hidden = Math.max(0, runs.length - RUNS_MAX);
  const share = (from, until) => ({ "--from": `${100 * (from - first) / (last - first)}%`, "--width": `${100 * (until - from) / (last - first)}%` });
  return section("Runs", h("p.quiet.fine", `${duration(last - first)} in all, from `, ago(new Date(first).toISOString()), hidden > 0 && `; the first ${hidden} are left out`),
    h("ol.timeline", runs.slice(hidden).map((run) => lane(run, share, last, status))));
}

function lane(run, share, last, status) {
  const until = run.until ?? last;
  const kind = ENDS[run.event] ?? "running";
  const word = WORDS[run.event] ?? (status === "RUNNING" ? "running" : "goes on");
  const waited = run.waitedFrom === null ? 0 : run.from - run.waitedFrom;
  return h(`li.${kind}`,
    h("span.run", h("b", `#${run.number}`), " ", word),
    h("span.lane", { "aria-hidden": "true" }, waited > 0 && h("span.wait", { vars: share(run.waitedFrom, run.from) }), h("span.ran", { vars: share(run.from, until) })),
    h("span.took", duration(until - run.from), waited > 0 && h("span.quiet", ` after ${duration(waited)}`)),
    run.note && h("span.note", run.note));
}
