import { useState } from "preact/hooks";
import { get } from "./api";
import { api } from "./base";
import type { Frameworks } from "./types";
import { Icon } from "./ui/icon";
import { Dialog, Field, Problem, Skeleton, useLoad } from "./ui/parts";

const day = (d: Date) => d.toISOString().slice(0, 10);
const days = 864e5;

/** Asks which pack of evidence is wanted, and has it downloaded. Days are those of UTC, as in the records; the last one is in it. */
export default function Evidence({ close }: { close: () => void }) {
  const now = Date.now();
  const [framework, setFramework] = useState("");
  const [from, setFrom] = useState(day(new Date(now - 30 * days)));
  const [to, setTo] = useState(day(new Date(now)));
  const loaded = useLoad<Frameworks>((s) => get("/v1/compliance/frameworks", s));
  const list = loaded.value?.frameworks ?? [];
  const of = list.find((f) => f.id === framework) ?? list[0];
  const begin = Date.parse(from + "T00:00:00Z"), end = Date.parse(to + "T00:00:00Z") + days;
  const wrong = isNaN(begin) || isNaN(end) ? "Choose both days." : begin >= end ? "The last day is before the first." : end - begin > 400 * days ? "A pack is of at most 400 days: make several." : "";
  const q = wrong || !of ? "" : new URLSearchParams({ framework: of.id, since: new Date(begin).toISOString(), until: new Date(end).toISOString() });
  return (
    <Dialog title="Evidence pack" close={close} wide>
      {loaded.problem && <Problem of={loaded.problem} again={loaded.again} />}
      {!of ? !loaded.problem && <Skeleton /> : (
        <div class="stack">
          <p>One file for an auditor: what the gateway holds of a period, ordered by the controls of a framework, signed, and with proofs that it is as it was recorded. It has no text of a statement and no value.</p>
          <Field id="evidence-framework" label="Framework"><select id="evidence-framework" value={of.id} onChange={(e) => setFramework(e.currentTarget.value)}>{list.map((f) => <option key={f.id} value={f.id}>{f.title}</option>)}</select></Field>
          <Field id="evidence-from" label="First day (UTC)"><input id="evidence-from" type="date" value={from} onInput={(e) => setFrom(e.currentTarget.value)} /></Field>
          <Field id="evidence-to" label="Last day (UTC)"><input id="evidence-to" type="date" value={to} onInput={(e) => setTo(e.currentTarget.value)} /></Field>
          {wrong && <p role="alert">{wrong}</p>}
          <details><summary>What stays yours to show ({of.controls.filter((c) => c.yours).length} controls)</summary><ul>{of.controls.filter((c) => c.yours).map((c) => <li key={c.id}><b>{c.id}</b> {c.yours}</li>)}</ul></details>
          <p>{q ? <a class="button primary" href={`${api}/v1/compliance/export?${q}`} download><Icon name="download" />Download</a> : null} <span class="dim small">It may take minutes to make, and is on record. <code>sallyport compliance verify</code> proves it without a gateway.</span></p>
        </div>
      )}
    </Dialog>
  );
}
