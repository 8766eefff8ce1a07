import { signal } from "@preact/signals";
import { api } from "./base";
import { lost } from "./api";
import type { Request, Session } from "./types";

// Lists that follow the gateway: one stream of events per tab.

/** What the caller sees of a list; null: it has not come yet. */
export const sessions = signal<Map<string, Session> | null>(null);
export const requests = signal<Map<string, Request> | null>(null);
/** Whether the lists are as the gateway has them now. */
export const connected = signal<"yes" | "connecting" | "no">("connecting");
/** How far the gateway's clock is ahead of this machine's, in milliseconds. */
export const ahead = signal(0);
/** The gateway's time. */
export const now = () => Date.now() + ahead.value;

interface Change<T> { all?: boolean; set?: T[]; gone?: string[] }

function apply<T extends { id: string }>(to: typeof sessions | typeof requests, c: Change<T>) {
  const next = new Map((c.all ? [] : to.value ?? []) as Iterable<[string, any]>);
  for (const one of c.set ?? []) next.set(one.id, one);
  for (const id of c.gone ?? []) next.delete(id);
  (to as any).value = next;
}

let source: EventSource | null = null;
let again = 0;
let late = 0;

export function follow() {
  stop();
  const s = new EventSource(api + "/v1/live");
  source = s;
  s.addEventListener("hello", (e) => {
    connected.value = "yes";
    clearTimeout(late);
    late = 0;
    const skew = Date.parse(JSON.parse((e as MessageEvent).data).now) - Date.now();
    ahead.value = Math.abs(skew) < 2000 ? 0 : skew; // on its way it took a while
  });
  s.addEventListener("sessions", (e) => apply<Session>(sessions, JSON.parse((e as MessageEvent).data)));
  s.addEventListener("requests", (e) => apply<Request>(requests, JSON.parse((e as MessageEvent).data)));
  s.addEventListener("end", () => { stop(); lost.tell(); });
  s.onerror = () => {
    if (source !== s) return;
    if (connected.value === "yes") connected.value = "connecting";
    late ||= setTimeout(() => { late = 0; if (connected.value !== "yes") connected.value = "no"; }, 2000); // each further try fails, too
    if (s.readyState === EventSource.CLOSED) { // it was refused, and is not tried again by itself
      s.close();
      clearTimeout(again);
      again = setTimeout(() => retry.ask(follow), 3000);
    }
  };
}

/** retry asks whether this browser is still logged in before a stream that was refused is tried again. */
export const retry: { ask: (then: () => void) => void } = { ask: (then) => then() };

export function stop() {
  clearTimeout(again);
  source?.close();
  source = null;
}

/** forget takes away what was shown to somebody who is not logged in any more. */
export function forget() {
  stop();
  sessions.value = null;
  requests.value = null;
}

/** learn puts a request that an answer held into the list before the stream says so. */
export function learn(r: Request) {
  if (requests.value?.has(r.id)) apply<Request>(requests, { set: [r] });
}
