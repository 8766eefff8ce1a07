import { useState } from "preact/hooks";
import { post } from "./api";
import { Icon } from "./ui/icon";
import { Problem, useDoing } from "./ui/parts";
import { State } from "./ui/state";
import { A, span, Time, visible } from "./ui/text";

/** One time that a rule has fired, or would have. */
export interface Firing { id?: string; at: string; alert: { event: string; count: number; seconds?: number; before?: number; user?: string; resource?: string; decision?: string; session?: string } }
interface Tried { fitted: number; fired: number; firings: Firing[]; more?: boolean; unread?: number }

/** When a rule fired: what, who, where. */
export function Firings({ of, label }: { of: Firing[]; label: string }) {
  return (
    <ol class="lines" aria-label={label}>{of.map((f, i) => (
      <li key={f.id ?? i}><Time at={f.at} seconds /><span class="grow"><code>{visible(f.alert.event)}</code>{f.alert.user && <> of <bdi>{visible(f.alert.user)}</bdi></>}{f.alert.resource && <> at <bdi>{visible(f.alert.resource)}</bdi></>}
        {f.alert.count > 1 && <span class="dim">, {f.alert.count} within {span((f.alert.seconds ?? 0) * 1000)}</span>}{f.alert.before ? <span class="dim">, {f.alert.before} more before</span> : null}</span>
        {f.alert.session && <A to={"/sessions/" + encodeURIComponent(f.alert.session)} class="small">Session</A>}</li>
    ))}</ol>
  );
}

/** What a rule, by its name or as it is written, would have done with what is on record. */
export function TryAlert({ name, object }: { name?: string; object?: string }) {
  const [days, setDays] = useState(7);
  const [tried, setTried] = useState<{ of?: string; r: Tried } | null>(null);
  const doing = useDoing();
  const r = tried && tried.of === object ? tried.r : null;
  const ask = () => doing.run(async () => {
    const until = Date.now();
    setTried({ of: object, r: await post<Tried>("/v1/alerts/try", { name, object, since: new Date(until - days * 86400e3).toISOString(), until: new Date(until).toISOString() }) });
  });
  return (
    <section class="stack" aria-label="Test with recent events">
      <div class="buttons">
        <button type="button" disabled={doing.busy} onClick={ask}><Icon name="history" />Test with recent events</button>
        <select aria-label="Of which time" value={days} onChange={(e) => { setDays(Number(e.currentTarget.value)); setTried(null); }}><option value={1}>of the last day</option><option value={7}>of the last 7 days</option><option value={31}>of the last 31 days</option></select>
      </div>
      {doing.problem && <div class="problem pre" role="alert"><Icon name="triangleAlert" /><span>{visible(doing.problem)}</span></div>}
      {r && (
        <div role="status" class="stack">
          <p class="chips"><State tone={r.fired ? "review" : "off"} icon={r.fired ? "bell" : "check"} word={`Would have fired ${r.fired} ${r.fired === 1 ? "time" : "times"}`} /><span class="dim">by {r.fitted} {r.fitted === 1 ? "event that fits" : "events that fit"}{r.firings.length < r.fired && `; the latest ${r.firings.length} are shown`}</span></p>
          {r.more && <p class="hint">There were more events than are read at a time. Choose a shorter time.</p>}
          {r.unread ? <Problem of={`${r.unread} records could not be read.`} /> : null}
          {r.firings.length > 0 && <Firings of={r.firings} label="When it would have fired" />}
        </div>
      )}
    </section>
  );
}
