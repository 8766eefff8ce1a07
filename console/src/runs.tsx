import type { Run, RunStep } from "./types";
import type { IconName } from "./ui/icon";
import { State, type Tone } from "./ui/state";

const states: Record<string, [Tone, IconName, string?]> = {
  pending: ["off", "circleSlash", "to come"], waiting: ["review", "clock"], running: ["live", "activity"], done: ["allow", "circleCheck"], failed: ["deny", "circleX"],
  refused: ["deny", "ban"], cancelled: ["off", "circleSlash"], skipped: ["off", "chevronRight"], unknown: ["deny", "triangleAlert", "interrupted"],
};

/** What became of a run, or of a step of one. */
export function RunState({ of }: { of: Pick<Run | RunStep, "state"> }) {
  const [tone, icon, word] = states[of.state] ?? ["off", "info"];
  return <State tone={tone} icon={icon} word={word ?? of.state} title={of.state === "unknown" ? "Its gateway has ended, or lost the resource: it is not known what it has done." : undefined} />;
}

/** Whether nothing can become of a run any more. */
export const over = (r: Run) => r.state !== "waiting" && r.state !== "running";

export const bookOf = (r: Run) => `/runbooks/${encodeURIComponent(r.origin.source)}/${encodeURIComponent(r.name)}`;
