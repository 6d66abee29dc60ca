// Looking again, but not more often than is good: at once when a person asks, at a pace when events do.

import { toast } from "./dom.js";

/** `now()` looks; `soon()` looks within `pace` ms, however often it is called. One look at a time, and the last word counts. */
export function later(look, pace, leave) {
  let timer = 0;
  let running;
  let isStale = false;
  const now = async () => {
    clearTimeout(timer);
    timer = 0;
    if (running) { isStale = true; return running; }
    running = look().catch((problem) => { if (problem.name !== "AbortError") toast(problem.message, "bad"); });
    await running;
    running = undefined;
    if (isStale && !leave.aborted) { isStale = false; soon(); }
    return undefined;
  };
  const soon = () => { if (!timer && !leave.aborted) timer = setTimeout(now, pace); };
  leave.addEventListener("abort", () => clearTimeout(timer));
  return { now, soon };
}
