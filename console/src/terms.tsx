import { Field } from "./ui/parts";
import { span } from "./ui/text";

/** What access somebody would have: for how long, from when (as a field of the page has it), and for which actions. */
export interface Wish { seconds: number; actions: string[]; from: string }

const lengths = [300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800, 1209600, 2592000];

/** A length of time, of those that may be had. */
export function Length({ id, seconds, max, also, set }: { id: string; seconds: number; max: number; also?: number[]; set: (seconds: number) => void }) {
  const steps = [...new Set([...lengths.filter((s) => s < max), ...(also ?? []).filter((s) => s > 0 && s <= max), max])].sort((a, b) => a - b);
  return (
    <Field id={id} label={`For ${span(seconds * 1000)}`} hint={`At most ${span(max * 1000)}.`}>
      <input id={id} type="range" min={0} max={steps.length - 1} step={1} value={Math.max(0, steps.indexOf(seconds))} aria-describedby={id + "-hint"} aria-valuetext={span(seconds * 1000)} onInput={(e) => set(steps[Number(e.currentTarget.value)])} />
    </Field>
  );
}

/** Some of the actions. Connecting is a part of all. */
export function Actions({ all, chosen, set }: { all: string[]; chosen: string[]; set: (actions: string[]) => void }) {
  return (
    <fieldset class="checks inline"><legend>Actions</legend>{all.map((a) => (
      <label key={a} class="check"><input type="checkbox" checked={chosen.includes(a)} disabled={a === "connect"} onChange={(e) => set(all.filter((x) => (x === a ? e.currentTarget.checked : chosen.includes(x))))} />{a}</label>
    ))}</fieldset>
  );
}

/** When it begins, unless that is with the last approval. */
export function Begin({ id, from, set }: { id: string; from: string; set: (from: string) => void }) {
  return <details open={!!from || undefined}><summary>Begin later</summary><Field id={id} label="From"><input id={id} type="datetime-local" value={from} onInput={(e) => set(e.currentTarget.value)} /></Field></details>;
}

const never = "0001-01-01T00:00:00Z";

/** A time of the API, as a field of the page has it, and the other way. */
export function local(at?: string): string {
  if (!at || at === never) return "";
  const d = new Date(at);
  return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
export const instant = (from: string) => (from ? new Date(from).toISOString() : never);
