// The jobs that a job has started: those of one of its steps, a page at a time.

import { get, path, query } from "./api.js";
import { OVER, h, many } from "./dom.js";
import { childrenOf } from "./flow.js";
import { later } from "./later.js";
import { Rows } from "./rows.js";

const PAGE = 50;
const PAGES_MAX = 20;
const AGAIN_MS = 3000;

const TABS = [["", "All"], ["FAILED,CANCELLED", "Failed"], ["QUEUED,RUNNING,WAITING", "Not over"], ["SUCCESS,PARTIAL_SUCCESS", "Succeeded"]];

export function children({ leave, id, params }) {
  const [step, status, cursor] = ["step", "status", "cursor"].map((name) => params.get(name) ?? "");
  const rows = new Rows({ label: `Jobs of ${step}` });
  const state = h("p.quiet", { role: "status" }, "Looking …");
  const head = h("header", h("p.crumbs", h("a", { href: "#/jobs" }, "Jobs"), " / ", h("a", { href: `#${path(id)}` }, "parent"), " / ", step), h("h1", step ? `Jobs of ${step}` : "Children"));
  const foot = h("nav.pages", { "aria-label": "Pages" });
  let isAlive = true;

  const look = later(async () => {
    const [parent, found] = await Promise.all([get(path(id), leave), page(id, { step, status, cursor }, leave)]);
    rows.set(found.jobs);
    isAlive = !OVER.has(parent.status) || found.jobs.some((job) => !OVER.has(job.status));
    const total = parent.children.filter((group) => !step || group.step === step).reduce((sum, group) => sum + group.total, 0);
    state.textContent = found.jobs.length ? `${many(found.jobs.length, "job")} here, of ${many(total, "job")} in all.` : found.cursor ? "None so far: go on." : "There are no such jobs.";
    foot.replaceChildren(...[cursor && h("a", { href: childrenOf(id, step, status) }, "First"), found.cursor && h("a", { href: `#${path(id)}/children${query({ step, status, cursor: found.cursor })}` }, "Next")].filter(Boolean));
  }, AGAIN_MS, leave);

  const timer = setInterval(() => { if (isAlive && document.visibilityState === "visible") look.now(); }, AGAIN_MS);
  leave.addEventListener("abort", () => clearInterval(timer));

  const tabs = h("nav.tabs", { "aria-label": "Status" }, TABS.map(([value, name]) => h("a", { href: childrenOf(id, step, value), "aria-current": status === value ? "true" : null }, name)));
  return { title: step ? `Jobs of ${step}` : "Children", node: h("div.view", head, tabs, rows.node, state, foot), look, rows, hear: (events) => { rows.apply(events); } };
}

/** A page with something in it, or where to go on. */
async function page(id, wanted, leave) {
  let { cursor } = wanted;
  for (let turn = 0; turn < PAGES_MAX; turn += 1) {
    const found = await get(`${path(id)}/children${query({ ...wanted, cursor, limit: PAGE })}`, leave);
    ({ cursor } = found);
    if (found.children.length || !cursor) return { jobs: found.children, cursor };
  }
  return { jobs: [], cursor };
}
