import { useState } from "preact/hooks";
import { get, may, post } from "../api";
import { me } from "../me";
import { Icon } from "../ui/icon";
import { Empty, Fact, Facts, Field, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { Outcome, State } from "../ui/state";
import { A, Code, Time, visible } from "../ui/text";
import type { Answer } from "../types";

interface Obj { kind: string; name: string; text: string; home: string }
interface Simulated extends Answer { effects?: string; trace: { by: string; rule?: string; text: string }[] }
interface Changes { total: number; people: number; examples: { session: string; at: string; user: string; resource: string; text: string; rule?: string; message?: string }[] }
interface Replayed { operations: number; skipped: number; more: boolean; denied: Changes; held: Changes; allowed: Changes }

/** What the rules say: of somebody, and of what was done. */
export default function Policy() {
  useTitle("Policy");
  const loaded = useLoad<{ objects: Obj[] }>((s) => get("/v1/objects", s));
  const rules = (loaded.value?.objects ?? []).filter((o) => ["access", "guardrail", "masking"].includes(o.kind));
  return (
    <>
      <Head title="Policy" about="What the rules say about somebody, and what other rules would have said."><A to="/configuration?view=history" class="button"><Icon name="history" />Changes</A></Head>
      <div class="split even">
        <div class="stack"><Simulator />{may(me.value, "watch") && <Draft />}</div>
        <section class="panel" aria-label="Rules"><header><Icon name="shieldCheck" /><h2>Rules</h2><A to="/configuration" class="end small">All objects</A></header>
          {!loaded.value ? loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton rows={3} /> : rules.length === 0 ? <Empty icon="shieldCheck" title="No rules yet">Nobody may do anything.</Empty> : (
            <ul class="lines">{rules.map((o) => <li key={o.kind + o.name}><span class="chip">{o.kind}</span><A to={`/configuration?kind=${encodeURIComponent(o.kind)}&name=${encodeURIComponent(o.name)}`} class="grow"><bdi>{visible(o.name)}</bdi></A><span class="dim small">{o.home === "file" ? "config file" : "store"}</span></li>)}</ul>
          )}
        </section>
      </div>
    </>
  );
}

const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);

function Simulator() {
  const [f, set] = useState({ user: "", groups: "", resource: "", account: "", text: "", at: "" });
  const [a, setAnswer] = useState<Simulated | null>(null);
  const doing = useDoing();
  const field = (name: keyof typeof f) => ({ id: "sim-" + name, value: f[name], onInput: (e: { currentTarget: { value: string } }) => { set({ ...f, [name]: e.currentTarget.value }); setAnswer(null); } });
  const submit = (e: Event) => {
    e.preventDefault();
    doing.run(async () => setAnswer(await post<Simulated>("/v1/policy/simulate", {
      user: f.user, groups: words(f.groups), resource: f.resource, account: f.account || undefined, text: f.text || undefined, at: f.at ? new Date(f.at).toISOString() : undefined,
    })));
  };
  return (
    <section class="panel" aria-label="Simulator"><header><Icon name="user" /><h2>What may somebody do?</h2></header><form class="body stack" onSubmit={submit}>
      <div class="pairs">
        <Field id="sim-user" label="User"><input required maxLength={200} {...field("user")} /></Field>
        <Field id="sim-groups" label="Groups"><input maxLength={1000} placeholder="dev, ops" {...field("groups")} /></Field>
        <Field id="sim-resource" label="Resource"><input required maxLength={200} {...field("resource")} /></Field>
        <Field id="sim-at" label="At"><input type="datetime-local" {...field("at")} /></Field>
      </div>
      <Field id="sim-text" label="Statement or command" hint="Nothing is done. Empty asks about connecting."><textarea class="mono" rows={3} maxLength={20000} spellcheck={false} aria-describedby="sim-text-hint" {...field("text")} /></Field>
      <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !f.user.trim() || !f.resource.trim()}>Ask the gateway</button></div>
      {doing.problem && <Problem of={visible(doing.problem)} />}
      {a && (
        <div class="answer" role="status"><Outcome of={a.outcome} />
          {a.message && <p>{visible(a.message)}</p>}
          <Facts>{a.rule && <Fact word="Rule"><code>{visible(a.rule)}</code></Fact>}{a.by && <Fact word="Said by">{visible(a.by)}</Fact>}{a.effects && <Fact word="Effects">{visible(a.effects)}</Fact>}</Facts>
          {a.rewritten && <Code text={a.rewritten} label="What would run instead" />}
          {a.trace.length > 0 && <ol class="notes" aria-label="How it came about">{a.trace.map((t, i) => <li key={i}><Icon name="chevronRight" size={14} /><span><span class="dim">{visible(t.by)}{t.rule && <>, rule <code>{visible(t.rule)}</code></>}: </span><bdi>{visible(t.text)}</bdi></span></li>)}</ol>}
        </div>
      )}
    </form></section>
  );
}

const people = (c: Changes) => `${c.total} ${c.total === 1 ? "operation" : "operations"} of ${c.people} ${c.people === 1 ? "person" : "people"}`;

function Draft() {
  const [text, setText] = useState("");
  const [days, setDays] = useState(7);
  const [r, setAnswer] = useState<Replayed | null>(null);
  const doing = useDoing();
  const submit = (e: Event) => {
    e.preventDefault();
    const until = Date.now() + 60_000;
    doing.run(async () => { setAnswer(null); setAnswer(await post<Replayed>("/v1/policy/replay", { objects: text, since: new Date(until - days * 86_400_000).toISOString(), until: new Date(until).toISOString() })); });
  };
  const part = (word: string, tone: "deny" | "review" | "allow", icon: "circleX" | "hand" | "circleCheck", c: Changes) => (
    <div class="stack"><p class="line"><State tone={c.total ? tone : "off"} icon={icon} word={word} /><b>{people(c)}</b></p>
      {c.examples.length > 0 && <ul class="lines">{c.examples.map((x, i) => <li key={i}><Time at={x.at} /><bdi>{visible(x.user)}</bdi><A to={"/sessions/" + x.session}><bdi>{visible(x.resource)}</bdi></A><code class="grow cut">{visible(x.text.replace(/\s+/g, " "))}</code>{x.rule && <span class="dim small">rule {visible(x.rule)}</span>}</li>)}</ul>}</div>
  );
  return (
    <section class="panel" aria-label="Draft"><header><Icon name="history" /><h2>What would a draft have done?</h2></header><form class="body stack" onSubmit={submit}>
      <Field id="draft" label="Draft" hint="Access rules, guardrails and masking rules of the store, as the config file has them. Nothing is changed; that you look is on record."><textarea id="draft" required class="mono" rows={6} maxLength={400000} spellcheck={false} aria-describedby="draft-hint" value={text} onInput={(e) => { setText(e.currentTarget.value); setAnswer(null); }} /></Field>
      <Field id="draft-days" label="What happened in"><select id="draft-days" value={String(days)} onChange={(e) => setDays(Number(e.currentTarget.value))}><option value="1">a day</option><option value="7">7 days</option><option value="30">30 days</option></select></Field>
      <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !text.trim()}>Judge it again</button></div>
      {doing.problem && <div class="problem pre" role="alert"><Icon name="triangleAlert" /><span>{visible(doing.problem)}</span></div>}
      {r && <div class="answer" role="status">
        <p class="dim">{r.operations.toLocaleString("en")} operations were judged again, {r.skipped.toLocaleString("en")} cannot be.{r.more && " There are more than are judged at a time: choose a shorter one."}</p>
        {part("would have been blocked", "deny", "circleX", r.denied)}{part("would have been held", "review", "hand", r.held)}{part("would have been allowed", "allow", "circleCheck", r.allowed)}
      </div>}
    </form></section>
  );
}
