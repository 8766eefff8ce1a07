import { useEffect, useState } from "preact/hooks";
import { TryAlert } from "../alerts";
import { get, may, post, Refusal } from "../api";
import { Diff } from "../diff";
import { me } from "../me";
import { go, query } from "../router";
import { Icon } from "../ui/icon";
import { Empty, Field, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { State } from "../ui/state";
import { A, visible } from "../ui/text";
import { say } from "../ui/toast";

interface Obj { kind: string; name: string; text: string; home: string; version?: number }
interface Planned { number: number; state: string; changes: { kind: string; name: string; before?: string; after?: string }[] | null; needs?: string[] }

const keys: Record<string, string> = { resource: "resources", access: "access", guardrail: "guardrails", masking: "masking", alert: "alerts" };

/** An object as the config file has it. */
function written(o: Obj): string {
  const deep = o.kind === "user" ? "  " : "";
  const item = o.text.replace(/\n+$/, "").split("\n").map((l, i) => deep + (i === 0 ? "  - " : "    ") + l).join("\n");
  return `store_version: ${o.version ?? 0}\n` + (o.kind === "user" ? `identity:\n  users:\n` : `${keys[o.kind] ?? o.kind}:\n`) + item + "\n";
}

const blankAlert = `alerts:
  - name: NAME
    events: [operation.refused]
    each: user
    count: 5
    within: 10m
    quiet: 1h
    notify: [CHANNEL]
`;

const blank = `access:
  - name: NAME
    groups: [GROUP]
    resources: [RESOURCE]
    allow: [connect, read]
`;

/** Changing objects of the store: their text, what that would change, and doing it. */
export default function EditPage() {
  const kind = query.value.get("kind"), name = query.value.get("name"), alert = query.value.get("new") === "alert";
  useTitle(name ? `${kind} ${name}` : alert ? "New alert" : "New object");
  const loaded = useLoad<{ objects: Obj[] }>((s) => get("/v1/objects", s), kind, name);
  const o = loaded.value?.objects.find((x) => x.kind === kind && x.name === name);
  if (!loaded.value) return loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton />;
  if (name && !o) return <><Head title="No such object" /><Empty icon="search" title="No object of this name found"><A to="/configuration">All objects</A></Empty></>;
  if (o?.home === "file") return <><Head title={<bdi>{visible(o.name)}</bdi>} /><Empty icon="fileText" title="It is in the config file">It is changed there. <A to="/configuration">All objects</A></Empty></>;
  return <Editor key={`${kind}/${name}/${alert}`} begin={o ? written(o) : alert ? blankAlert : blank} title={o ? `${o.kind} ${o.name}` : alert ? "New alert" : "New object"} />;
}

function Editor({ begin, title }: { begin: string; title: string }) {
  const [text, setText] = useState(begin);
  const [plan, setPlan] = useState<{ of: string; r: Planned } | null>(null);
  const [reason, setReason] = useState("");
  const [unbound, setUnbound] = useState(false);
  const [bind, setBind] = useState(false);
  const doing = useDoing();
  const current = plan?.of === text ? plan.r : null;
  const dirty = text !== begin;
  useEffect(() => {
    if (!dirty) return;
    const stay = (e: BeforeUnloadEvent) => e.preventDefault();
    addEventListener("beforeunload", stay);
    return () => removeEventListener("beforeunload", stay);
  }, [dirty]);
  const look = (e?: Event) => { e?.preventDefault(); doing.run(async () => { setPlan(null); setPlan({ of: text, r: await post<Planned>("/v1/objects", { objects: text, file: "text", plan: true }) }); }); };
  const apply = (e: Event) => {
    e.preventDefault();
    doing.run(async () => {
      try {
        const r = await post<Planned>("/v1/objects", { objects: text, file: "text", reason, bind: bind || undefined });
        say(r.state === "applied" ? "Applied." : "Proposed: it waits for somebody else.");
        go(`/configuration?view=history&revision=${r.number}`);
      } catch (e) {
        if ((e as Refusal).code === "unbound") setUnbound(true);
        throw e;
      }
    });
  };
  const changes = current?.changes ?? [];
  const waits = current?.state === "waiting";
  return (
    <>
      <A to="/configuration" class="crumb"><Icon name="arrowLeft" size={14} />Configuration</A>
      <Head title={<bdi>{visible(title)}</bdi>} about="As the config file has it, in YAML. Nothing is changed before you have seen what would be." />
      <div class="split">
        <section class="panel" aria-label="Text"><form class="body stack" onSubmit={look}>
          <Field id="object-text" label="Objects" hint="A reference names a secret, such as vault:kv/orders#password; a value is not written here."><textarea id="object-text" class="mono" rows={18} maxLength={400000} spellcheck={false} aria-describedby="object-text-hint" value={text} onInput={(e) => setText(e.currentTarget.value)} /></Field>
          {doing.problem && <div class="problem pre" role="alert"><Icon name="triangleAlert" /><span>{visible(doing.problem)}</span></div>}
          <div class="buttons"><button type="submit" class={current ? "" : "primary"} disabled={doing.busy || !text.trim()}>Show what would change</button></div>
          {/^alerts:/m.test(text) && may(me.value, "audit") && may(me.value, "list") && <TryAlert object={text} />}
        </form></section>
        <section class="panel" aria-label="What would change"><header><Icon name="layers" /><h2>What would change</h2>{current && changes.length > 0 && <span class="end">{waits ? <State tone="review" icon="users" word="needs another person" /> : <State tone="allow" icon="check" word="applies at once" />}</span>}</header>
          {!current ? <Empty icon="layers" title="Not looked at yet">Every change is seen before it is made.</Empty> : changes.length === 0 ? <Empty icon="check" title="Nothing would change" /> : (
            <form class="body stack" onSubmit={apply}>
              {changes.map((c) => <div key={c.kind + c.name}><h3>{c.kind} <bdi>{visible(c.name)}</bdi></h3><Diff before={c.before} after={c.after} /></div>)}
              {current.needs?.length ? <ul class="notes">{current.needs.map((n) => <li key={n}><Icon name="users" size={14} /><span>{visible(n)}</span></li>)}</ul> : null}
              <Field id="object-reason" label="Reason" hint="It is on record."><input id="object-reason" maxLength={1000} aria-describedby="object-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
              {unbound && <label class="check"><input type="checkbox" checked={bind} onChange={(e) => setBind(e.currentTarget.checked)} />The secret may go to this address and account</label>}
              <div class="buttons"><button type="submit" class="primary" disabled={doing.busy}><Icon name={waits ? "send" : "check"} />{waits ? "Propose it" : "Apply it"}</button></div>
            </form>
          )}
        </section>
      </div>
    </>
  );
}
