import { useEffect, useState } from "preact/hooks";
import { at, get, may } from "../api";
import { sessions } from "../live";
import { me } from "../me";
import { Frozen, KillDialog, StepIn } from "../kill";
import { query, setQuery } from "../router";
import type { Operation, Recording } from "../types";
import { Icon } from "../ui/icon";
import { useKeys } from "../ui/keys";
import { List, type Column } from "../ui/list";
import { Dialog, Empty, Fact, Facts, Head, Problem, Skeleton, useLoad, useTitle } from "../ui/parts";
import { Protocol, State } from "../ui/state";
import { A, Code, Copy, Left, span, Time, visible, Where, Who } from "../ui/text";

export function OperationState({ of: o }: { of: Operation }) {
  if (o.state === "refused") return <State tone="deny" icon="circleX" word="refused" title={o.reason} />;
  if (o.state === "unfinished") return <State tone="review" icon="clock" word="unfinished" />;
  if (o.error || (o.code && o.code !== "0" && o.code !== "00000")) return <State tone="review" icon="triangleAlert" word="failed" title={o.error ?? o.code} />;
  if (o.verdict === "rewrite") return <State tone="masked" icon="eye" word="rewritten" />;
  if (o.grant) return <State tone="allow" icon="shieldCheck" word="approved" title={"request " + o.grant} />;
  return <State tone="allow" icon="check" word="ran" />;
}

export const took = (micros?: number) => (micros === undefined ? "–" : micros < 1000 ? `${micros} µs` : micros < 1e6 ? `${(micros / 1000).toFixed(micros < 10000 ? 1 : 0)} ms` : `${(micros / 1e6).toFixed(2)} s`);
const masked = (o: Operation) => Object.values(o.masked ?? {}).reduce((a, b) => a + b, 0);

const columns: Column<Operation>[] = [
  { head: "At", width: "76px", cell: (o) => <Time at={o.at} seconds /> },
  { head: "Outcome", width: "104px", cell: (o) => <OperationState of={o} /> },
  { head: "Kind", width: "96px", wide: true, cell: (o) => <span class="dim">{o.kind}</span> },
  { head: "What", width: "minmax(120px, 3fr)", cell: (o) => <code class="one-line">{visible((o.text || o.target || o.name || o.kind).replace(/\s+/g, " "))}</code> },
  { head: "Rule", width: "minmax(60px, 0.7fr)", wide: true, cell: (o) => <span class="dim">{visible(o.rule ?? "")}</span> },
  { head: "Rows", width: "80px", wide: true, end: true, cell: (o) => <span class="num">{o.rows ? o.rows.toLocaleString("en") : ""}</span> },
  { head: "Masked", width: "84px", wide: true, end: true, cell: (o) => (masked(o) ? <span class="num masked">{masked(o).toLocaleString("en")}</span> : "") },
  { head: "Took", width: "84px", wide: true, end: true, cell: (o) => <span class="num dim">{o.state === "done" ? took(o.micros) : ""}</span> },
];

export default function SessionPage({ id }: { id: string }) {
  useTitle("Session " + id);
  const live = sessions.value?.get(id);
  const [pages, setPages] = useState<Operation[]>([]);
  const [killing, setKilling] = useState(false);
  const loaded = useLoad<Recording>((s) => get(at`/v1/recordings/${id}`, s), id, !!live);
  const r = loaded.value;
  // Of an open session the list is read again from time to time; each time is on record.
  useEffect(() => {
    if (!live || !r || live.operations <= r.all) return;
    const timer = setTimeout(loaded.again, 3000);
    return () => clearTimeout(timer);
  }, [live?.operations, r?.all]);
  useEffect(() => setPages([]), [id]);
  useKeys(() => ({ x: () => { if (live) setKilling(true); } }), [live]);
  const list = [...(r?.operations ?? []), ...pages];
  const more = async () => {
    if (!r || list.length >= r.all || !list.length) return;
    const next = await get<Recording>(at`/v1/recordings/${id}?skip=${list.length}`);
    setPages((p) => (p.length + r.operations.length === list.length ? [...p, ...next.operations] : p));
  };
  const shown = query.value.get("op");
  const op = list.find((o) => String(o.op) === shown);
  const head = live ?? r;
  if (!head) return loaded.missing ? <><Head title="No such session" /><Empty icon="search" title="There is no session of this identifier that you may see">It may have been somebody else's, or was erased. <A to="/sessions">All sessions</A></Empty></> : loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton />;
  const canKill = live && (may(me.value, "kill") || live.user === me.value?.subject || live.for === me.value?.subject);
  return (
    <>
      <A to="/sessions" class="crumb"><Icon name="arrowLeft" size={14} />Sessions</A>
      <Head title={<><bdi>{visible(head.user)}</bdi> at <bdi>{visible(head.resource)}</bdi></>} about={<span class="line"><Protocol of={head.protocol} /><span>began <Time at={head.start} seconds />{r?.end && <>, lasted {span(Date.parse(r.end) - Date.parse(r.start))}</>}</span></span>}>
        {live ? <span class="badge" data-tone="live"><State tone="live" icon="activity" word="live" /></span> : r?.recovered ? <State tone="review" icon="rotateCcw" word="cut off" /> : r?.error ? <State tone="review" icon="ban" word="ended early" /> : <State tone="off" icon="check" word="ended" />}
        {head.protocol === "ssh" && <A to={`/sessions/${id}/replay`} class="button"><Icon name="play" />{live && may(me.value, "watch") ? "Watch" : "Replay"}</A>}
        {live && <StepIn of={live} />}
        {canKill && <button type="button" class="deny" onClick={() => setKilling(true)}><Icon name="ban" />End it <kbd>x</kbd></button>}
      </Head>
      <Frozen id={id} />
      {r?.error && <div class="banner" data-tone="review"><Icon name="ban" /><bdi>{visible(r.error)}</bdi></div>}
      {r?.lost ? <Problem of={`${r.lost} events could not be recorded: what is listed is not all.`} /> : null}
      <section class="panel" aria-label="Facts"><div class="body"><Facts>
        <Fact word="Who"><Who subject={head.user} human={head.for} />{head.groups?.length ? <span class="chips inline">{head.groups.map((g) => <span key={g} class="chip">{visible(g)}</span>)}</span> : null}{head.method && <span class="dim"> by {head.method}</span>}</Fact>
        <Fact word="Where"><Where of={head} /></Fact>
        <Fact word="From"><code>{head.remote ?? "–"}</code></Fact>
        {live?.deadline && <Fact word="Ends"><Left until={live.deadline} from={live.start} /></Fact>}
        {live && <Fact word="Asked"><span class="num">{live.operations}</span>{live.waiting > 0 && <> · <State tone="review" icon="hand" word={`${live.waiting} held`} /></>}</Fact>}
        {r?.recording && <Fact word="Recorded"><span class="chips">{Object.entries(r.recording).map(([k, v]) => <span key={k} class="chip">{k}: {v}</span>)}</span></Fact>}
        <Fact word="Identifier"><code>{id}</code> <Copy text={id} label="Copy the identifier" /></Fact>
      </Facts></div></section>
      {r?.withheld ? <Empty icon="eye" title="What was asked is not shown to you">It takes the permission <code>watch</code>.</Empty> : !r ? loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton /> : (
        <List items={list} id={(o) => String(o.op)} columns={columns} label="Operations" open={(o) => setQuery({ op: String(o.op) })} more={more}
          empty={<Empty icon="fileText" title="Nothing was asked yet">Statements, commands and accesses to files appear here, with their verdicts.</Empty>} />
      )}
      {op && <OperationDialog of={op} close={() => setQuery({ op: null })} />}
      {killing && live && <KillDialog of={live} close={() => setKilling(false)} />}
    </>
  );
}

function OperationDialog({ of: o, close }: { of: Operation; close: () => void }) {
  return (
    <Dialog title={`Operation ${o.op}`} close={close} wide>
      <div class="stack">
        <div class="line"><OperationState of={o} /><span class="dim">{o.kind}</span><Time at={o.at} seconds /><span class="dim num">{o.state === "done" ? took(o.micros) : ""}</span></div>
        {o.text && <Code text={o.text + (o.cut ? " …" : "")} label="Text" />}
        {o.reason && <p>{visible(o.reason)}</p>}
        {o.error && <Problem of={visible(o.error)} />}
        <Facts>
          {o.name && <Fact word="Name"><code>{visible(o.name)}</code></Fact>}
          {o.target && <Fact word="Target"><code>{visible(o.target)}</code></Fact>}
          {o.effects && <Fact word="Effects">{o.effects}</Fact>}
          {o.verdict && <Fact word="Verdict">{o.verdict}{o.by && <span class="dim"> by {visible(o.by)}</span>}</Fact>}
          {o.rule && <Fact word="Rule"><code>{visible(o.rule)}</code></Fact>}
          {o.grant && <Fact word="Approval"><A to={"/requests/" + o.grant}><code>{visible(o.grant)}</code></A></Fact>}
          {o.rows ? <Fact word="Rows"><span class="num">{o.rows.toLocaleString("en")}</span></Fact> : null}
          {o.masked && <Fact word="Masked"><span class="chips">{Object.entries(o.masked).map(([k, n]) => <span key={k} class="chip">{visible(k)}: <span class="num">{n}</span></span>)}</span></Fact>}
          {o.code && <Fact word="Code"><code>{visible(o.code)}</code></Fact>}
        </Facts>
      </div>
    </Dialog>
  );
}
