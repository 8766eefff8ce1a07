import { get } from "../api";
import { approvers, Asked } from "../asked";
import { approveSoon, decides, soon } from "../decide";
import { requests } from "../live";
import { me } from "../me";
import { mine } from "../own";
import { go, query, setQuery } from "../router";
import type { Request } from "../types";
import { List, type Column } from "../ui/list";
import { Empty, Head, Problem, Skeleton, useLoad, useTitle } from "../ui/parts";
import { RequestState, State } from "../ui/state";
import { A, Left, Time, visible, Where, Who } from "../ui/text";

const columns: Column<Request>[] = [
  { head: "State", width: "112px", cell: (r) => (soon.value.has(r.id) ? <State tone="allow" icon="clock" word="approving" /> : <RequestState of={r} />) },
  { head: "Who", width: "minmax(80px, 0.7fr)", cell: (r) => <Who subject={r.requester} human={r.for} /> },
  { head: "Where", width: "minmax(110px, 1fr)", cell: (r) => <A to={"/requests/" + r.id} class="strong"><Where of={r} /></A> },
  { head: "What", width: "minmax(120px, 2fr)", wide: true, cell: (r) => <Asked of={r} /> },
  { head: "Approvers", width: "minmax(80px, 1fr)", wide: true, cell: (r) => <span class="dim">{visible(approvers(r))}</span> },
  { head: "Asked", width: "132px", wide: true, cell: (r) => <Time at={r.created} /> },
  {
    head: "Left", width: "148px", wide: true, cell: (r) => r.state === "pending" ? <Left until={r.deadline} from={r.created} />
      : r.state === "approved" && r.access?.grant ? <Left until={r.access.grant.until} from={r.access.grant.from} /> : <Time at={r.decided_at ?? r.deadline} />,
  },
];

export default function Requests() {
  useTitle("Requests");
  const of = query.value.get("of") ?? "", text = query.value.get("q") ?? "", past = query.value.get("past") === "1";
  const over = useLoad<Request[]>(past ? async (s) => (await get<{ requests: Request[] }>("/v1/requests?past=true", s)).requests : null, past);
  const all = new Map<string, Request>();
  if (past) for (const r of over.value ?? []) all.set(r.id, r);
  for (const r of requests.value?.values() ?? []) all.set(r.id, r);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const hay = (r: Request) => [r.id, r.state, r.requester, r.for, r.resource, r.account, r.database, r.text, r.access?.reason, ...(r.rules ?? [])].join(" ").toLowerCase();
  const shown = [...all.values()].filter((r) => (of === "mine" ? mine(r) : of === "decide" ? decides(r) : true) && words.every((w) => hay(r).includes(w)))
    .sort((a, b) => Number(b.state === "pending") - Number(a.state === "pending") || Date.parse(b.created) - Date.parse(a.created));
  return (
    <>
      <Head title="Requests" about="Access that is asked for, and operations that wait until somebody has approved them.">
        <input type="search" aria-label="Find a request" placeholder="Person, resource, text" value={text} onInput={(e) => setQuery({ q: e.currentTarget.value })} />
        <select aria-label="Whose" value={of} onChange={(e) => setQuery({ of: e.currentTarget.value })}><option value="">All that you may see</option><option value="decide">Waiting for you</option><option value="mine">Yours</option></select>
        <label class="check"><input type="checkbox" checked={past} onChange={(e) => setQuery({ past: e.currentTarget.checked ? "1" : null })} />Past ones too</label>
      </Head>
      {over.problem && <Problem of={over.problem} again={over.again} />}
      {!requests.value || (past && !over.value && !over.problem) ? <Skeleton /> : (
        <List items={shown} id={(r) => r.id} columns={columns} label="Requests" open={(r) => go("/requests/" + r.id)}
          actions={{ a: (r) => (r.cut || r.arguments?.length ? go("/requests/" + r.id) : approveSoon(r)), d: (r) => go(`/requests/${r.id}?deny=1`) }}
          empty={all.size
            ? <Empty icon="search" title="No request fits">Change the words or the filters. <button type="button" class="link" onClick={() => setQuery({ q: null, of: null, past: null })}>Show all</button></Empty>
            : <Empty icon="hand" title="Nothing waits" command={`sallyport request NAME --for 1h --reason "INC-4711"`}>Ask for access at a <A to="/connections?access=ask">connection</A>, or with the command line. {me.value?.groups?.length ? "" : "You are in no group, so that no rule may be about you."}</Empty>} />
      )}
    </>
  );
}
