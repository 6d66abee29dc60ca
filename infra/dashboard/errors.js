// Failures by kind: the same code, the same message but for its particulars.

import { get, query } from "./api.js";
import { h, many, number, put } from "./dom.js";
import { later } from "./later.js";
import { card } from "./overview.js";

const LOOKS_MAX = 5;

export function errors({ leave, params }) {
  const list = h("div");
  const type = params.get("type") ?? "";
  const look = later(async () => {
    const found = await gathered(type, leave);
    put(list, found, () => show(found, look));
  }, 15_000, leave);
  return { title: "Failures", node: h("div.view", list), look, hear: (events) => { if (events.some((event) => event.event === "failed")) look.soon(); } };
}

/** Of the newest 10,000 jobs. */
async function gathered(type, leave) {
  const groups = new Map();
  let lookedAt = 0;
  let cursor;
  for (let turn = 0; turn < LOOKS_MAX; turn += 1) {
    const page = await get(`/errors${query({ type, cursor })}`, leave);
    lookedAt += page.looked_at;
    for (const group of page.groups) {
      const key = `${group.type} ${group.fingerprint}`;
      const seen = groups.get(key);
      groups.set(key, seen ? { ...seen, count: seen.count + group.count, oldest_at: group.oldest_at < seen.oldest_at ? group.oldest_at : seen.oldest_at } : group);
    }
    ({ cursor } = page);
    if (!cursor) break;
  }
  return { groups: [...groups.values()].sort((one, other) => other.count - one.count), lookedAt, isMore: Boolean(cursor) };
}

function show({ groups, lookedAt, isMore }, look) {
  const bound = isMore ? `, among the newest ${number(lookedAt)} jobs` : "";
  if (!groups.length) return h("section.calm", h("h1", "No failures."), h("p.quiet", `Nothing is failed${bound || " now"}.`));
  const failed = groups.reduce((sum, group) => sum + group.count, 0);
  return [h("h1", `${many(failed, "failure")} of ${many(groups.length, "kind")}`, h("span.quiet", bound)), h("ol.groups", groups.map((group) => card(group, look)))];
}
