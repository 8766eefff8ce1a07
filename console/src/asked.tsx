import type { Request, Stage } from "./types";
import { span, visible } from "./ui/text";

const actions = (list: string[]) => list.join(", ");

/** A bound of rows, in words. */
export const atMost = (rows: number) => `at most ${rows.toLocaleString("en")} ${rows === 1 ? "row" : "rows"}`;

/** What a request is about, in one line. */
export function Asked({ of: r }: { of: Request }) {
  if (r.access) return <span>{span(r.access.seconds * 1000)} of <b>{visible(actions(r.access.actions))}</b>{r.access.rows ? `, ${atMost(r.access.rows)}` : ""}{r.access.reason && <span class="dim">: <bdi>{visible(r.access.reason)}</bdi></span>}</span>;
  return <code class="one-line">{visible(r.text.replace(/\s+/g, " "))}</code>;
}

/** How many people of which groups. */
export function people(groups: string[], need = 1): string {
  const of = groups.map((g) => (g === "*" ? "everybody else" : g)).join(" or ");
  return need > 1 ? `${need} of ${of}` : `somebody of ${of}`;
}

/** Who has to approve, in words. */
export function approvers(r: Request): string {
  if (r.access) return r.access.stages.map((s: Stage) => people(s.approvers, s.need)).join(", then ");
  return (r.approvers ?? []).map((list) => people(list, 1)).join(", and ");
}
