// Signing in: a token is pasted, and stays in this tab.

import { h } from "./dom.js";

export function welcome(session) {
  const problem = h("p.notice", { role: "alert", hidden: !session.problem }, session.problem);
  const field = h("textarea", { name: "token", rows: 4, required: true, spellcheck: "false", autocomplete: "off", "aria-label": "Token", placeholder: "eyJ…" });
  const form = h("form.welcome", { onsubmit: (event) => {
    event.preventDefault();
    const why = session.signIn(field.value.trim().replace(/^Bearer /i, ""));
    problem.textContent = why;
    problem.hidden = !why;
  } },
  h("h1", "Sign in"), problem,
  h("p", "Paste a token of your tenant. It stays in this tab and is forgotten with it."), field,
  h("div.buttons", h("button.primary", { type: "submit" }, "Sign in")),
  h("p.quiet", "On this machine, the link that ", h("code", "longshore up"), " prints signs you in. In the cloud, tokens come from your OpenID provider; with ",
    h("code", "/#token=…"), " a page of yours can hand one over."));
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); form.requestSubmit(); } });
  return { title: "Sign in", node: form, focus: () => field.focus() };
}
