import { Firings, TryAlert, type Firing } from "../alerts";
import { get, may } from "../api";
import { me } from "../me";
import { query, setQuery } from "../router";
import { Icon } from "../ui/icon";
import { List, type Column } from "../ui/list";
import { Dialog, Empty, Fact, Facts, Head, Problem, Skeleton, useLoad, useTitle } from "../ui/parts";
import { State } from "../ui/state";
import { A, span, Time, visible } from "../ui/text";

interface Alert { name: string; home: string; events: string[]; each?: string; count: number; seconds?: number; quiet: number; channels: string[]; message?: string; firings: Firing[] }
interface Failure { at: string; error: string }
interface Channel { name: string; configured: boolean; waiting: number; oldest?: string; failure?: Failure; closed?: Failure; dead: number }

const fires = (a: Alert) => (a.count > 1 ? `at ${a.count} within ${span((a.seconds ?? 0) * 1000)}` : "at each") + (a.each ? ` of a ${a.each}` : "");
const latest = (a: Alert) => (a.firings[0] ? Date.parse(a.firings[0].at) : 0);

function AlertState({ of: a }: { of: Alert }) {
  if (latest(a) + a.quiet * 1000 > Date.now()) return <State tone="review" icon="bell" word="fired" title={`It is quiet for ${span(a.quiet * 1000)} after an alert.`} />;
  return <State tone="allow" icon="activity" word="watching" />;
}

const columns: Column<Alert>[] = [
  { head: "State", width: "104px", cell: (a) => <AlertState of={a} /> },
  { head: "Name", width: "minmax(120px, 1.2fr)", cell: (a) => <button type="button" class="link strong" onClick={() => setQuery({ name: a.name })}><bdi>{visible(a.name)}</bdi></button> },
  { head: "Events", width: "minmax(120px, 2fr)", wide: true, cell: (a) => <code class="one-line">{visible(a.events.join(", "))}</code> },
  { head: "Fires", width: "minmax(120px, 1.4fr)", wide: true, cell: (a) => <span>{fires(a)}</span> },
  { head: "Tells", width: "minmax(100px, 1fr)", wide: true, cell: (a) => <span class="chips">{a.channels.map((c) => <span key={c} class="chip">{visible(c)}</span>)}</span> },
  { head: "Last fired", width: "136px", cell: (a) => <Time at={a.firings[0]?.at} /> },
];

/** Rules over events, and the channels that they tell. */
export default function Alerts() {
  useTitle("Alerts");
  const loaded = useLoad<{ alerts: Alert[] }>((s) => get("/v1/alerts", s));
  const shown = loaded.value?.alerts.find((a) => a.name === query.value.get("name"));
  const list = [...(loaded.value?.alerts ?? [])].sort((a, b) => latest(b) - latest(a));
  return (
    <>
      <Head title="Alerts" about="Rules over what is on record. When one fires, its channels are told, once by all gateways together."><A to="/configuration/edit?new=alert" class="button primary"><Icon name="plus" />New alert</A></Head>
      {loaded.problem && <Problem of={loaded.problem} again={loaded.again} />}
      {!loaded.value ? !loaded.problem && <Skeleton /> : (
        <div class="stack">
          <List items={list} id={(a) => a.name} columns={columns} label="Alerts" open={(a) => setQuery({ name: a.name })}
            empty={<Empty icon="bell" title="Nothing is watched yet" command="sallyport admin alerts try -f draft.yaml">An alert is a rule over events, such as five refusals of a user within ten minutes. <A to="/configuration/edit?new=alert">Make one</A>, and test it with what is on record before it counts.</Empty>} />
          <Channels />
        </div>
      )}
      {shown && (
        <Dialog title={"Alert " + visible(shown.name)} close={() => setQuery({ name: null })} wide>
          <div class="stack">
            <Facts>
              <Fact word="Events"><code>{visible(shown.events.join(", "))}</code></Fact>
              <Fact word="Fires">{fires(shown)}, and is quiet for {span(shown.quiet * 1000)}</Fact>
              <Fact word="Tells"><span class="chips">{shown.channels.map((c) => <span key={c} class="chip">{visible(c)}</span>)}</span></Fact>
              {shown.message && <Fact word="Message"><bdi>{visible(shown.message)}</bdi></Fact>}
              <Fact word="Where">{shown.home === "file" ? "config file, and is changed there" : "store"}</Fact>
            </Facts>
            {shown.home === "store" && <div class="buttons"><A to={`/configuration/edit?kind=alert&name=${encodeURIComponent(shown.name)}`} class="button primary">Change it</A></div>}
            <section aria-label="Fired"><h3>Fired</h3>{shown.firings.length ? <Firings of={shown.firings} label="When it fired" /> : <p class="dim">Not yet.</p>}</section>
            {may(me.value, "audit") && may(me.value, "list") && <TryAlert key={shown.name} name={shown.name} />}
          </div>
        </Dialog>
      )}
    </>
  );
}

function ChannelState({ of: c }: { of: Channel }) {
  if (!c.configured) return <State tone="off" icon="circleSlash" word="not configured" />;
  if (c.closed) return <State tone="deny" icon="circleX" word="closed" />;
  if (c.failure) return <State tone="deny" icon="triangleAlert" word="failing" />;
  return <State tone="allow" icon="circleCheck" word="takes notices" />;
}

/** How the channels are doing: one that takes nothing is seen. */
function Channels() {
  const loaded = useLoad<{ channels: Channel[] }>((s) => get("/v1/channels", s));
  return (
    <section class="panel" aria-label="Channels"><header><Icon name="send" /><h2>Channels</h2></header>
      {!loaded.value ? loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton rows={2} /> : loaded.value.channels.length === 0 ? <Empty icon="send" title="No channel yet">The config file lists them, in <code>notify</code>.</Empty> : (
        <ul class="lines">{loaded.value.channels.map((c) => (
          <li key={c.name}><ChannelState of={c} /><span class="grow"><bdi class="strong">{visible(c.name)}</bdi>{(c.closed ?? c.failure) && <span class="dim"> {visible((c.closed ?? c.failure)!.error)}</span>}</span>
            {c.waiting > 0 && <span class="small">{c.waiting} waiting since <Time at={c.oldest} /></span>}{c.dead > 0 && <span class="small">{c.dead} given up</span>}</li>
        ))}</ul>
      )}
    </section>
  );
}
