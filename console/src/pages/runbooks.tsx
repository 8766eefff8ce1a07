import { get } from "../api";
import { bookOf, over, RunState } from "../runs";
import { go, query, setQuery } from "../router";
import type { Run, Runbook } from "../types";
import { List, type Column } from "../ui/list";
import { Empty, Head, Problem, Skeleton, useLoad, useTitle } from "../ui/parts";
import { State } from "../ui/state";
import { A, span, Time, visible, Who } from "../ui/text";

const at = (b: Runbook) => `/runbooks/${encodeURIComponent(b.source)}/${encodeURIComponent(b.name ?? "")}`;
const folder = (b: Runbook) => b.source + (b.path?.includes("/") ? "/" + b.path.slice(0, b.path.lastIndexOf("/")) : "");
const risks = { high: "deny", medium: "review", low: "off" } as const;

const books: Column<Runbook>[] = [
  { head: "Runbook", width: "minmax(120px, 1.4fr)", cell: (b) => b.problem ? <span class="dim"><bdi>{visible(b.name || b.path || b.source)}</bdi></span> : <A to={at(b)} class="strong"><bdi>{visible(b.name!)}</bdi></A> },
  { head: "What", width: "minmax(140px, 2fr)", wide: true, cell: (b) => <span class={b.problem ? "bad one-line" : "one-line"}>{visible(b.problem ?? b.title ?? "")}</span> },
  { head: "Folder", width: "minmax(90px, 1fr)", wide: true, cell: (b) => <span class="dim"><bdi>{visible(folder(b))}</bdi></span> },
  { head: "Owner", width: "minmax(80px, 1fr)", wide: true, cell: (b) => <bdi class="dim">{visible(b.owner ?? "")}</bdi> },
  { head: "Schedule", width: "120px", wide: true, cell: (b) => b.cron ? <code class="dim">{visible(b.cron)}</code> : null },
  {
    head: "State", width: "132px", cell: (b) => b.problem ? <State tone="deny" icon="triangleAlert" word="cannot be run" title={visible(b.problem)} />
      : b.review ? <State tone="review" icon="hand" word="needs approval" title="Others approve its runs." />
      : b.risk ? <State tone={risks[b.risk as keyof typeof risks] ?? "off"} icon="info" word={visible(b.risk) + " risk"} /> : <State tone="off" icon="play" word="ready" />,
  },
];

export const runColumns: Column<Run>[] = [
  { head: "State", width: "116px", cell: (r) => <RunState of={r} /> },
  { head: "Runbook", width: "minmax(120px, 1.4fr)", cell: (r) => <A to={"/runs/" + r.id} class="strong"><bdi>{visible(r.name)}</bdi>{r.dry && <span class="dim">, dry run</span>}</A> },
  { head: "Who", width: "minmax(80px, 1fr)", cell: (r) => <Who subject={r.requester} human={r.for} /> },
  { head: "Where", width: "minmax(90px, 1fr)", wide: true, cell: (r) => <bdi class="one-line">{visible(Object.values(r.targets ?? {}).flat().join(", "))}</bdi> },
  { head: "Message", width: "minmax(120px, 2fr)", wide: true, cell: (r) => <span class="one-line dim">{visible(r.message ?? "")}</span> },
  { head: "Began", width: "132px", wide: true, cell: (r) => <Time at={r.created} /> },
  { head: "Lasted", width: "84px", wide: true, end: true, cell: (r) => over(r) && r.ended ? <span class="num">{span(Date.parse(r.ended) - Date.parse(r.created))}</span> : null },
];

const words = (text: string) => text.toLowerCase().split(/\s+/).filter(Boolean);

export default function Runbooks() {
  useTitle("Runbooks");
  const runs = query.value.get("view") === "runs";
  return (
    <>
      <Head title="Runbooks" about="Reviewed procedures that take values: each run is yours, by your own access.">
        <input type="search" aria-label={runs ? "Find a run" : "Find a runbook"} placeholder="Name, owner, label" value={query.value.get("q") ?? ""} onInput={(e) => setQuery({ q: e.currentTarget.value })} />
        <select aria-label="View" value={runs ? "runs" : ""} onChange={(e) => setQuery({ view: e.currentTarget.value, folder: null })}><option value="">Catalogue</option><option value="runs">Runs</option></select>
        {!runs && <Folders />}
      </Head>
      {runs ? <Runs /> : <Catalogue />}
    </>
  );
}

const useBooks = () => useLoad<{ runbooks: Runbook[] }>((s) => get("/v1/runbooks", s));

function Folders() {
  const all = useBooks().value?.runbooks ?? [];
  const names = [...new Set(all.map(folder))].sort(), chosen = query.value.get("folder") ?? "";
  return <select aria-label="Folder" value={chosen} onChange={(e) => setQuery({ folder: e.currentTarget.value })}><option value="">All folders</option>{names.map((f) => <option key={f} value={f}>{visible(f)}</option>)}</select>;
}

function Catalogue() {
  const loaded = useBooks();
  const want = words(query.value.get("q") ?? ""), place = query.value.get("folder") ?? "";
  if (loaded.missing) return <Empty icon="fileText" title="The gateway has no sources of runbooks">Name one in the section <code>runbooks</code> of its config file.</Empty>;
  if (!loaded.value) return loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton />;
  const hay = (b: Runbook) => [b.source, b.name, b.path, b.title, b.owner, b.risk, ...Object.entries(b.labels ?? {}).map(([k, v]) => k + "=" + v)].join(" ").toLowerCase();
  const list = loaded.value.runbooks.filter((b) => (!place || folder(b) === place) && want.every((w) => hay(b).includes(w)));
  return <List items={list} id={(b) => b.source + "/" + b.path} columns={books} label="Runbooks" open={(b) => { if (!b.problem) go(at(b)); }}
    empty={loaded.value.runbooks.length ? <Empty icon="search" title="No runbook fits"><button type="button" class="link" onClick={() => setQuery({ q: null, folder: null })}>Show all</button></Empty>
      : <Empty icon="fileText" title="There is no runbook yet" command="sallyport runbooks lint FOLDER">Add a YAML file to a source.</Empty>} />;
}

function Runs() {
  const loaded = useLoad<{ runs: Run[] }>((s) => get("/v1/runs", s));
  const want = words(query.value.get("q") ?? "");
  if (!loaded.value) return loaded.missing ? <Empty icon="fileText" title="The gateway has no sources of runbooks" /> : loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton />;
  const hay = (r: Run) => [r.id, r.name, r.origin.source, r.state, r.requester, r.for, r.message, ...Object.values(r.targets ?? {}).flat()].join(" ").toLowerCase();
  return <List items={loaded.value.runs.filter((r) => want.every((w) => hay(r).includes(w)))} id={(r) => r.id} columns={runColumns} label="Runs" open={(r) => go("/runs/" + r.id)}
    actions={{ b: (r) => go(bookOf(r)) }} empty={<Empty icon="history" title={loaded.value.runs.length ? "No run fits" : "Nothing has run yet"}>Runs that you may see are listed here.</Empty>} />;
}
