// Jobs as rows: shown, chosen, walked through by keyboard, and kept up to date in place.

import { ago, badge, bar, h, lasted } from "./dom.js";
import { isNewer, merged } from "./live.js";

const ROWS_MAX = 50;

export class Rows {
  /** `onChoose()` after the choice has changed; without it nothing can be chosen. */
  constructor({ label, onChoose }) {
    this.onChoose = onChoose;
    this.jobs = new Map();
    this.elements = new Map();
    this.chosen = new Set();
    this.body = h("tbody");
    const heads = ["Status", "Type", "What", "Attempts", "Created", "Took"].map((name) => h("th", { scope: "col" }, name));
    this.everyone = onChoose && h("input", { type: "checkbox", "aria-label": "Choose all that are shown", onchange: ({ target }) => this.chooseAll(target.checked) });
    this.node = h("table.jobs", { "aria-label": label }, h("thead", h("tr", onChoose && h("th.pick", this.everyone), heads)), this.body);
  }

  set(jobs) {
    const before = this.jobs;
    this.jobs = new Map(jobs.slice(0, ROWS_MAX).map((job) => [job.job_id, keepNewer(before.get(job.job_id), job)]));
    const rows = [...this.jobs.values()].map((job) => before.get(job.job_id) === job ? this.elements.get(job.job_id) : this.make(job));
    const focused = this.focused();
    this.elements = new Map([...this.jobs.keys()].map((id, at) => [id, rows[at]]));
    this.chosen = new Set([...this.chosen].filter((id) => this.jobs.has(id)));
    if (rows.length !== this.body.children.length || rows.some((row, at) => row !== this.body.children[at])) this.body.replaceChildren(...rows);
    if (focused) this.focus(focused);
    this.onChoose?.();
  }

  /** → is there an event of a job that is not shown? */
  apply(events) {
    let isUnknown = false;
    for (const event of events) {
      const job = this.jobs.get(event.job_id);
      if (!job) isUnknown = true;
      else if (isNewer(event.version, job.version)) this.replace(merged(job, event));
    }
    return isUnknown;
  }

  replace(job) {
    const focused = this.focused() === job.job_id;
    const row = this.make(job);
    this.elements.get(job.job_id).replaceWith(row);
    this.elements.set(job.job_id, row);
    this.jobs.set(job.job_id, job);
    if (focused) this.focus(job.job_id);
    this.onChoose?.();
  }

  make(job) {
    const id = job.job_id;
    return h("tr", { "data-id": id, "data-status": job.status },
      this.onChoose && h("td.pick", h("input", { type: "checkbox", checked: this.chosen.has(id), "aria-label": `Choose ${id}`, onchange: ({ target }) => this.choose(id, target.checked) })),
      h("td.status", badge(job.status)),
      h("td.type", h("a", { href: `#/jobs/${encodeURIComponent(id)}`, "data-key": id, title: id }, job.type), h("code.id", job.parent ? `#${job.parent.index}` : brief(id))),
      h("td.what", what(job)),
      h("td.attempts", `${job.attempts}/${job.attempts_max}`),
      h("td.created", ago(job.created_at)),
      h("td.took", job.started_at ? lasted(job.started_at, job.completed_at ?? (job.status === "RUNNING" ? null : job.updated_at)) : h("span.quiet", "–")));
  }

  choose(id, isChosen) {
    this.chosen[isChosen ? "add" : "delete"](id);
    this.onChoose();
  }

  chooseAll(isChosen) {
    this.chosen = new Set(isChosen ? this.jobs.keys() : []);
    for (const box of this.body.querySelectorAll("input")) box.checked = isChosen;
    this.everyone.checked = isChosen;
    this.onChoose();
  }

  selection() {
    return [...this.chosen].map((id) => this.jobs.get(id));
  }

  focused() {
    return document.activeElement?.closest?.("tr")?.parentNode === this.body ? document.activeElement.closest("tr").dataset.id : undefined;
  }

  focus(id) {
    this.elements.get(id)?.querySelector("a").focus();
  }

  /** j and k: the next or the one before, from the top if none has the focus. */
  step(by) {
    const ids = [...this.jobs.keys()];
    const at = ids.indexOf(this.focused());
    this.focus(ids[at < 0 ? 0 : Math.max(0, Math.min(ids.length - 1, at + by))]);
  }

  /** The job that has the focus. */
  here() {
    return this.jobs.get(this.focused());
  }

  toggle() {
    this.elements.get(this.focused())?.querySelector("input")?.click();
  }
}

/** `seen` may be newer than what a list says: lists are eventually consistent. */
function keepNewer(seen, job) {
  if (!seen || isNewer(job.version, seen.version)) return job;
  return isNewer(seen.version, job.version) || !seen.isOfEvent ? seen : job;
}

/** The end of an id tells more than its beginning, which is the time. */
const brief = (id) => id.length > 22 ? `…${id.slice(-12)}` : id;

function what(job) {
  if (job.status === "RUNNING" && job.progress) return [bar(job.progress), h("span.quiet", job.progress.message)];
  if (job.error && job.status !== "SUCCESS") return [h("span.code-word", job.error.code), " ", job.error.message];
  if (job.next_attempt_at && Date.parse(job.next_attempt_at) > Date.now()) return h("span.quiet", "due ", ago(job.next_attempt_at));
  const said = job.metadata?.item_id ?? job.progress?.message ?? job.user_id;
  return h("span.quiet", said === undefined ? "" : String(said));
}
