// A flow as a graph: each step a box, to the right of all that it needs; what leads on, lines. And the children of a job.

import { path, query } from "./api.js";
import { badge, h, lasted, many, number, section, svg } from "./dom.js";

const BOX = { width: 196, height: 82 };
const GAP = { x: 44, y: 14 };
const ROWS_CENTRED = 8;

export const childrenOf = (id, step, status) => `#${path(id)}/children${query({ step, status })}`;

export function graph(flow) {
  const { boxes, width, height } = placed(flow.steps);
  const over = flow.steps.filter(({ state }) => state !== "PENDING" && state !== "RUNNING").length;
  const { total, left, failed } = flow.counts;
  return [
    section("Steps", h("p.fine.quiet", `${over} of ${many(flow.steps.length, "step")} over, ${flow.percent} %. ${total ? `Of ${many(total, "job")} that it has begun ${number(total - left)} are over${failed ? `, ${number(failed)} failed` : ""}.` : ""}`,
      width > 320 && h(`span.hint${width > 1180 ? ".always" : ""}`, " Scroll sideways for more.")),
    h("div.graph", { tabindex: 0, role: "region", "aria-label": "Steps", "data-key": "graph" },
      h("div.canvas", { vars: { "--width": `${width}px`, "--height": `${height}px` } }, lines(flow.steps, boxes, width, height), h("ol", flow.steps.map((step) => box(flow, step, boxes.get(step.name))))))),
    failures(flow),
  ];
}

/** name → {x, y}: columns by the longest way to a step, rows near what it needs. */
function placed(steps) {
  const named = new Map(steps.map((step) => [step.name, step]));
  const columns = [];
  const depths = new Map();
  const depth = (name) => {
    if (!depths.has(name)) depths.set(name, 1 + Math.max(-1, ...named.get(name).needs.map(depth)));
    return depths.get(name);
  };
  for (const { name } of steps) (columns[depth(name)] ??= []).push(name);
  const rows = Math.max(...columns.map((column) => column.length));
  const boxes = new Map();
  columns.forEach((column, at) => {
    const wish = new Map(column.map((name, row) => [name, mean(named.get(name).needs.map((need) => boxes.get(need).y)) ?? row]));
    column.sort((one, other) => wish.get(one) - wish.get(other));
    const top = rows > ROWS_CENTRED ? 0 : (rows - column.length) / 2;
    column.forEach((name, row) => boxes.set(name, { x: at * (BOX.width + GAP.x), y: (top + row) * (BOX.height + GAP.y) }));
  });
  return { boxes, width: columns.length * (BOX.width + GAP.x) - GAP.x, height: rows * (BOX.height + GAP.y) - GAP.y };
}

const mean = (values) => values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : undefined;

function lines(steps, boxes, width, height) {
  const middle = BOX.height / 2;
  return svg("svg", { width, height, "aria-hidden": "true" }, steps.flatMap((step) => step.needs.map((need) => {
    const [from, to] = [boxes.get(need), boxes.get(step.name)];
    const [x, bend] = [from.x + BOX.width, GAP.x * 0.7];
    return svg(`path${step.state === "PENDING" ? ".ahead" : ""}`, { d: `M${x} ${from.y + middle}C${x + bend} ${from.y + middle} ${to.x - bend} ${to.y + middle} ${to.x} ${to.y + middle}` });
  })));
}

function box(flow, step, { x, y }) {
  const { name, type, needs, mapped, counts, job_id: job } = step;
  const state = isCancelled(step) ? "CANCELLED" : step.state;
  const href = mapped ? counts?.total && childrenOf(flow.job_id, name) : job && `#${path(job)}`;
  const inside = [
    h("span.name", { title: name }, name), badge(state),
    h("span.what.quiet", mapped && counts ? [tally(counts), counts.failed > 0 && [" · ", h("span.bad", `${number(counts.failed)} failed`)]] : mapped ? `${type} for each` : type,
      step.started_at && (step.completed_at || state === "RUNNING") && [" · ", lasted(step.started_at, step.completed_at)]),
    mapped && counts?.total > 0 && meter(counts),
    needs.length > 0 && h("span.unseen", `after ${needs.join(", ")}`),
  ];
  const kind = `${state.toLowerCase()}${mapped ? ".mapped" : ""}`;
  return h(`li.step.${kind}`, { vars: { "--x": `${x}px`, "--y": `${y}px` } }, href ? h("a.box", { href, "data-key": `step:${name}` }, inside) : h("span.box", inside));
}

/** It did not go wrong by itself. */
const isCancelled = ({ state, error }) => state === "FAILED" && error?.code === "cancelled";

const tally = ({ total, left }) => left ? `${number(total - left)} of ${number(total)}` : many(total, "job");

function meter({ total, succeeded, partly, failed }) {
  const part = (kind, count) => count > 0 && h(`span.${kind}`, { vars: { "--share": `${(100 * count) / total}%` } });
  return h("span.track", { "aria-hidden": "true" }, part("success", succeeded), part("partial_success", partly), part("failed", failed));
}

/** The errors of all steps that have one. */
function failures(flow) {
  const failed = flow.steps.filter((step) => step.error && !isCancelled(step));
  if (!failed.length) return [];
  return section("Steps that went wrong", failed.map(({ name, error, mapped, counts, job_id: job }) => h("div.failure",
    h("p", h("b", name), " ", h("span.code-word", error.code), error.field && [" in ", h("code", error.field)]),
    h("p.message", error.message),
    mapped ? counts?.failed > 0 && h("p", h("a", { href: childrenOf(flow.job_id, name, "FAILED,CANCELLED") }, counts.failed > 1 ? `All ${number(counts.failed)} that failed` : "The job")) : job && h("p", h("a", { href: `#${path(job)}` }, "The job")))));
}

/** What a job that is no flow has started and waited for. */
export function groups(job) {
  return section("Children", h("ul.links", job.children.map(({ step, total }) => h("li", h("a", { href: childrenOf(job.job_id, step) }, step), h("span.quiet", ` ${many(total, "job")}`)))));
}

export function crumbs({ job_id: id, step, index, total }) {
  return [" / ", h("a", { href: `#${path(id)}` }, "parent"), " / ", h("a", { href: childrenOf(id, step) }, step), total > 1 && ` #${index}`];
}
