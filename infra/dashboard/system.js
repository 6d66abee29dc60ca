// For whoever looks after the stack: how deep its queues are, what could not be read, what the last audit found.

import { action, sendAgain } from "./actions.js";
import { get } from "./api.js";
import { ago, h, many, notice, number, put, section } from "./dom.js";
import { later } from "./later.js";

const AGAIN_MS = 10_000;

export function system({ leave }) {
  const [queues, quarantine, audit] = [h("div"), h("div"), h("div")];
  const ask = async (path, place, make) => {
    const told = await get(path, leave).catch((problem) => {
      if (problem.name === "AbortError") throw problem;
      return { problem, status: problem.status };
    });
    put(place, told, () => told.problem ? refused(told.problem) : make(told));
  };
  const look = later(async () => {
    await Promise.all([ask("/queues", queues, depths), ask("/quarantine", quarantine, (told) => kept(told, look)), ask("/audit", audit, report)]);
    look.soon();
  }, AGAIN_MS, leave);
  return { title: "System", node: h("div.view", h("h1.unseen", "System"), section("Queues", queues), section("Quarantine", quarantine), section("The last audit", audit)), look };
}

const refused = (problem) => problem.code === "no_report" ? h("p.quiet", "There has been none yet.") : notice(problem);

function depths({ queues, dead_letters: dead }) {
  const cell = (value) => h(`td.number${value ? "" : ".zero"}`, number(value));
  const heads = ["Queue", "Waiting", "In flight", "Delayed"];
  return [h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Queues" }, h("table.types", h("thead", h("tr", heads.map((name, at) => h(at ? "th.number" : "th", { scope: "col" }, name)))),
    h("tbody", queues.map((one) => h("tr", h("th", { scope: "row" }, one.type, one.lane && h("span.quiet", ` ${one.lane}`)), cell(one.waiting), cell(one.in_flight), cell(one.delayed)))))),
  h("p.quiet.fine", dead ? h("span.code-word", many(dead, "dead letter")) : "No dead letters", ". They go back to their queues by themselves. SQS counts up to a minute late.")];
}

function kept({ items }, look) {
  if (!items.length) return h("p.quiet", "Nothing: whatever came could be read.");
  return h("ol.groups", items.map((item) => h("li.group.plain",
    h("div.said", h("p", h("span.code-word", item.reason)), h("p.quiet", item.source, " · ", ago(item.at)), item.body && h("details", { "data-key": item.id }, h("summary", "How it begins"), h("pre.code", { tabindex: 0 }, item.body))),
    h("div.buttons", action(item.id, "Send again", () => sendAgain(item, look.now))))));
}

function report(found) {
  const facts = [["Started", ago(found.started_at)], ["Rows", number(found.rows)], ["Accepted, in the hours compared", number(found.accepted)],
    ["Of them finished", number(found.finished)], ["Of them alive", number(found.alive)], ["Repaired", number(found.repaired)], ["Unreadable", number(found.unreadable)]];
  return [h("p", found.is_clean ? "Everything adds up." : h("span.code-word", `${many(found.differences.length, "hour")} with a difference, ${many(Object.values(found.problems).reduce((sum, one) => sum + one, 0), "job")} overdue`)),
    h("dl", facts.map(([name, value]) => h("div", h("dt", name), h("dd", value))))];
}
