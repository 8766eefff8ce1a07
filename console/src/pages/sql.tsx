import { effect, signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { now } from "../live";
import { Frozen } from "../kill";
import { query, setQuery } from "../router";
import { found, resources } from "../resources";
import { Desk, portion, type Relation, type Run } from "../sql/desk";
import { Editor } from "../sql/editor";
import { Grid } from "../sql/grid";
import { Plan, plan } from "../sql/plan";
import { AskSave, Saved } from "../sql/save";
import { Icon } from "../ui/icon";
import { Empty, useTitle } from "../ui/parts";
import { State } from "../ui/state";
import { A, Left, span, tick, Time, visible } from "../ui/text";

// A session goes on while somebody looks at another page of the console.
const desks = new Map<string, Desk>();
const drafts = new Map<string, string>();
const opened = signal(0);

function deskOf(resource: string, account: string, database: string): Desk {
  const key = [resource, account, database].join("\u0000");
  let d = desks.get(key);
  if (!d) { d = new Desk(resource, account, database); desks.set(key, d); }
  return d;
}

addEventListener("beforeunload", (e) => { if ([...desks.values()].some((d) => d.state.value !== "ended" && d.transaction.value !== "idle")) e.preventDefault(); });

export default function SQLPage({ name }: { name: string }) {
  useTitle(`${name}: SQL`);
  useEffect(found, []);
  const account = query.value.get("account") ?? "", database = query.value.get("database") ?? "";
  opened.value;
  const desk = deskOf(name, account, database);
  const again = () => { desk.close(); desks.delete([name, account, database].join("\u0000")); opened.value++; };
  return <Work key={[name, account, database, opened.value].join(" ")} of={desk} again={again} />;
}

function Work({ of: d, again }: { of: Desk; again: () => void }) {
  const place = useRef<HTMLDivElement>(null);
  const tools = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const [tree, setTree] = useState(innerWidth > 900);
  const type = resources.value?.find((r) => r.name === d.resource)?.type ?? "postgres";
  const execute = () => { const c = editor.current!.chosen(); editor.current!.wrong(0, undefined); setQuery({ show: null }); d.execute(c.text, c.from); };
  const [saving, setSaving] = useState<{ text: string; from: number } | null>(null);
  const save = () => { const c = editor.current!.chosen(); if (c.text.trim()) setSaving(c); };
  const explain = () => {
    const c = editor.current!.chosen();
    if (type === "mysql") { setQuery({ show: null }); return d.execute("EXPLAIN " + c.text.replace(/;\s*$/, ""), c.from - 8); }
    setQuery({ show: "plan" }); d.execute("EXPLAIN (FORMAT JSON) " + c.text.replace(/;\s*$/, ""), c.from - 22, true);
  };
  useEffect(() => {
    const key = d.resource + "\u0000" + d.database;
    const e = new Editor(place.current!, drafts.get(key) ?? "", type, { run: execute, explain, leave: () => tools.current?.querySelector<HTMLElement>("button:not(:disabled)")?.focus(), change: (text) => drafts.set(key, text) });
    editor.current = e;
    e.view.focus();
    // What the tree knows is completed: relations at once, columns of those that are named.
    const stop = effect(() => {
      const all = d.relations.value, columns = d.columns.value;
      if (!all) return;
      const schema: Record<string, Record<string, string[]>> = {};
      for (const r of all) (schema[r.schema] ??= {})[r.name] = (columns.get(r.schema + "\u0000" + r.name) ?? []).map((c) => c.name);
      e.know(schema, "public");
    });
    const named = setInterval(() => {
      const text = e.view.state.doc.toString().toLowerCase();
      if (d.busy.value || text.length > 20_000) return;
      const words = new Set(text.match(/[\p{L}_][\p{L}\p{N}_$]*/gu) ?? []);
      const next = d.relations.value?.find((r) => words.has(r.name.toLowerCase()) && r.schema !== "pg_catalog" && r.schema !== "information_schema" && !d.columns.value.has(r.schema + "\u0000" + r.name));
      if (next) d.lookAt(next.schema, next.name);
    }, 1500);
    return () => { stop(); clearInterval(named); e.dispose(); };
  }, [d]);
  d.turn.value;
  const run = d.run.value;
  useEffect(() => { if (run?.failure) editor.current?.wrong(Math.max(0, run.from), run.failure.position && run.failure.position + Math.min(0, run.from)); }, [run?.failure]);
  const info = d.info.value, ended = d.state.value === "ended";
  return (
    <div class="work sql">
      <h1 class="away" tabindex={-1}>SQL at {visible(d.resource)}</h1>
      <div class="statusbar" ref={tools} role="toolbar" aria-label="SQL">
        <button type="button" class="primary small" onClick={execute} disabled={d.running.value || d.state.value !== "open"} title="Ctrl Enter"><Icon name="play" size={14} />Run</button>
        <button type="button" class="small" onClick={() => d.cancel()} disabled={!d.running.value}><Icon name="ban" size={14} />Cancel</button>
        <button type="button" class="small" onClick={explain} disabled={d.running.value || d.state.value !== "open"} title="Ctrl Shift Enter">Explain</button>
        <button type="button" class="small" onClick={save} disabled={d.running.value || d.state.value !== "open"}><Icon name="download" size={14} />Save rows</button>
        <button type="button" class="quiet small" aria-pressed={tree} onClick={() => setTree(!tree)}><Icon name="layers" size={14} />Tree</button>
        <span class="grow" />
        <Transaction of={d} />
        {info?.deadline && <Left until={info.deadline} from={info.start} />}
        {info ? <A to={"/sessions/" + info.session} class="button small quiet"><bdi>{visible(d.resource)}{info.account && info.account !== "default" ? " as " + visible(info.account) : ""}</bdi></A> : <State tone={d.held.value ? "review" : ended ? "off" : "info"} icon={d.held.value ? "hand" : ended ? "circleSlash" : "clock"} word={d.held.value ? "waits for approval" : ended ? "ended" : "connecting"} />}
      </div>
      {saving && <AskSave text={saving.text} close={() => setSaving(null)} save={(kind) => { setSaving(null); setQuery({ show: null }); d.execute(saving.text, saving.from, false, kind); }} />}
      {d.held.value && !ended && <Held message={d.held.value.message} request={d.held.value.request} />}
      {info && <Frozen id={info.session} />}
      {ended && <div class="banner" role="alert" data-tone="deny"><Icon name="ban" /><span class="grow">The session has ended{d.reason.value && <>: <bdi>{visible(d.reason.value)}</bdi></>}. A transaction that was open is rolled back.</span><button type="button" class="small" onClick={again}><Icon name="rotateCcw" size={14} />Connect again</button></div>}
      <div class="bench" data-tree={tree || undefined}>
        {tree && <Tree of={d} insert={(text) => editor.current?.insert(text)} />}
        <div class="editor" ref={place} />
        <Outcome of={d} put={(text) => editor.current?.replace(text)} />
      </div>
    </div>
  );
}

function Held({ message, request }: { message?: string; request?: string }) {
  return <div class="banner" role="status" data-tone="review"><Icon name="hand" /><span class="grow">{visible(message || "This waits for an approval.")}</span>{request && <A to={"/requests/" + request} class="button small">Request</A>}</div>;
}

function Transaction({ of: d }: { of: Desk }) {
  switch (d.transaction.value) {
    case "open": return <State tone="review" icon="layers" word="transaction open" title="It ends with COMMIT or ROLLBACK." />;
    case "failed": return <State tone="deny" icon="triangleAlert" word="transaction failed" title="Every statement fails until ROLLBACK." />;
    default: return d.state.value === "open" ? <State tone="off" icon="check" word="no transaction" /> : null;
  }
}

const quoted = (s: string, q = '"') => (/^[a-z_][a-z0-9_$]*$/.test(s) ? s : q + s.replaceAll(q, q + q) + q);

const system = new Set(["information_schema", "pg_catalog", "mysql", "performance_schema", "sys"]);

/** What the session's account may use. */
function Tree({ of: d, insert }: { of: Desk; insert: (text: string) => void }) {
  const [text, setText] = useState("");
  const [open, setOpen] = useState<Set<string>>(new Set());
  const all = d.relations.value;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = useMemo(() => (all ?? []).filter((r) => words.every((w) => (r.schema + "." + r.name).toLowerCase().includes(w))), [all, text]);
  // The server's own are looked at by name.
  const own = words.length ? shown : shown.filter((r) => !system.has(r.schema));
  const most = own.slice(0, 500);
  const toggle = (r: Relation) => {
    const key = r.schema + "\u0000" + r.name, next = new Set(open);
    if (next.has(key)) next.delete(key); else { next.add(key); d.lookAt(r.schema, r.name); }
    setOpen(next);
  };
  const mark = resources.value?.find((r) => r.name === d.resource)?.type === "mysql" ? "`" : '"';
  let schema = "";
  return (
    <nav class="tree" aria-label="Tables">
      <div class="tree-head"><input type="search" aria-label="Find a table" placeholder="Find a table" value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <button type="button" class="quiet icon-only" aria-label="Read the tables again" onClick={() => d.look()} disabled={d.busy.value}><Icon name="rotateCcw" size={14} /></button></div>
      {d.treeProblem.value && <p class="small bad pad">{visible(d.treeProblem.value)}</p>}
      {all && !all.length && !d.treeProblem.value && <p class="small dim pad">There is no table that this account may use.</p>}
      <ul>
        {most.map((r) => {
          const key = r.schema + "\u0000" + r.name, is = open.has(key), columns = d.columns.value.get(key);
          const head = r.schema !== schema ? (schema = r.schema) : "";
          return (
            <li key={key}>
              {head && <p class="small dim schema">{visible(head)}</p>}
              <div class="tree-row">
                <button type="button" class="quiet icon-only" aria-expanded={is} aria-label={`Columns of ${r.name}`} onClick={() => toggle(r)}><span class={is ? "turned" : ""}><Icon name="chevronRight" size={12} /></span></button>
                <button type="button" class="link cut" title={`${r.kind} ${r.schema}.${r.name}`} onClick={() => insert(r.schema === "public" ? quoted(r.name) : quoted(r.schema, mark) + "." + quoted(r.name, mark))}>{visible(r.name)}</button>
                {r.kind !== "table" && <span class="dim small">{r.kind.split(" ")[0]}</span>}
              </div>
              {is && <ul class="tree-columns">{columns ? columns.map((c) => <li key={c.name}><button type="button" class="link cut" onClick={() => insert(quoted(c.name, mark))}>{visible(c.name)}</button> <span class="dim small">{c.type}{c.key ? ", key" : c.not_null ? "" : ", null"}</span></li>) : <li class="dim small">…</li>}</ul>}
            </li>
          );
        })}
      </ul>
      {shown.length > most.length && <p class="small dim pad">And {(shown.length - most.length).toLocaleString("en")} more{own.length < shown.length && most.length === own.length ? " of the server's own" : ""}: find them by name.</p>}
    </nav>
  );
}

/** What came of the last text. */
function Outcome({ of: d, put }: { of: Desk; put: (text: string) => void }) {
  const run = d.run.value, turn = d.turn.value;
  const want = query.value.get("show");
  const [which, setWhich] = useState(0);
  useEffect(() => setWhich(0), [run]);
  if (!run) {
    return (
      <section class="outcome" aria-label="Result">
        {d.history.value.length ? null : <Empty icon="database" title="Nothing has run yet">Write a statement and run it with <kbd>Ctrl</kbd> <kbd>Enter</kbd>; of a selection only that runs. Rules, masking and approvals are those of every client: what you may not see is not sent.</Empty>}
      </section>
    );
  }
  const withRows = run.results.filter((r) => r.columns.length);
  const result = withRows[Math.min(which, withRows.length - 1)];
  const step = run.plan && run.results[0]?.rows.length ? plan(String(run.results[0].rows.first.map((r) => r[0]).join("\n"))) : null;
  const show = want === "history" || want === "messages" ? want : step ? "plan" : result || run.save && !run.failure ? "rows" : "messages";
  return (
    <section class="outcome" aria-label="Result">
      <div class="tabs">
        <div role="tablist" class="tablist" aria-label="What to show">
          {([["rows", "Rows"], ...(step ? [["plan", "Plan"]] : []), ["messages", "Messages"], ["history", "History"]] as [string, string][]).map(([key, word]) => (
            <span key={key} class="tab" data-on={show === key || undefined}><button type="button" role="tab" aria-selected={show === key} disabled={key === "rows" && !result} onClick={() => setQuery({ show: key === "rows" || key === "plan" ? null : key })}>{word}{key === "messages" && run.notices.length + (run.failure ? 1 : 0) > 0 ? ` ${run.notices.length + (run.failure ? 1 : 0)}` : ""}</button></span>
          ))}
        </div>
        <Progress of={run} />
        {withRows.length > 1 && <select aria-label="Which result" value={String(which)} onChange={(e) => setWhich(Number(e.currentTarget.value))}>{withRows.map((_, i) => <option key={i} value={i}>Result {i + 1} of {withRows.length}</option>)}</select>}
      </div>
      {run.held && <Held message={run.held.message} request={run.held.request} />}
      {run.failure && <div class="problem" role="alert"><Icon name={run.failure.code === "42501" ? "ban" : "triangleAlert"} /><span class="grow"><bdi>{visible(run.failure.message)}</bdi>{run.failure.detail && <span class="dim"> {visible(run.failure.detail)}</span>}{run.failure.hint && <span> {visible(run.failure.hint)}</span>}</span>{run.failure.code === "42501" && <A to={`/connections/${encodeURIComponent(d.resource)}?ask=1`} class="button small">Ask</A>}</div>}
      {show === "rows" && run.save && <Saved of={run} />}
      {show === "rows" && result && !run.save && <Grid of={result} turn={turn} columns={run.columns} resource={d.resource} />}
      {show === "plan" && step && <div class="scroll grow"><Plan of={step} /></div>}
      {show === "messages" && <Messages of={run} />}
      {show === "history" && <History of={d} put={put} />}
      {show === "rows" && run.state === "paused" && <div class="banner" role="status" data-tone="info"><Icon name="info" /><span class="grow">{result?.rows.length.toLocaleString("en")} rows have come, and there are more. The statement waits.</span><button type="button" class="small" onClick={() => d.more(portion * 10)}>{(portion * 10).toLocaleString("en")} more</button><button type="button" class="small" onClick={() => d.more(1e6)}>A million more</button><button type="button" class="small" onClick={() => d.cancel()}>Stop</button></div>}
      <Masks of={run} />
    </section>
  );
}

function Progress({ of: r }: { of: Run }) {
  if (r.state === "running" || r.state === "held") tick.value;
  const rows = r.results.reduce((a, x) => a + x.rows.length, 0);
  const words = rows ? `${rows.toLocaleString("en")} rows` : r.results.length ? r.results[r.results.length - 1].tag : "";
  const took = r.micros ? (r.micros < 1000 ? `${r.micros} µs` : r.micros < 1e6 ? `${(r.micros / 1000).toFixed(1)} ms` : `${(r.micros / 1e6).toFixed(2)} s`) : "";
  const states = { running: ["info", "clock", "running " + span(now() - r.began)], paused: ["review", "timer", "waits for you"], held: ["review", "hand", "held"], done: ["allow", "check", "done"], failed: ["deny", "circleX", "failed"], cancelled: ["off", "circleSlash", "cancelled"] } as const;
  const [tone, icon, word] = states[r.state];
  return <span class="line grow" role="status"><State tone={tone} icon={icon} word={word} /><span class="num">{words}</span><span class="num dim">{took}</span></span>;
}

function Masks({ of: r }: { of: Run }) {
  if (!r.masked.size) return null;
  return <p class="masks small"><Icon name="eye" size={14} /><span class="masked">{[...r.masked.values()].reduce((a, b) => a + b, 0).toLocaleString("en")} values are masked</span>{[...r.masked].map(([k, n]) => <span key={k} class="chip">{visible(k)}: <span class="num">{n.toLocaleString("en")}</span></span>)}</p>;
}

function Messages({ of: r }: { of: Run }) {
  const tags = r.results.filter((x) => x.done);
  if (!tags.length && !r.notices.length) return <p class="dim pad">Nothing was said yet.</p>;
  return (
    <ul class="lines scroll grow" tabindex={0} aria-label="Messages">
      {tags.map((x, i) => <li key={"t" + i}><State tone="allow" icon="check" word="" /><code>{visible(x.tag || "done")}</code></li>)}
      {r.notices.map((n, i) => <li key={i}><State tone={n.severity === "WARNING" ? "review" : "info"} icon={n.severity === "WARNING" ? "triangleAlert" : "info"} word={n.severity} /><span class="grow">{visible(n.message)}{n.detail && <span class="dim"> {visible(n.detail)}</span>}{n.hint && <span class="dim"> {visible(n.hint)}</span>}</span></li>)}
    </ul>
  );
}

function History({ of: d, put }: { of: Desk; put: (text: string) => void }) {
  return (
    <ul class="lines scroll grow" aria-label="What has run">
      {d.history.value.map((r) => <li key={r.number}><Time at={r.began} seconds /><code class="grow cut">{visible(r.text.replace(/\s+/g, " ").slice(0, 400))}</code><button type="button" class="small" onClick={() => put(r.text)}>Edit</button></li>)}
      {d.info.value && <li class="dim small">It is on record too: <A to={"/sessions/" + d.info.value.session}>the session</A></li>}
    </ul>
  );
}

