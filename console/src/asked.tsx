import type { Request, Stage } from "./types";
import { span, visible } from "./ui/text";

const actions = (list: string[]) => list.join(", ");

/** What a request is about, in one line. */
export function Asked({ of: r }: { of: Request }) {
  if (r.access) return <span>{span(r.access.seconds * 1000)} of <b>{visible(actions(r.access.actions))}</b>{r.access.reason && <span class="dim">: <bdi>{visible(r.access.reason)}</bdi></span>}</span>;
  return <code class="one-line">{visible(r.text.replace(/\s+/g, " "))}</code>;
}

/** Who has to approve, in words. */
export function approvers(r: Request): string {
  if (r.access) return r.access.stages.map((s: Stage) => `${s.need || 1} of ${s.approvers.map((g) => (g === "*" ? "everybody else" : g)).join(" or ")}`).join(", then ");
  return (r.approvers ?? []).map((list) => "1 of " + list.map((g) => (g === "*" ? "everybody else" : g)).join(" or ")).join(", and ");
}
