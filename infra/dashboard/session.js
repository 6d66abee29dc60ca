// Who is signed in. Tokens live in this tab alone; what they may do is the API's to say: they are read only to be shown.

const KEPT = "longshore.tokens";

let sessions = [];
let index = 0;
let scope = new AbortController();
let timer = 0;

export const changes = new EventTarget();

/** {token, tenant, user, role, until} or undefined */
export const current = () => sessions[index];

export const all = () => sessions;

/** Ends with the session: no answer for one tenant is shown to another. */
export const signal = () => scope.signal;

export const may = (role) => RANKS.indexOf(current()?.role) >= RANKS.indexOf(role);

const RANKS = ["viewer", "producer", "operator", "admin"];

/** Takes `#token=…` out of the address, whatever else happens. Several: `#token=…&token=…`; `&to=/jobs/ID` goes there. */
export function begin() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? '{"tokens":[],"index":0}');
  for (const token of kept.tokens) admit(token);
  index = Math.min(kept.index, Math.max(0, sessions.length - 1));
  takeFromAddress();
  changed();
}

/** A link with a token was followed while the page was open. */
export function arrive() {
  const isHere = takeFromAddress();
  if (isHere) changed();
  return isHere;
}

function takeFromAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const given = said.getAll("token");
  if (!given.length) return false;
  history.replaceState(null, "", `${location.pathname}${location.search}#/${said.get("to")?.slice(1) ?? ""}`);
  for (const token of given) if (!admit(token)) problem = "The link's token is expired, or is no token.";
  const first = sessions.findIndex((session) => session.token === given[0]);
  if (first >= 0) index = first;
  return true;
}

export let problem = "";

/** A reason why not, or "". */
export function signIn(token) {
  if (!admit(token)) return "That is no token, or it has expired. A token is three parts with dots between them.";
  switchTo(token);
  return "";
}

export function switchTo(token) {
  problem = "";
  index = sessions.findIndex((session) => session.token === token);
  changed();
}

export function signOut(token, why = "") {
  const gone = sessions.find((session) => session.token === token);
  if (!gone) return;
  sessions = sessions.filter((session) => session !== gone);
  index = 0;
  problem = why && `${why}.`;
  changed();
}

function changed() {
  scope.abort();
  scope = new AbortController();
  sessionStorage.setItem(KEPT, JSON.stringify({ tokens: sessions.map((session) => session.token), index }));
  clearTimeout(timer);
  const mine = current();
  if (mine) {
    const left = mine.until - Date.now();
    timer = setTimeout(() => mine.until <= Date.now() ? signOut(mine.token, EXPIRED) : changed(), Math.min(left, 2 ** 31 - 1));
  }
  changes.dispatchEvent(new Event("change"));
}

export const EXPIRED = "The token has expired: sign in again";

/** A newer token of the same tenant and user takes the place of the older. */
function admit(token) {
  const session = read(token);
  if (!session || session.until <= Date.now()) return false;
  const same = sessions.findIndex((one) => one.tenant === session.tenant && one.user === session.user && one.role === session.role);
  if (same >= 0) sessions[same] = session;
  else sessions.push(session);
  return true;
}

function read(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    const roles = [claims.roles].flat().join(" ");
    const role = RANKS.findLast((one) => new RegExp(`\\b${one}\\b`).test(roles));
    const until = claims.exp ? claims.exp * 1000 : Infinity;
    return { token, tenant: String(claims.tenant_id ?? "?"), user: String(claims.sub ?? "?"), role, until };
  } catch {
    return undefined;
  }
}
