import { useEffect, useRef, useState } from "preact/hooks";
import { get, may } from "../api";
import { now, sessions } from "../live";
import { me } from "../me";
import { go, query, setQuery } from "../router";
import type { Session, Summary } from "../types";
import { KillDialog } from "../kill";
import { List, type Column } from "../ui/list";
import { Empty, Head, Problem, Skeleton, useTitle } from "../ui/parts";
import { Protocol, State } from "../ui/state";
import { A, span, tick, Time, Where, Who } from "../ui/text";

type Row = { id: string; live?: Session; past?: Summary };
const of = (r: Row) => (r.live ?? r.past)!;

/** How a session ended. */
export function End({ of: s }: { of: Summary }) {
  switch (s.end) {
    case "open": return <State tone="live" icon="activity" word="open" />;
    case "ended": return <State tone="off" icon="check" word="ended" />;
    case "recovered": return <State tone="review" icon="rotateCcw" word="cut off" title="The gateway stopped before it ended." />;
    case "erased": return <State tone="off" icon="circleSlash" word="erased" />;
    case "damaged": case "unreadable": return <State tone="deny" icon="shieldAlert" word={s.end} />;
    default: return <State tone="review" icon="ban" word="ended early" title={s.end} />;
  }
}

const columns: Column<Row>[] = [
  { head: "State", width: "108px", cell: (r) => (r.live ? (r.live.waiting ? <State tone="review" icon="hand" word="waits" /> : <State tone="live" icon="activity" word="live" />) : <End of={r.past!} />) },
  { head: "Who", width: "minmax(90px, 1fr)", cell: (r) => <Who subject={of(r).user} human={r.live?.for} /> },
  { head: "Where", width: "minmax(120px, 1.4fr)", cell: (r) => <A to={"/sessions/" + r.id} class="strong"><Where of={of(r)} /></A> },
  { head: "Protocol", width: "120px", wide: true, cell: (r) => <Protocol of={of(r).protocol} /> },
  { head: "From", width: "minmax(110px, 0.8fr)", wide: true, cell: (r) => <code class="dim">{of(r).remote}</code> },
  { head: "Began", width: "132px", wide: true, cell: (r) => <Time at={of(r).start} /> },
  { head: "Lasted", width: "96px", wide: true, end: true, cell: (r) => <span class="num">{r.live ? <Lasts from={r.live.start} /> : span(r.past!.seconds * 1000)}</span> },
  { head: "Asked", width: "72px", wide: true, end: true, cell: (r) => <span class="num">{of(r).operations + (r.past?.refused ?? 0)}</span> },
  { head: "Refused", width: "76px", wide: true, end: true, cell: (r) => (r.past?.refused ? <span class="num bad">{r.past.refused}</span> : <span class="dim">{r.live ? "" : "–"}</span>) },
];

function Lasts({ from }: { from: string }) { tick.value; return <>{span(now() - Date.parse(from))}</>; }

const fields = ["user", "group", "resource", "account", "database", "protocol", "kind", "verdict", "rule", "effect", "table", "masked"];

/** A query, such as: user:alice verdict:deny since:7d "drop table". Words without a field are texts. */
export function parse(text: string): { params: URLSearchParams; fields: Record<string, string>; texts: string[]; wrong: string[] } {
  const params = new URLSearchParams(), found: Record<string, string> = {}, texts: string[] = [], wrong: string[] = [];
  for (const m of text.matchAll(/(?:([a-z]+):)?(?:"([^"]*)"|(\S+))/g)) {
    const value = m[2] ?? m[3];
    if (!m[1]) { texts.push(value); params.append("text", value); continue; }
    if (m[1] === "since" || m[1] === "until") {
      const n = value.match(/^(\d+)(m|h|d|w)$/);
      const t = n ? Date.now() - Number(n[1]) * { m: 60e3, h: 3600e3, d: 86400e3, w: 604800e3 }[n[2] as "m"]! : Date.parse(value);
      if (Number.isFinite(t)) params.set(m[1], new Date(t).toISOString().replace(/\.\d+Z/, "Z"));
      else wrong.push(m[0]);
    } else if (fields.includes(m[1])) { found[m[1]] = value; params.set(m[1], value); }
    else if (m[0].includes("://")) { texts.push(m[0]); params.append("text", m[0]); }
    else wrong.push(m[0]);
  }
  return { params, fields: found, texts, wrong };
}

export default function Sessions() {
  useTitle("Sessions");
  const text = query.value.get("q") ?? "", state = query.value.get("state") ?? "";
  const [typed, setTyped] = useState(text);
  const [past, setPast] = useState<Summary[] | null>(null);
  const [unread, setUnread] = useState(0);
  const [problem, setProblem] = useState("");
  const [killing, setKilling] = useState<Session | null>(null);
  const [turn, setTurn] = useState(0);
  const loading = useRef(false), done = useRef(false);
  const q = parse(text);
  useEffect(() => setTyped(text), [text]);
  useEffect(() => {
    if (state === "live" || q.wrong.length) { setPast([]); return; }
    const stop = new AbortController();
    done.current = false;
    q.params.set("limit", "200");
    get<{ sessions: Summary[]; unread?: number }>("/v1/recordings?" + q.params, stop.signal).then((a) => {
      setPast(a.sessions); setUnread(a.unread ?? 0); setProblem(""); done.current = a.sessions.length < 200;
    }).catch((e) => { if (!stop.signal.aborted) { setProblem(e.message); setPast([]); } });
    return () => stop.abort();
  }, [text, state, turn]);
  const more = async () => {
    if (loading.current || done.current || !past?.length || state === "live") return;
    loading.current = true;
    try {
      const p = parse(text).params;
      p.set("limit", "200");
      p.set("until", past[past.length - 1].start);
      const a = await get<{ sessions: Summary[] }>("/v1/recordings?" + p);
      const have = new Set(past.map((s) => s.id));
      const fresh = a.sessions.filter((s) => !have.has(s.id));
      done.current = a.sessions.length < 200 || !fresh.length;
      setPast([...past, ...fresh]);
    } catch (e) { setProblem((e as Error).message); done.current = true; }
    loading.current = false;
  };
  const fits = (s: Session) => Object.entries(q.fields).every(([k, v]) => (k === "user" ? s.user === v || s.for === v : k === "group" ? !!s.groups?.includes(v)
    : k in s ? (s as any)[k] === v : false)) && !q.texts.length && !q.params.has("since") && !q.params.has("until");
  const live = [...(sessions.value?.values() ?? [])].filter((s) => state !== "past" && (fits(s) || past?.some((p) => p.id === s.id)));
  const open = new Set(sessions.value?.keys());
  const rows: Row[] = [...live.sort((a, b) => Date.parse(b.start) - Date.parse(a.start)).map((s) => ({ id: s.id, live: s })),
    ...(past ?? []).filter((s) => !open.has(s.id)).map((s) => ({ id: s.id, past: s }))];
  return (
    <>
      <Head title="Sessions" about={<>Open ones first, then those that are on record. Search by <code>user:</code> <code>resource:</code> <code>verdict:deny</code> <code>rule:</code> <code>table:</code> <code>since:7d</code>, or a text.</>}>
        <form onSubmit={(e) => { e.preventDefault(); setQuery({ q: typed }); }} role="search"><input type="search" class="long" aria-label="Search sessions" placeholder={`user:alice verdict:deny "drop table"`} value={typed} onInput={(e) => { setTyped(e.currentTarget.value); if (!e.currentTarget.value) setQuery({ q: null }); }} /></form>
        <select aria-label="State" value={state} onChange={(e) => setQuery({ state: e.currentTarget.value })}><option value="">Open and past</option><option value="live">Open</option><option value="past">Past</option></select>
      </Head>
      {q.wrong.length > 0 && <Problem of={`These words cannot be searched by: ${q.wrong.join(", ")}. There are ${fields.join(", ")}, since and until.`} />}
      {problem && <Problem of={problem} again={() => setTurn(turn + 1)} />}
      {unread > 0 && <Problem of={`${unread} records cannot be read, so that it is not known whether they fit. sallyport verify says why.`} />}
      {!past || !sessions.value ? <Skeleton /> : (
        <List items={rows} id={(r) => r.id} columns={columns} label="Sessions" open={(r) => go("/sessions/" + r.id)} more={more}
          actions={{ x: (r) => { if (r.live) setKilling(r.live); } }}
          empty={text || state
            ? <Empty icon="search" title="No session fits">Change the search. <button type="button" class="link" onClick={() => setQuery({ q: null, state: null })}>Show all</button></Empty>
            : <Empty icon="activity" title="There was no session yet">{may(me.value, "list") ? "What anybody does at a resource through the gateway appears here." : "What you do at a resource through the gateway appears here."} <A to="/connections">Connections</A></Empty>} />
      )}
      {killing && <KillDialog of={killing} close={() => setKilling(null)} />}
    </>
  );
}
