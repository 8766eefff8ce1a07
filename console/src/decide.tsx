import { signal } from "@preact/signals";
import { at, may, post } from "./api";
import { learn } from "./live";
import { me } from "./me";
import { mine } from "./own";
import type { Request, Stage } from "./types";
import { say } from "./ui/toast";

/** Decisions that are sent in a moment, by request. */
export const soon = signal<Map<string, "approve" | "deny">>(new Map());
const timers = new Map<string, { timer: number; away: () => void }>();

/** The time in which a decision can be taken back before it is sent. */
const grace = 5000;

const inOne = (groups: string[]) => groups.includes("*") || groups.some((g) => me.value?.groups?.includes(g));

/** The votes of a stage that count. */
export const votesOf = (r: Request, stage: number) => (r.access?.votes ?? []).filter((v) => v.stage === stage && !v.lost);

/** The first stage that needs more approvals; -1: none. */
export const stageOf = (r: Request) => (r.access?.stages ?? []).findIndex((s: Stage, i) => votesOf(r, i).length < (s.need || 1));

/** Whether the caller would be let decide. The gateway decides that itself when she does. */
export function decides(r: Request): boolean {
  if (r.state !== "pending" || mine(r) || me.value?.kind === "agent") return false;
  if (!r.access) return (r.approvers ?? []).every(inOne);
  const stage = stageOf(r);
  if (stage < 0 || (r.access.votes ?? []).some((v) => v.by === me.value?.subject && !v.lost)) return false;
  return inOne(r.access.stages[stage].approvers);
}

/** Whether the caller says of access without an approval, which has ended, whether it was in order. The gateway decides that itself. */
export function reviews(r: Request): boolean {
  return r.state === "review_due" && !mine(r) && me.value?.kind === "human" && (may(me.value, "review") || (r.approvers ?? []).some(inOne));
}

function mark(id: string, what: "approve" | "deny" | null) {
  const next = new Map(soon.value);
  what ? next.set(id, what) : next.delete(id);
  soon.value = next;
}

/** send decides now. It names the hash of what was shown. */
export async function send(r: Request, what: "approve" | "deny", body: { reason?: string; seconds?: number; actions?: string[]; rows?: number } = {}): Promise<Request> {
  const now = await post<Request>(at`/v1/requests/${r.id}/` + what, { hash: r.hash, ...body });
  learn(now);
  return now;
}

/** approveSoon approves all of what is asked for, in a moment, so that a slip can be taken back. */
export function approveSoon(r: Request) {
  if (soon.value.has(r.id) || !decides(r)) return;
  mark(r.id, "approve");
  const timer = window.setTimeout(async () => {
    timers.get(r.id)?.away();
    timers.delete(r.id);
    try {
      const now = await send(r, "approve");
      say(now.state === "approved" ? `Approved: ${r.id}.` : `Your approval of ${r.id} counts; more are needed.`);
    } catch (e) {
      say((e as Error).message, "bad");
    }
    mark(r.id, null);
  }, grace);
  timers.set(r.id, { timer, away: say(`Approving ${r.id} in 5 seconds.`, "ok", { word: "Undo", do: () => undo(r.id) }, grace) });
}

// Who closes the page before a decision was sent is told that it was not.
addEventListener("beforeunload", (e) => { if (timers.size) e.preventDefault(); });

export function undo(id: string) {
  const t = timers.get(id);
  if (!t) return;
  clearTimeout(t.timer);
  t.away();
  timers.delete(id);
  mark(id, null);
  say("Nothing was sent.");
}
