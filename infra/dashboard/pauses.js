// What is paused: above everything else, since it explains why nothing happens.

import { action, resume } from "./actions.js";
import { get } from "./api.js";
import { ago, h, put } from "./dom.js";
import { later } from "./later.js";

const AGAIN_MS = 10_000;

export function pauses(leave) {
  const node = h("div");
  const look = later(async () => {
    const told = await get("/pauses", leave);
    put(node, told, () => told.pauses.map((one) => banner(one, look)));
    look.soon();
  }, AGAIN_MS, leave);
  return { node, look };
}

function banner(pause, look) {
  const what = pause.type ?? "Every type of job";
  const by = [" since ", ago(pause.since), ` by ${pause.who}`, pause.reason && `: ${pause.reason}`];
  return h("p.notice.paused", { role: "status" }, h("span", h("b", what), pause.is_resuming ? " is going on" : " is paused", by), action(pause.pause_id, "Go on", () => resume(pause, look.now)));
}
