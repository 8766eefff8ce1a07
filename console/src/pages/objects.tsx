import { useState } from "preact/hooks";
import { at, get, post } from "../api";
import { Diff } from "../diff";
import { me } from "../me";
import { query, setQuery } from "../router";
import { Icon } from "../ui/icon";
import { List, type Column } from "../ui/list";
import { Dialog, Empty, Fact, Facts, Field, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { State } from "../ui/state";
import { A, Code, Time, visible } from "../ui/text";
import { took } from "./session";
import { say } from "../ui/toast";

interface Obj { kind: string; name: string; text: string; home: string; hidden?: boolean }
interface Change { kind: string; name: string; before?: string; after?: string }
interface Revision {
  number: number; state: string; author: { subject: string; name?: string }; reason?: string; created: string; changes: Change[]; needs?: string[]; reverts?: number;
  decided?: { by: { subject: string }; at: string; reason?: string }; unused?: string;
}

function Home({ of: o }: { of: Obj }) {
  if (o.hidden) return <State tone="review" icon="triangleAlert" word="not used" title="The config file has one of the same name, or does not use objects of its kind." />;
  return o.home === "file" ? <State tone="off" icon="fileText" word="config file" title="It is changed in the file." /> : <State tone="info" icon="layers" word="store" />;
}

const columns: Column<Obj>[] = [
  { head: "Kind", width: "112px", cell: (o) => <span class="dim">{o.kind}</span> },
  { head: "Name", width: "minmax(120px, 2fr)", cell: (o) => <button type="button" class="link strong" onClick={() => setQuery({ kind: o.kind, name: o.name })}><bdi>{visible(o.name)}</bdi></button> },
  { head: "Where", width: "132px", cell: (o) => <Home of={o} /> },
  { head: "Begins with", width: "minmax(120px, 3fr)", wide: true, cell: (o) => <code class="one-line dim">{visible(o.text.replace(/\s+/g, " "))}</code> },
];

const states: Record<string, ["allow" | "deny" | "review" | "off", "circleCheck" | "circleX" | "clock" | "info"]> = { applied: ["allow", "circleCheck"], waiting: ["review", "clock"], rejected: ["deny", "circleX"] };

const revisionColumns: Column<Revision>[] = [
  { head: "State", width: "108px", cell: (r) => { const [tone, icon] = states[r.state] ?? ["off", "info"]; return <State tone={tone} icon={icon} word={r.state} />; } },
  { head: "Number", width: "72px", end: true, cell: (r) => <button type="button" class="link strong num" onClick={() => setQuery({ revision: String(r.number) })}>{r.number}</button> },
  { head: "Who", width: "minmax(100px, 1fr)", cell: (r) => <bdi>{visible(r.author.name || r.author.subject)}</bdi> },
  { head: "What", width: "minmax(120px, 2fr)", wide: true, cell: (r) => <span>{r.changes.map((c) => `${c.kind} ${c.name}`).join(", ")}</span> },
  { head: "Why", width: "minmax(100px, 2fr)", wide: true, cell: (r) => <bdi class="dim">{visible(r.reason ?? "")}</bdi> },
  { head: "When", width: "136px", wide: true, cell: (r) => <Time at={r.created} /> },
];

export default function Objects() {
  useTitle("Configuration");
  const q = query.value, view = q.get("view") ?? "", text = q.get("q") ?? "";
  const objects = useLoad<{ revision: number; objects: Obj[] }>((s) => get("/v1/objects", s));
  const history = useLoad<{ revisions: Revision[] }>(view === "history" || q.has("revision") ? (s) => get("/v1/revisions?limit=100", s) : null, view, q.has("revision"));
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const list = (objects.value?.objects ?? []).filter((o) => words.every((w) => [o.kind, o.name, o.home].join(" ").toLowerCase().includes(w)));
  const shown = objects.value?.objects.find((o) => o.kind === q.get("kind") && o.name === q.get("name"));
  const revision = history.value?.revisions.find((r) => String(r.number) === q.get("revision"));
  const again = () => { objects.again(); history.again(); };
  return (
    <>
      <Head title="Configuration" about="Resources, access rules, guardrails, masking rules and users: those of the config file, which is changed there, and those of the store.">
        {view === "" && <input type="search" aria-label="Find an object" placeholder="Kind or name" value={text} onInput={(e) => setQuery({ q: e.currentTarget.value })} />}
        <select aria-label="View" value={view} onChange={(e) => setQuery({ view: e.currentTarget.value })}><option value="">Objects</option><option value="history">Changes</option></select>
        <A to="/configuration/edit" class="button primary"><Icon name="plus" />New object</A>
      </Head>
      {(view === "" ? objects : history).problem && <Problem of={(view === "" ? objects : history).problem} again={again} />}
      {view === "" ? !objects.value ? !objects.problem && <Skeleton /> : (
        <List items={list} id={(o) => o.kind + "/" + o.name} columns={columns} label="Objects" open={(o) => setQuery({ kind: o.kind, name: o.name })}
          empty={<Empty icon="layers" title={text ? "Nothing fits" : "Nothing is configured"} command="sallyport apply -f objects.yaml --reason TICKET"><A to="/configuration/edit">Make an object</A>, or apply a file by the command line.</Empty>} />
      ) : !history.value ? !history.problem && <Skeleton /> : (
        <List items={history.value.revisions} id={(r) => String(r.number)} columns={revisionColumns} label="Changes" open={(r) => setQuery({ revision: String(r.number) })}
          empty={<Empty icon="history" title="Nothing was changed in the store yet" command="sallyport apply objects.yaml --reason TICKET" />} />
      )}
      {shown && (
        <Dialog title={`${shown.kind} ${shown.name}`} close={() => setQuery({ kind: null, name: null })} wide>
          <div class="stack"><div><Home of={shown} /></div><Code text={shown.text} label="Definition" />
            {shown.home === "file" ? <p class="hint">It is in the config file, and is changed there.</p> : <div class="buttons"><A to={`/configuration/edit?kind=${encodeURIComponent(shown.kind)}&name=${encodeURIComponent(shown.name)}`} class="button primary">Change it</A></div>}
            {shown.kind === "resource" && <Test name={shown.name} />}</div>
        </Dialog>
      )}
      {revision && <RevisionDialog of={revision} close={() => setQuery({ revision: null })} again={again} />}
    </>
  );
}

function RevisionDialog({ of: r, close, again }: { of: Revision; close: () => void; again: () => void }) {
  const [reason, setReason] = useState("");
  const doing = useDoing();
  const act = (what: string, said: string) => doing.run(async () => { await post(at`/v1/revisions/${r.number}/` + what, { reason }); say(said); again(); close(); });
  const own = r.author.subject === me.value?.subject;
  return (
    <Dialog title={`Change ${r.number}`} close={close} wide>
      <div class="stack">
        <Facts>
          <Fact word="Who"><bdi>{visible(r.author.name || r.author.subject)}</bdi>, <Time at={r.created} /></Fact>
          {r.reason && <Fact word="Why"><bdi>{visible(r.reason)}</bdi></Fact>}
          <Fact word="State">{r.state}{r.decided && <> by <bdi>{visible(r.decided.by.subject)}</bdi>, <Time at={r.decided.at} /></>}</Fact>
          {r.needs?.length ? <Fact word="Needs another because">{r.needs.map((n) => <p key={n}>{visible(n)}</p>)}</Fact> : null}
          {r.unused && <Fact word="Not used">{visible(r.unused)}</Fact>}
        </Facts>
        {r.changes.map((c) => <section key={c.kind + c.name}><h3>{c.kind} {visible(c.name)}</h3><Diff before={c.before} after={c.after} /></section>)}
        {(r.state === "waiting" || r.state === "applied") && <Field id="revision-reason" label="Reason" hint="It is on record."><input id="revision-reason" maxLength={1000} aria-describedby="revision-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>}
        {doing.problem && <Problem of={doing.problem} />}
        <div class="buttons">
          {r.state === "waiting" && !own && <button type="button" class="allow" disabled={doing.busy} onClick={() => act("approve", "Applied.")}><Icon name="check" />Approve</button>}
          {r.state === "waiting" && <button type="button" class="deny" disabled={doing.busy} onClick={() => act("reject", "Not applied.")}><Icon name="x" />{own ? "Withdraw" : "Reject"}</button>}
          {r.state === "applied" && <button type="button" disabled={doing.busy} onClick={() => act("revert", "Taken back by another change.")}><Icon name="undo" />Take it back</button>}
        </div>
      </div>
    </Dialog>
  );
}

interface Step { name: string; ok: boolean; text: string; micros: number }

/** Whether the gateway gets there, step by step. */
function Test({ name }: { name: string }) {
  const [steps, setSteps] = useState<Step[] | null>(null);
  const doing = useDoing();
  return (
    <section class="stack" aria-label="Test of the connection">
      <div class="buttons"><button type="button" disabled={doing.busy} onClick={() => doing.run(async () => setSteps((await post<{ steps: Step[] }>(at`/v1/resources/${name}/test`)).steps))}><Icon name="plug" />Test the connection</button></div>
      {doing.problem && <Problem of={doing.problem} />}
      {steps && <div role="status"><ol class="lines">{steps.map((s) => <li key={s.name}><State tone={s.ok ? "allow" : "deny"} icon={s.ok ? "circleCheck" : "circleX"} word={s.name} /><span class="grow"><bdi>{visible(s.text)}</bdi></span><span class="num dim">{took(s.micros)}</span></li>)}</ol></div>}
    </section>
  );
}
