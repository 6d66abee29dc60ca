// Jobs that come again and again: what is due next, what ran last, and a form that shows the times while one types.

import { ask, get, post } from "./api.js";
import { ago, h, notice, put, section, toast } from "./dom.js";
import { later } from "./later.js";
import { current, may, signal } from "./session.js";

const AGAIN_MS = 10_000;
const TYPED_MS = 300;

const CHANGES = {
  run: { title: "Run now", role: "producer", done: "Submitted.", text: "A job is submitted now, beside those that are due." },
  pause: { title: "Pause", role: "operator", done: "Paused.", text: "Nothing is submitted until it is resumed. What is due meanwhile is not made up for." },
  resume: { title: "Resume", role: "operator", done: "Resumed.", text: "It is due from now on." },
  delete: { title: "Delete", role: "operator", done: "Deleted.", text: "It submits nothing more. Its jobs stay as they are.", kind: ".danger" },
};

export function schedules({ leave }) {
  const list = h("div");
  const look = later(async () => {
    const { schedules: found } = await get("/schedules", leave);
    put(list, found, () => found.length ? table(found, look) : empty());
    look.soon();
  }, AGAIN_MS, leave);
  return { title: "Schedules", node: h("div.view", h("h1.unseen", "Schedules"), list, form(look, leave)), look };
}

const empty = () => h("section", h("h1", "No schedules yet."), h("p.quiet", "A schedule submits a job again and again, by a cron line in a time zone, or once later. Add one below, or with ",
  h("code", "longshore schedule add"), "."));

function table(found, look) {
  const heads = ["Schedule", "When", "Next", "Last run", "State", ""];
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Schedules" }, h("table.types.schedules", h("thead", h("tr", heads.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", found.map((one) => h("tr", { "data-id": one.schedule_id },
      h("th", { scope: "row" }, one.name, h("p.quiet.fine", one.type, " · ", h("code", one.schedule_id))),
      h("td", h("code", one.cron ?? "once"), h("p.quiet.fine", one.timezone)),
      h("td", one.next_at ? moment(one.next_at, one.timezone) : h("span.quiet", "–")),
      h("td", one.last ? h("a", { href: `#/jobs/${encodeURIComponent(one.last.job_id)}` }, ago(one.last.due_at)) : h("span.quiet", "–"), one.skipped && h("p.quiet.fine", "left out ", ago(one.skipped.due_at), ": ", one.skipped.reason)),
      h("td", h(`span.badge.${{ active: "success", paused: "waiting" }[one.state] ?? "cancelled"}`, one.state)),
      h("td", h("div.buttons", ["run", one.state === "paused" ? "resume" : "pause", "delete"].map((verb) => button(verb, one, look)))))))));
}

function moment(at, timeZone) {
  const local = new Intl.DateTimeFormat(undefined, { timeZone, dateStyle: "medium", timeStyle: "short" }).format(new Date(at));
  return [local, h("p.quiet.fine", at.slice(0, 16).replace("T", " "), " UTC · ", ago(at))];
}

function button(verb, one, look) {
  const { title, role } = CHANGES[verb];
  const isOver = one.state === "done" && verb === "pause";
  const why = may(role) ? null : `This takes the role ${role}; your token has ${current()?.role ?? "none"}.`;
  return h("button.small", { type: "button", disabled: Boolean(why) || isOver, title: why, "data-key": `${verb}:${one.schedule_id}`, onclick: () => sure(verb, one, look) }, title);
}

function sure(verb, one, look) {
  const { title, text, done, kind = ".primary" } = CHANGES[verb];
  const path = `/schedules/${encodeURIComponent(one.schedule_id)}`;
  const go = h(`button${kind}`, { type: "submit" }, title);
  const dialog = h("dialog", { "aria-label": `${title}?`, onclose: () => dialog.remove() }, h("form", { method: "dialog", onsubmit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    await (verb === "delete" ? ask("DELETE", path) : post(`${path}/${verb}`)).then(() => toast(done), (problem) => toast(problem.message, "bad"));
    dialog.close();
    look.now();
  } }, h("h2", `${title}?`), h("p", h("b", one.name), " ", h("code", one.schedule_id)), h("p.quiet", text),
  h("div.buttons", h("button", { type: "button", onclick: () => dialog.close() }, "No"), go)));
  signal().addEventListener("abort", () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
  go.focus();
}

function form(look, leave) {
  const field = (label, input) => h("label", h("span", label), input);
  const text = (name, value, more) => h("input", { type: "text", name, value, required: true, spellcheck: "false", autocomplete: "off", ...more });
  const select = (name, words) => h("select", { name }, words.map(([value, word]) => h("option", { value }, word)));
  const zones = h("datalist", { id: "zones" }, Intl.supportedValuesOf("timeZone").map((zone) => h("option", { value: zone })));
  const kind = select("kind", [["cron", "repeat"], ["at", "once"]]);
  const cron = text("cron", "0 3 * * *", { "aria-label": "Cron line" });
  const at = h("input", { type: "datetime-local", name: "at", "aria-label": "Moment", hidden: true });
  const type = h("select", { name: "type" });
  const next = h("div.next", { role: "status" });
  const problem = h("div");
  const add = h("button.primary", { type: "submit", disabled: !may("producer"), title: may("producer") ? null : "This takes the role producer." }, "Add");
  const when = () => kind.value === "cron" ? { cron: cron.value, timezone: made.elements.timezone.value } : { at: at.value && new Date(at.value).toISOString(), timezone: made.elements.timezone.value };
  const show = async () => {
    const asked = JSON.stringify(when());
    const told = await post("/schedules/preview", JSON.parse(asked), leave).catch((wrong) => ({ wrong }));
    if (asked !== JSON.stringify(when()) || told.wrong?.name === "AbortError") return;
    put(next, told.wrong?.message ?? told, () => told.wrong ? h("p.code-word", told.wrong.message) : [h("h2", "Next times"), h("ol", told.times.map((one) => h("li", h("b", one.local.slice(0, 16).replace("T", " ")), h("span.quiet", ` ${one.local.slice(19)} · ${one.at.slice(0, 16).replace("T", " ")} UTC`))))]);
  };
  let typed = 0;
  const made = h("form.schedule", {
    oninput: () => {
      cron.hidden = kind.value !== "cron";
      at.hidden = !cron.hidden;
      cron.required = !cron.hidden;
      at.required = cron.hidden;
      clearTimeout(typed);
      typed = setTimeout(show, TYPED_MS);
    },
    onsubmit: async (event) => {
      event.preventDefault();
      const { name, missed, overlap, payload } = made.elements;
      try {
        const fields = JSON.parse(payload.value || "{}");
        await post("/schedules", { ...when(), name: name.value, missed: missed.value, overlap: overlap.value, payload: { type: type.value, ...fields } });
        problem.replaceChildren();
        toast("Added.");
        look.now();
      } catch (wrong) {
        problem.replaceChildren(notice(wrong));
      }
    },
  },
  h("div.fields", field("Name", text("name", "", { placeholder: "nightly backup", maxlength: 128 })), field("Job type", type), field("When", h("span.pair", kind, cron, at)),
    field("Time zone", text("timezone", Intl.DateTimeFormat().resolvedOptions().timeZone, { list: "zones" })),
    field("Late runs", select("missed", [["once", "one for all"], ["skip", "none"], ["all", "all, the last ten"]])),
    field("While the last still runs", select("overlap", [["allow", "start beside it"], ["skip", "leave out"], ["cancel_previous", "cancel it"]])),
    field("Fields of the payload, as JSON", h("textarea", { name: "payload", rows: 4, spellcheck: "false", placeholder: '{"database": "secret://shop"}' }))),
  next, problem, h("div.buttons", add), zones);
  leave.addEventListener("abort", () => clearTimeout(typed));
  get("/types", leave).then(({ types }) => type.replaceChildren(...types.map((one) => h("option", { value: one.type }, one.type))), () => {});
  show();
  return section("Add a schedule", made);
}
