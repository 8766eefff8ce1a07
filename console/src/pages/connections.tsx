import { useEffect } from "preact/hooks";
import { now, requests } from "../live";
import { me } from "../me";
import { mine } from "../own";
import { failed, found, load, own, resources } from "../resources";
import { go, query, setQuery } from "../router";
import type { Request, Resource } from "../types";
import { Icon } from "../ui/icon";
import { List, type Column } from "../ui/list";
import { Empty, Head, Problem, Skeleton, useTitle } from "../ui/parts";
import { Env, Protocol, State } from "../ui/state";
import { A, Copy, Left, visible } from "../ui/text";

/** What was granted to the caller at a resource and counts now. */
export function grantOf(r: Resource): Request | undefined {
  const t = now();
  return [...(requests.value?.values() ?? [])].find((q) => q.resource === r.name && q.access?.grant && q.state === "approved" && mine(q) && Date.parse(q.access.grant.from) <= t && t < Date.parse(q.access.grant.until));
}



const waits = (r: Resource) => [...(requests.value?.values() ?? [])].find((q) => q.resource === r.name && q.access && q.state === "pending" && mine(q));

/** Whether the caller may connect now, has to ask, or waits. */
export function AccessOf({ of }: { of: Resource }) {
  const g = grantOf(of), w = waits(of);
  if (g) return <span class="pair"><State tone="allow" icon="circleCheck" word="granted" /><Left until={g.access!.grant!.until} from={g.access!.grant!.from} /></span>;
  if (w) return <span class="pair"><State tone="review" icon="clock" word="asked for" /><A to={"/requests/" + w.id}>look</A></span>;
  if (of.request) return <State tone="review" icon="hand" word="ask first" title="A rule lets you ask for access for a time." />;
  return <State tone="allow" icon="circleCheck" word="allowed" />;
}

const columns: Column<Resource>[] = [
  { head: "Name", width: "minmax(140px, 2fr)", cell: (r) => <A to={"/connections/" + encodeURIComponent(r.name)} class="strong"><bdi>{visible(r.name)}</bdi></A> },
  { head: "Environment", width: "112px", wide: true, cell: (r) => <Env labels={r.labels} /> },
  { head: "Type", width: "120px", wide: true, cell: (r) => <Protocol of={r.type} /> },
  { head: "Access", width: "minmax(150px, 1.4fr)", cell: (r) => <AccessOf of={r} /> },
  { head: "Labels", width: "minmax(80px, 1.4fr)", wide: true, cell: (r) => <span class="chips">{Object.entries(r.labels ?? {}).filter(([k]) => k !== "env").map(([k, v]) => <span key={k} class="chip"><bdi>{visible(k)}</bdi>: <bdi>{visible(v)}</bdi></span>)}</span> },
  {
    head: "Connect", width: "112px", wide: true, end: true, cell: (r) => r.request && !grantOf(r)
      ? <A to={`/connections/${encodeURIComponent(r.name)}?ask=1`} class="button small"><Icon name="send" size={14} />Request</A>
      : <Copy text={own(r)} label={`Copy the command for ${r.name}`} />,
  },
];

export default function Connections() {
  useTitle("Connections");
  useEffect(() => { found(); load(); }, []);
  const all = resources.value;
  const text = query.value.get("q") ?? "", kind = query.value.get("type") ?? "", state = query.value.get("access") ?? "";
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const hay = (r: Resource) => [r.name, r.type, ...Object.entries(r.labels ?? {}).map(([k, v]) => `${k}:${v} ${v}`)].join(" ").toLowerCase();
  const shown = (all ?? []).filter((r) => words.every((w) => hay(r).includes(w)) && (!kind || r.type === kind)
    && (!state || (state === "ask") === (!!r.request && !grantOf(r))));
  const kinds = [...new Set((all ?? []).map((r) => r.type))].sort();
  return (
    <>
      <Head title="Connections" about="What you may connect to, now or once somebody has approved it.">
        <input type="search" aria-label="Find a connection" placeholder="Name, label, env:prod" value={text} onInput={(e) => setQuery({ q: e.currentTarget.value })} />
        {kinds.length > 1 && <select aria-label="Type" value={kind} onChange={(e) => setQuery({ type: e.currentTarget.value })}><option value="">All types</option>{kinds.map((k) => <option key={k} value={k}>{k}</option>)}</select>}
        <select aria-label="Access" value={state} onChange={(e) => setQuery({ access: e.currentTarget.value })}><option value="">Any access</option><option value="allowed">Allowed now</option><option value="ask">Ask first</option></select>
      </Head>
      {failed.value && <Problem of={failed.value} again={load} />}
      {!all ? !failed.value && <Skeleton /> : (
        <List items={shown} id={(r) => r.name} columns={columns} label="Connections" open={(r) => go("/connections/" + encodeURIComponent(r.name))}
          empty={all.length
            ? <Empty icon="search" title="No connection fits">Change the words or the filters. <button type="button" class="link" onClick={() => setQuery({ q: null, type: null, access: null })}>Show all</button></Empty>
            : <Empty icon="plug" title="You may connect to nothing yet">Access is by groups. Ask an administrator for an access rule that names one of yours: {me.value!.groups?.join(", ") || "you are in none"}.</Empty>} />
      )}
    </>
  );
}
