// Changes as they happen. Watch first, then look: after every (re)connection the view looks again, and of two versions
// of a job the greater is shown; so nothing is missed, and nothing comes twice. Without a connection, it looks by itself.

import { post } from "./api.js";

const POLL_MS = 5000;
const PING_MS = 240_000; // API Gateway ends a connection that is silent for 10 minutes
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 30_000;

export class Live {
  /** `onEvents(events)`, `onLook()`, `onState("live" | "connecting" | "reconnecting" | "polling")` */
  constructor({ onEvents, onLook, onState }) {
    Object.assign(this, { onEvents, onLook, onState });
    this.waiting = [];
    this.tries = 0;
    this.wakeUp = () => { if (document.visibilityState === "visible" && !this.socket) this.connect(); };
  }

  start() {
    this.isOver = false;
    addEventListener("online", this.wakeUp);
    document.addEventListener("visibilitychange", this.wakeUp);
    this.onState("connecting");
    this.connect();
    this.poller = setInterval(() => { if (this.state !== "live" && document.visibilityState === "visible") this.onLook(); }, POLL_MS);
    this.pinger = setInterval(() => this.ping(), PING_MS);
  }

  stop() {
    this.isOver = true;
    removeEventListener("online", this.wakeUp);
    document.removeEventListener("visibilitychange", this.wakeUp);
    for (const timer of [this.poller, this.pinger, this.again, this.silence, this.flushing]) clearTimeout(timer);
    this.flushing = undefined;
    this.waiting = [];
    const { socket } = this;
    this.socket = undefined;
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
  }

  async connect() {
    clearTimeout(this.again);
    if (this.isOver || this.isConnecting) return;
    this.isConnecting = true;
    try {
      const { url } = await post("/tickets");
      if (!this.isOver) this.open(url);
    } catch {
      this.retry();
    } finally {
      this.isConnecting = false;
    }
  }

  open(url) {
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => socket.send(JSON.stringify({ action: "subscribe", topic: "tenant" }));
    socket.onmessage = ({ data }) => { if (socket === this.socket) this.hear(JSON.parse(data)); };
    socket.onclose = () => {
      if (socket !== this.socket) return;
      this.socket = undefined;
      this.retry();
    };
  }

  hear(told) {
    clearTimeout(this.silence);
    if (told.subscribed) {
      this.tries = 0;
      this.say("live");
      this.onLook();
    }
    if (!told.events) return;
    this.waiting.push(...told.events);
    this.flushing ??= setTimeout(() => this.flush(), 50);
  }

  flush() {
    this.flushing = undefined;
    const events = this.waiting;
    this.waiting = [];
    this.onEvents(events);
  }

  ping() {
    if (this.state !== "live") return;
    this.socket.send(JSON.stringify({ action: "ping" }));
    this.silence = setTimeout(() => this.socket?.close(), 10_000);
  }

  retry() {
    if (this.isOver) return;
    this.tries += 1;
    this.say(this.tries > 3 ? "polling" : "reconnecting");
    const limit = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.tries);
    this.again = setTimeout(() => this.connect(), BACKOFF_MS / 2 + Math.random() * limit);
  }

  say(state) {
    if (state !== this.state) this.onState(state);
    this.state = state;
  }
}

/** Is version `one` newer than `other`? Four numbers each; what has none is older than everything. */
export function isNewer(one, other) {
  if (!one || !other) return Boolean(one);
  const place = one.findIndex((part, at) => part !== other[at]);
  return place >= 0 && one[place] > other[place];
}

/** The job as an event leaves it. */
export function merged(job, event) {
  const isProgress = event.current_count !== undefined;
  const isAnotherRun = event.status === "RUNNING" && (job.status !== "RUNNING" || event.version[1] !== job.version?.[1]);
  return {
    ...job,
    isOfEvent: true,
    status: event.status,
    version: event.version,
    updated_at: event.at,
    attempts: event.attempts,
    attempts_max: event.attempts_max,
    error: event.error,
    started_at: isAnotherRun ? event.at : job.started_at,
    completed_at: event.version[2] ? event.at : undefined,
    progress: isProgress ? {
      current: event.current_count, total: event.total_count, percent: event.percent,
      message: event.message, context: event.context, indent_level: event.indent_level,
    } : isAnotherRun ? undefined : job.progress,
  };
}
