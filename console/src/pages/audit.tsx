import { useEffect, useState } from "preact/hooks";
import { get, may } from "../api";
import Evidence from "../evidence";
import { me } from "../me";
import { query, setQuery } from "../router";
import type { Event, Events } from "../types";
import { Bars } from "../ui/bars";
import { List, type Column } from "../ui/list";
import { Dialog, Empty, Head, Problem, Skeleton, useLoad, useTitle } from "../ui/parts";
import { State, type Tone } from "../ui/state";
import { Icon, type IconName } from "../ui/icon";
import { A, Code, Time, visible } from "../ui/text";

const spans: [string, string, number][] = [["1h", "The last hour", 3600e3], ["24h", "The last day", 86400e3], ["7d", "The last 7 days", 604800e3], ["30d", "The last 30 days", 2592e6], ["90d", "The last 90 days", 7776e6]];
const types: [string, string][] = [["", "All events"], ["gateway.login", "Logins"], ["gateway.login-failed", "Failed logins"], ["review", "Requests"], ["admin", "Administration"], ["admin.refused", "Refused"], ["secret", "Secrets"], ["export", "Exports"], ["gateway", "The gateway"]];

const str = (v: unknown) => (v === undefined || v === null ? "" : typeof v === "string" ? v : JSON.stringify(v));

function Kind({ of: e }: { of: Event }) {
  const [tone, icon]: [Tone, IconName] = /refused|failed|conflict|lost|denied|revoked/.test(e.type) ? ["deny", "circleX"] : /lagging|pending|expired|left-out/.test(e.type) ? ["review", "clock"]
    : /^review\.(approved|used)|login$/.test(e.type) ? ["allow", "circleCheck"] : ["off", "scrollText"];
  return <State tone={tone} icon={icon} word={visible(e.type)} />;
}

/** What an event says, besides who and when. */
function About({ of: e }: { of: Event }) {
  const words = [e.action, e.resource && `at ${str(e.resource)}`, e.reason, e.error, e.ref, e.name, e.verdict, e.count && `${str(e.count)} times`].filter(Boolean).map(str).join(" · ");
  return <span>{e.request ? <A to={"/requests/" + str(e.request)}><code>{visible(str(e.request))}</code></A> : null}{e.session && e.type !== "gateway.start" ? <> <A to={"/sessions/" + str(e.session)}><code>{visible(str(e.session))}</code></A></> : null} <span class="dim">{visible(words)}</span></span>;
}

const columns: Column<Event>[] = [
  { head: "At", width: "136px", cell: (e) => <Time at={e.t} seconds /> },
  { head: "Event", width: "minmax(150px, 1.1fr)", cell: (e) => <Kind of={e} /> },
  { head: "Who", width: "minmax(90px, 0.8fr)", wide: true, cell: (e) => <bdi>{visible(str(e.user) || str(e.decided_by))}</bdi> },
  { head: "What", width: "minmax(120px, 3fr)", wide: true, cell: (e) => <About of={e} /> },
  { head: "From", width: "minmax(100px, 0.8fr)", wide: true, cell: (e) => <code class="dim">{visible(str(e.remote))}</code> },
];

export default function Audit() {
  useTitle("Audit");
  const q = query.value, text = q.get("q") ?? "", type = q.get("type") ?? "", within = q.get("within") ?? "24h", from = q.get("since"), to = q.get("until");
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  const loaded = useLoad<Events>((s) => {
    const p = new URLSearchParams({ limit: "500" });
    if (type) p.set("type", type);
    for (const m of text.matchAll(/(?:(user):)?(?:"([^"]*)"|(\S+))/g)) m[1] ? p.set("user", m[2] ?? m[3]) : p.append("text", m[2] ?? m[3]);
    if (from && to) { p.set("since", from); p.set("until", to); } else p.set("since", new Date(Date.now() - (spans.find((x) => x[0] === within) ?? spans[1])[2]).toISOString());
    return get("/v1/events?" + p, s);
  }, text, type, within, from, to);
  const v = loaded.value;
  const shown = q.get("at");
  const event = v?.events.find((e) => `${e.t}-${e.i}` === shown);
  return (
    <>
      <Head title="Audit" about="What the gateway has recorded of itself: logins, requests and decisions, and what administrators did. Looking at it is on record, too.">
        <form role="search" onSubmit={(e) => { e.preventDefault(); setQuery({ q: typed }); }}><input type="search" class="long" aria-label="Search events" placeholder={`user:alice, an identifier, "a text"`} value={typed} onInput={(e) => { setTyped(e.currentTarget.value); if (!e.currentTarget.value) setQuery({ q: null }); }} /></form>
        <select aria-label="Kind of event" value={type} onChange={(e) => setQuery({ type: e.currentTarget.value })}>{types.map(([k, w]) => <option key={k} value={k}>{w}</option>)}</select>
        <select aria-label="Time" value={from ? "" : within} onChange={(e) => setQuery({ within: e.currentTarget.value, since: null, until: null })}>{from && <option value="">Chosen below</option>}{spans.map(([k, w]) => <option key={k} value={k}>{w}</option>)}</select>
        {may(me.value, "list") && <button type="button" onClick={() => setQuery({ evidence: "1" })}><Icon name="download" />Evidence pack</button>}
      </Head>
      {q.has("evidence") && <Evidence close={() => setQuery({ evidence: null })} />}
      {loaded.problem && <Problem of={loaded.problem} again={loaded.again} />}
      {!v ? !loaded.problem && <Skeleton /> : (
        <>
          <Bars counts={v.counts} from={v.from} to={v.to} what="events" open={(since, until) => setQuery({ since, until })} />
          <List items={v.events} id={(e) => `${e.t}-${str(e.i)}`} columns={columns} label="Events" open={(e) => setQuery({ at: `${e.t}-${str(e.i)}` })}
            empty={<Empty icon="scrollText" title="Nothing fits">Choose a longer time, or other words. <button type="button" class="link" onClick={() => setQuery({ q: null, type: null, since: null, until: null, within: "30d" })}>The last 30 days</button></Empty>} />
          {v.more && <p class="dim small">These are the newest 500. Choose a shorter time to see older ones.</p>}
        </>
      )}
      {event && <Dialog title={event.type} close={() => setQuery({ at: null })} wide><Code text={JSON.stringify(event, null, 2)} label="Event" /></Dialog>}
    </>
  );
}
