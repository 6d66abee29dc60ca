// What changes something: always asked first, in a dialog that says how many; the history of each job says who.

import { ask, get, path, post, query } from "./api.js";
import { h, many, number, toast } from "./dom.js";
import { current, may, signal } from "./session.js";

const AT_ONCE = 4;
const REQUESTS_MAX = 500;

const VERBS = {
  redrive: { title: "Run again", doing: "Running again", done: "will run again", button: "primary", statuses: ["FAILED", "PARTIAL_SUCCESS", "CANCELLED"] },
  canary: { title: "Try one, then ten, then all", doing: "Beginning", done: "has begun", button: "primary", noun: "careful redrive", statuses: [] },
  retry: { title: "Send again", doing: "Sending", done: "sent", button: "primary", noun: "message", statuses: [] },
  resume: { title: "Go on", doing: "Waking", done: "ended", button: "primary", noun: "pause", statuses: [] },
  cancel: { title: "Cancel", doing: "Cancelling", done: "cancelled", button: "danger", statuses: ["QUEUED", "RUNNING", "WAITING"] },
};

/** A button that is there for everybody, and works for operators. */
export function action(verb, label, act, kind = "") {
  const isAllowed = may("operator");
  return h(`button${kind}`, {
    type: "button", onclick: act, disabled: !isAllowed, "data-key": `${verb}:${label}`,
    title: isAllowed ? null : `This takes the role operator; your token has ${current()?.role ?? "none"}.`,
  }, label);
}

export const isPossible = (verb, job) => VERBS[verb].statuses.includes(job.status);

/** These jobs, one request each. */
export function these(verb, jobs, after) {
  const possible = jobs.filter((job) => isPossible(verb, job));
  if (!possible.length) return toast(`None of them can be ${verb === "redrive" ? "run again" : "cancelled"} now.`, "bad");
  const count = many(possible.length, "job");
  const left = jobs.length - possible.length;
  const [only] = possible;
  const text = possible.length === 1 ? [h("b", only.type), " ", h("code", only.job_id)]
    : [h("b", count), left ? `; ${many(left, "other")} of the ${number(jobs.length)} chosen ${left === 1 ? "is" : "are"} in no state for it` : "", "."];
  if (possible.some((job) => job.type === "flow" || (verb === "cancel" && job.children?.length))) text.push(h("p", WITH_CHILDREN[verb]));
  return confirm(verb, text, count, async (tell, leave) => {
    const problems = [];
    let done = 0;
    const queue = [...possible];
    const worker = async () => {
      for (let job = queue.shift(); job && !leave.aborted; job = queue.shift()) {
        await post(path(job.job_id, `/${verb}`), undefined, leave).then(() => { done += 1; }, (problem) => problems.push(problem));
        tell(`${number(done)} of ${count}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return { done, problems };
  }, after);
}

/** The newest `limit` that match. */
export async function newest(verb, filter, limit, after) {
  const { jobs } = await get(`/jobs${query({ ...filter, limit })}`);
  return these(verb, jobs, after);
}

/** All that match: counted first, then done by the API, 200 at a time, where the cursor goes on. */
export function all(verb, filter, after) {
  const { status, ...rest } = filter;
  const wanted = { ...rest, ...(status ? { status: status.split(",") } : {}) };
  const count = h("b", "counting …");
  const counted = h("p", count, " ", h("span.quiet", "match now."));
  const run = (dryRun, tell, leave) => bulk(verb, wanted, dryRun, tell, leave);
  return confirm(verb, counted, "all that match", (tell, leave) => run(false, tell, leave), after, (leave) =>
    run(true, (text) => { count.textContent = `${text} …`; }, leave).then(({ matched, isMore }) => {
      count.textContent = `${isMore ? "more than " : ""}${many(matched, "job")}`;
      return matched;
    }));
}

/** One of a kind, then ten, then all, by a job of its own, which is shown. */
export function carefully({ type, error }) {
  const text = h("p", "Failures of this kind of ", h("b", type), ", the newest first: one; ten when it went well; then all, in waves.");
  return confirm("canary", text, "1 job", async (_, leave) => {
    const { job_id: jobId } = await ask("POST", "/bulk/redrive", { filter: { type, error }, canary: true }, leave);
    location.hash = `#/jobs/${encodeURIComponent(jobId)}`;
    return { done: 1, problems: [] };
  });
}

/** What is paused goes on; the API wakes some thousands at a time. */
export function resume(pause, after) {
  return confirm("resume", h("b", pause.type ?? "all types"), "1 pause", async (tell, leave) => {
    let [done, left] = [0, 1];
    for (let turn = 0; left && turn < REQUESTS_MAX; turn += 1) {
      const told = await ask("DELETE", `/pauses/${encodeURIComponent(pause.pause_id)}`, undefined, leave);
      [done, left] = [done + told.woken, told.left];
      tell(many(done, "job"));
    }
    return { done: 1, problems: [] };
  }, after);
}

/** What is in quarantine. */
export function sendAgain(item, after) {
  return confirm("retry", [h("b", item.source), " ", h("code", item.id)], "1 message", async (tell, leave) => {
    await post(`/quarantine/${encodeURIComponent(item.id)}/retry`, undefined, leave);
    return { done: 1, problems: [] };
  }, after);
}

async function bulk(verb, filter, dryRun, tell, leave) {
  const sum = { matched: 0, done: 0, problems: [], isMore: false };
  let cursor;
  for (let turn = 0; turn < REQUESTS_MAX; turn += 1) {
    const page = await ask("POST", `/bulk/${verb}`, { filter, dry_run: dryRun, first: sum.done, ...(cursor ? { cursor } : {}) }, leave);
    sum.matched += page.matched;
    sum.done += page.changed;
    sum.problems.push(...page.problems.map((problem) => new Error(problem.detail)));
    tell(number(dryRun ? sum.matched : sum.done));
    ({ cursor } = page);
    if (!cursor) return sum;
  }
  return { ...sum, isMore: true };
}

function confirm(verb, text, count, run, after, prepare) {
  const { title, doing, button } = VERBS[verb];
  const leave = new AbortController();
  signal().addEventListener("abort", () => dialog.close(), { once: true });
  const state = h("p.quiet", { role: "status" });
  const go = h(`button.${button}`, { type: "submit", disabled: Boolean(prepare), "data-key": "confirm" }, title);
  const stay = h("button", { type: "button", onclick: () => dialog.close() }, "No");
  const form = h("form", { method: "dialog", onsubmit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    stay.textContent = "Stop";
    try {
      const outcome = await run((told) => { state.textContent = `${doing}: ${told}`; }, leave.signal);
      tellOutcome(outcome, verb);
    } catch (problem) {
      if (problem.name !== "AbortError") toast(problem.message, "bad");
    }
    dialog.close();
    after?.();
  } }, h("h2", `${title}?`), h("div", text), h("p.quiet", EXPLAINED[verb], verb !== "retry" && ` The history will say that it was ${current()?.user}.`), state, h("div.buttons", stay, go));
  const dialog = h("dialog", { "aria-label": `${title}?`, onclose: () => { leave.abort(); dialog.remove(); } }, form);
  document.body.append(dialog);
  dialog.showModal();
  go.focus();
  prepare?.(leave.signal).then((matched) => {
    go.disabled = !matched;
    go.textContent = matched ? `${title}: ${number(matched)}` : title;
    go.focus();
  }).catch((problem) => { state.textContent = problem.name === "AbortError" ? "" : problem.message; });
  if (!prepare && !count.startsWith("1 ")) go.textContent = `${title}: ${count}`;
}

const EXPLAINED = {
  resume: "The jobs that have come meanwhile are woken, the first to come first.",
  canary: "It stops by itself when the same failure is back, and then leaves the others alone.",
  retry: "It is read anew, and becomes a job if it can be read now; else it stays here.",
  redrive: "All attempts are given anew; what was done and kept is not done again.",
  cancel: "What waits is cancelled at once; what runs is asked to stop.",
};

const WITH_CHILDREN = {
  redrive: "Of a flow just those steps and jobs run again that failed, were cancelled or never ran; what succeeded stays.",
  cancel: "All that it has started is cancelled with it.",
};

function tellOutcome({ done, problems }, verb) {
  const { done: word, noun = "job" } = VERBS[verb];
  if (done) toast(`${many(done, noun)} ${word}.`);
  if (problems.length) toast(`${many(problems.length, noun)} could not: ${problems[0].message}`, "bad");
  if (!done && !problems.length) toast("Nothing matched any more.", "bad");
}
