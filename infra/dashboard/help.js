// The keys.

import { h } from "./dom.js";

const KEYS = [
  ["j  k", "the next row, the one before"], ["Enter", "open it"], ["Esc", "back; let go of what is chosen"], ["/", "search"],
  ["x", "choose the row"], ["r", "run again"], ["c", "cancel"], ["1  2  3  4", "overview, jobs, failures, schedules; 5: the system"], ["t", "light or dark"], ["?", "these keys"],
];

export function help() {
  const dialog = h("dialog", { "aria-label": "Keys", onclose: () => dialog.remove() }, h("form", { method: "dialog" },
    h("h2", "Keys"), h("dl.keys", KEYS.map(([keys, what]) => h("div", h("dt", keys.split("  ").map((key) => h("kbd", key))), h("dd", what)))),
    h("div.buttons", h("button", "Close"))));
  document.body.append(dialog);
  dialog.showModal();
}
