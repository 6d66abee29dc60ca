// The public API: nothing here that anybody else could not ask.

import { EXPIRED, current, signOut, signal } from "./session.js";

/** What went wrong, in the API's own words (RFC 9457). */
export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

export const get = (path, leave) => ask("GET", path, undefined, leave);
export const post = (path, body, leave) => ask("POST", path, body, leave);

/** `leave`: a signal that ends the question. Raises Problem, or AbortError when nobody waits for the answer any more. */
export async function ask(method, path, body, leave) {
  const answer = await send(method, path, body, leave);
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

export async function send(method, path, body, leave, tries = 3) {
  const { token } = current() ?? {};
  const headers = { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  const until = leave ? AbortSignal.any([signal(), leave]) : signal();
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: until, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "network", "The API does not answer. It will be asked again.");
  }
  if (answer.status === 429 && tries > 1) {
    await pause(1000 * Number(answer.headers.get("Retry-After") ?? 1), until);
    return send(method, path, body, leave, tries - 1);
  }
  if (answer.status === 401) signOut(token, EXPIRED);
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

async function problemOf(answer) {
  const document = await answer.json().catch(() => ({}));
  return new Problem(answer.status, document.code ?? "", document.detail ?? document.message ?? `HTTP ${answer.status}`);
}

export function pause(ms, until) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    until?.addEventListener("abort", () => { clearTimeout(timer); reject(new DOMException("left", "AbortError")); }, { once: true });
  });
}

/** Texts that are set, as a query string with its question mark. */
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return set.length ? `?${new URLSearchParams(set)}` : "";
}

export const path = (id, rest = "") => `/jobs/${encodeURIComponent(id)}${rest}`;
