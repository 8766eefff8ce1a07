import { get } from "../api";
import { go, query, setQuery } from "../router";
import { Bars } from "../ui/bars";
import { Icon, type IconName } from "../ui/icon";
import { Empty, Head, Problem, Skeleton, useLoad, useTitle } from "../ui/parts";
import { Protocol, State } from "../ui/state";
import { A, clock, date, span, Time, visible } from "../ui/text";
import type { ComponentChildren } from "preact";

interface Part { sessions: number; operations: number; refused: number }
interface Resource { name: string; protocol: string; sessions: number; operations: number; refused: number }
interface Measured {
  since: string; open: number; waiting: number; oldest?: string; allowed: number; denied: number; failed: number; recording: boolean;
  added: { protocol: string; operations: number; p50: number; p95: number; p99: number }[]; masked: { class: string; values: number }[]; sinks: { name: string; since?: string }[];
}
interface Figures {
  from: string; to: string; parts: Part[]; sessions: number; people: number; resources: Resource[]; others: number; more?: boolean; unread?: number; measured?: Measured;
  certificates?: { name: string; until: string; renews: boolean }[];
}

const spans: [string, string, number][] = [["1h", "The last hour", 3600e3], ["24h", "The last day", 86400e3], ["7d", "The last 7 days", 604800e3], ["30d", "The last 30 days", 2592e6], ["90d", "The last 90 days", 7776e6]];
const sum = (list: Part[], of: (p: Part) => number) => list.reduce((n, p) => n + of(p), 0);
const many = new Intl.NumberFormat("en");
const atMost = (micros: number) => (micros === 0 ? "> 5 s" : micros < 1000 ? `${micros} µs` : micros < 1e6 ? `${micros / 1000} ms` : `${micros / 1e6} s`);

/** How the gateway is used, and how it is. */
export default function Dashboard() {
  useTitle("Dashboard");
  const within = query.value.get("within") ?? "24h";
  const length = (spans.find((x) => x[0] === within) ?? spans[1])[2];
  const loaded = useLoad<Figures>((s) => get("/v1/dashboard?since=" + encodeURIComponent(new Date(Date.now() - length).toISOString()), s), within);
  const v = loaded.value;
  return (
    <>
      <Head title="Dashboard" about="Sessions on record of this gateway, and what it has measured since it began. Looking at it is on record.">
        <select aria-label="Time" value={within} onChange={(e) => setQuery({ within: e.currentTarget.value })}>{spans.map(([k, w]) => <option key={k} value={k}>{w}</option>)}</select>
        <button type="button" onClick={loaded.again}><Icon name="rotateCcw" />Again</button>
      </Head>
      {loaded.problem && <Problem of={loaded.problem} again={loaded.again} />}
      {!v ? !loaded.problem && <Skeleton /> : <Shown of={v} />}
    </>
  );
}

function Shown({ of: v }: { of: Figures }) {
  const m = v.measured;
  return (
    <div class="stack">
      <dl class="tiles">
        {m && <Tile word="Open now"><A to="/sessions">{many.format(m.open)}</A></Tile>}
        <Tile word="Sessions">{many.format(v.sessions)}</Tile>
        <Tile word="People">{many.format(v.people)}</Tile>
        <Tile word="Operations that ran">{many.format(sum(v.parts, (p) => p.operations))}</Tile>
        <Tile word="Refused">{many.format(sum(v.parts, (p) => p.refused))}</Tile>
        {m && <Tile word="Requests waiting" more={m.oldest && <>since <Time at={m.oldest} /></>}><A to="/requests">{many.format(m.waiting)}</A></Tile>}
      </dl>
      <section class="stack tight" aria-label="Sessions over time">
        <Bars counts={v.parts.map((p) => p.sessions)} marked={v.parts.map((p) => p.refused)} mark="operations refused" what="sessions" from={v.from} to={v.to}
          open={(begin, end) => go(`/sessions?q=${encodeURIComponent(`since:${begin} until:${end}`)}`)} />
        {v.more && <p class="hint">There were more sessions than are counted at a time: these are the newest. Choose a shorter time.</p>}
        {v.unread ? <Problem of={`Of ${v.unread} sessions it is not known whether they are of this time: their records were removed or altered.`} /> : null}
        <details><summary>As a table</summary><div class="scroll"><table><thead><tr><th scope="col">From</th><th scope="col" class="end">Sessions</th><th scope="col" class="end">Ran</th><th scope="col" class="end">Refused</th></tr></thead>
          <tbody>{v.parts.map((p, i) => {
            const at = Date.parse(v.from) + ((Date.parse(v.to) - Date.parse(v.from)) / v.parts.length) * i;
            return p.sessions ? <tr key={i}><th scope="row" class="num">{date(at)} {clock(at)}</th><td class="num end">{p.sessions}</td><td class="num end">{p.operations}</td><td class="num end">{p.refused}</td></tr> : null;
          })}</tbody></table></div></details>
      </section>
      <div class="boards">
        <Board icon="server" title="Resources">
          {v.resources.length === 0 ? <Empty icon="server" title="No session in this time" /> : (
            <table><thead><tr><th scope="col">Resource</th><th scope="col" class="end">Sessions</th><th scope="col" class="end">Ran</th><th scope="col" class="end">Refused</th></tr></thead>
              <tbody>{v.resources.map((r) => <tr key={r.name}><th scope="row"><A to={`/sessions?q=${encodeURIComponent(`resource:"${r.name}"`)}`}><bdi>{visible(r.name)}</bdi></A> <span class="dim small"><Protocol of={r.protocol} /></span><Meter part={r.sessions} whole={v.resources[0].sessions} /></th>
                <td class="num end">{many.format(r.sessions)}</td><td class="num end">{many.format(r.operations)}</td><td class="num end">{many.format(r.refused)}</td></tr>)}</tbody></table>
          )}
          {v.others > 0 && <p class="hint pad">{v.others} more had fewer sessions.</p>}
        </Board>
        {m && <Board icon="timer" title="Time that deciding adds" about={<>since <Time at={m.since} /></>}>
          {m.added.length === 0 ? <Empty icon="timer" title="Nothing was decided yet" /> : (
            <table><thead><tr><th scope="col">Protocol</th><th scope="col" class="end">Operations</th><th scope="col" class="end">p50 ≤</th><th scope="col" class="end">p95 ≤</th><th scope="col" class="end">p99 ≤</th></tr></thead>
              <tbody>{m.added.map((a) => <tr key={a.protocol}><th scope="row"><Protocol of={a.protocol} /></th><td class="num end">{many.format(a.operations)}</td><td class="num end">{atMost(a.p50)}</td><td class="num end">{atMost(a.p95)}</td><td class="num end">{atMost(a.p99)}</td></tr>)}</tbody></table>
          )}
        </Board>}
        {m && <Board icon="shieldCheck" title="Decisions" about={<>since <Time at={m.since} /></>}>
          <table><thead><tr><th scope="col">Operations, with connecting, that</th><th scope="col" class="end">How many</th></tr></thead><tbody>
            {([["allow", "circleCheck", "ran", m.allowed], ["deny", "circleX", "were denied", m.denied], ["review", "triangleAlert", "failed at the resource", m.failed]] as const).map(([tone, icon, word, n]) => (
              <tr key={word}><th scope="row"><State tone={tone} icon={icon} word={word} /><Meter tone={tone} part={n} whole={m.allowed + m.denied + m.failed} /></th><td class="num end">{many.format(n)}</td></tr>
            ))}</tbody></table>
        </Board>}
        {m && <Board icon="eye" title="Masked values" about={<>since <Time at={m.since} /></>}>
          {m.masked.length === 0 ? <Empty icon="eye" title="Nothing was masked yet" /> : (
            <table><thead><tr><th scope="col">Class</th><th scope="col" class="end">Values</th></tr></thead>
              <tbody>{m.masked.slice(0, 12).map((x) => <tr key={x.class}><th scope="row"><code>{visible(x.class)}</code><Meter tone="masked" part={x.values} whole={m.masked[0].values} /></th><td class="num end">{many.format(x.values)}</td></tr>)}</tbody></table>
          )}
        </Board>}
        {v.certificates && <Board icon="keyRound" title="Certificates">
          {v.certificates.length === 0 ? <Empty icon="keyRound" title="No certificate expires" /> : (
            <table><thead><tr><th scope="col">Certificate</th><th scope="col">State</th><th scope="col" class="end">Until</th></tr></thead>
              <tbody>{v.certificates.map((c) => <tr key={c.name}><th scope="row"><bdi>{visible(c.name)}</bdi></th><td><Expires of={c} /></td><td class="end"><Time at={c.until} /></td></tr>)}</tbody></table>
          )}
        </Board>}
        {m && <Board icon="scrollText" title="Record">
          <ul class="lines"><li>{m.recording ? <State tone="allow" icon="circleCheck" word="written" /> : <State tone="deny" icon="circleX" word="cannot be written" />}<span class="grow">the audit log</span></li>
            {m.sinks.map((s) => { const late = s.since ? Date.now() - Date.parse(s.since) : 0; return <li key={s.name}>{late > 60_000 ? <State tone="review" icon="clock" word={`${span(late)} late`} /> : <State tone="allow" icon="circleCheck" word="up to date" />}<bdi class="grow">{visible(s.name)}</bdi></li>; })}</ul>
        </Board>}
      </div>
    </div>
  );
}

function Tile({ word, more, children }: { word: string; more?: ComponentChildren; children: ComponentChildren }) {
  return <div class="tile"><dt>{word}</dt><dd><span class="figure">{children}</span>{more && <span class="dim small">{more}</span>}</dd></div>;
}

function Board({ icon, title, about, children }: { icon: IconName; title: string; about?: ComponentChildren; children: ComponentChildren }) {
  return <section class="panel board" aria-label={title}><header><Icon name={icon} /><h2>{title}</h2>{about && <span class="end small dim">{about}</span>}</header>{children}</section>;
}

/** A share, next to its number: who listens has the number. */
function Meter({ part, whole, tone }: { part: number; whole: number; tone?: string }) {
  return <span class="meter" data-tone={tone} aria-hidden="true"><span style={{ width: `${whole ? (part / whole) * 100 : 0}%` }} /></span>;
}

function Expires({ of: c }: { of: { until: string; renews: boolean } }) {
  const left = Date.parse(c.until) - Date.now();
  if (left <= 0) return <State tone="deny" icon="circleX" word="expired" />;
  if (c.renews) return <State tone="allow" icon="circleCheck" word="is renewed" />;
  if (left < 14 * 86400e3) return <State tone="review" icon="timer" word={`expires in ${span(left)}`} />;
  return <State tone="allow" icon="circleCheck" word="valid" />;
}
