// Light or dark: as the machine says, until a person says otherwise.

import { h } from "./dom.js";

const KEPT = "longshore.theme";
const root = document.documentElement;

const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

export function applyTheme() {
  const kept = localStorage.getItem(KEPT);
  if (kept) root.dataset.theme = kept;
}

export function turnTheme() {
  root.dataset.theme = isDark() ? "light" : "dark";
  localStorage.setItem(KEPT, root.dataset.theme);
}

export function themeButton(after) {
  return h("button.quiet.icon", { type: "button", "aria-label": "Light or dark", title: "Light or dark (t)", "data-key": "theme", onclick: () => { turnTheme(); after(); } }, "◐");
}
