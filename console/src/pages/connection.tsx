import { useEffect, useState } from "preact/hooks";
import { at, get, post } from "../api";
import { people } from "../asked";
import { sessions } from "../live";
import { server } from "../me";
import { authority, failed, found, load, native, own, resources, shell } from "../resources";
import { go, query, setQuery } from "../router";
import type { Answer, Request, Resource, Terms } from "../types";
import { Icon } from "../ui/icon";
import { Empty, Fact, Facts, Field, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { Env, Outcome, Protocol, State } from "../ui/state";
import { A, Code, Left, span, Time, visible } from "../ui/text";
import { AccessOf, grantOf } from "./connections";

export default function ConnectionPage({ name }: { name: string }) {
  useTitle(name);
  useEffect(() => { found(); if (resources.value) load(); }, []);
  const r = resources.value?.find((x) => x.name === name);
  if (!resources.value) return failed.value ? <Problem of={failed.value} again={load} /> : <Skeleton />;
  if (!r) return <><Head title="No such connection" /><Empty icon="search" title="There is no resource of this name that you may connect to">Rules name groups: those that you are in do not reach it. <A to="/connections">All connections</A></Empty></>;
  const grant = grantOf(r), ask = r.request && !grant;
  const open = [...(sessions.value?.values() ?? [])].filter((s) => s.resource === name);
  return (
    <>
      <A to="/connections" class="crumb"><Icon name="arrowLeft" size={14} />Connections</A>
      <Head title={<bdi>{visible(r.name)}</bdi>} about={<span class="line"><Protocol of={r.type} /><Env labels={r.labels} /><AccessOf of={r} /></span>}>
        {(!r.request || grant) && r.type === "ssh" && <A to={`/terminal?open=${encodeURIComponent(name)}`} class="button primary"><Icon name="squareTerminal" />Open a terminal</A>}
        {(!r.request || grant) && (r.type === "postgres" || r.type === "mysql") && <A to={`/connections/${encodeURIComponent(name)}/sql`} class="button primary"><Icon name="database" />Open SQL</A>}
        {ask && query.value.get("ask") !== "1" && <button type="button" class="primary" onClick={() => setQuery({ ask: "1" })}><Icon name="send" />Request access</button>}
      </Head>
      <div class="split">
        <div class="stack">
          {(query.value.get("ask") === "1" || ask) && <AskPanel of={r} />}
          <section class="panel" aria-label="Connect"><header><Icon name="plug" /><h2>Connect</h2></header><div class="body stack">
            {ask && <p class="dim">Nothing opens before somebody has approved it; these are the commands for then.</p>}
            <div><p class="hint">With the gateway's program, which proves who you are by itself. <code>sallyport login {shell(location.origin)}</code> comes first.</p><Code text={own(r)} label="Command" /></div>
            <div><p class="hint">With {r.type === "ssh" ? "OpenSSH" : r.type === "postgres" ? "psql, or what reads its settings" : "a client of your own"}. It needs what you prove yourself with at listeners: a certificate, a password or a key.</p><Code text={native(r)} label="Native command" />
              {r.type !== "ssh" && server.value.authorities && <p class="hint">The gateway certifies itself: <button type="button" class="link" onClick={save}>save its authority as {authority}</button>, where the client finds it.</p>}</div>
          </div></section>
          <Try of={r} />
        </div>
        <div class="stack">
          <section class="panel" aria-label="Facts"><div class="body"><Facts>
            <Fact word="Address"><code>{r.address}</code></Fact>
            <Fact word="Log in as"><code>{visible(r.user)}</code></Fact>
            {r.database && <Fact word="Database"><code>{visible(r.database)}</code></Fact>}
            {r.accounts?.length ? <Fact word="Accounts"><span class="chips">{r.accounts.map((a) => <span key={a} class="chip">{visible(a)}</span>)}</span></Fact> : null}
            <Fact word="TLS">{r.tls ? "required" : "not required"}</Fact>
            {Object.keys(r.labels ?? {}).length > 0 && <Fact word="Labels"><span class="chips">{Object.entries(r.labels!).map(([k, v]) => <span key={k} class="chip">{visible(k)}: {visible(v)}</span>)}</span></Fact>}
            {grant && <Fact word="Granted"><A to={"/requests/" + grant.id}>{grant.access!.grant!.actions.join(", ")}</A> <Left until={grant.access!.grant!.until} from={grant.access!.grant!.from} /></Fact>}
          </Facts></div></section>
          <section class="panel" aria-label="Open sessions"><header><Icon name="activity" /><h2>Open sessions</h2></header>
            {open.length ? <ul class="lines">{open.slice(0, 10).map((s) => <li key={s.id}><State tone="live" icon="activity" word="live" /><A to={"/sessions/" + s.id} class="grow cut"><bdi>{visible(s.user)}</bdi></A><Time at={s.start} /></li>)}</ul>
              : <Empty icon="activity" title="None that you may see"><A to={`/sessions?q=${encodeURIComponent("resource:" + name)}`}>Past sessions</A></Empty>}
          </section>
        </div>
      </div>
    </>
  );
}

/** save has the browser keep the certificates by which clients know the gateway. */
function save() {
  const url = URL.createObjectURL(new Blob([server.value.authorities ?? ""], { type: "application/x-pem-file" }));
  const a = document.createElement("a");
  a.href = url;
  a.download = authority;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const lengths = [300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800, 1209600, 2592000];

/** Asking for access, on the terms of a rule. */
function AskPanel({ of: r }: { of: Resource }) {
  const [account, setAccount] = useState("");
  const loaded = useLoad<{ terms: Terms[] }>((s) => get(at`/v1/resources/${r.name}/terms` + (account ? "?account=" + encodeURIComponent(account) : ""), s), r.name, account);
  const list = loaded.value?.terms ?? [];
  const [rule, setRule] = useState("");
  const t = list.find((x) => x.rule === rule) ?? list[0];
  const [off, setOff] = useState<string[]>([]);
  const [seconds, setSeconds] = useState(0);
  const [from, setFrom] = useState("");
  const [reason, setReason] = useState("");
  const doing = useDoing();
  if (loaded.missing) return <section class="panel" aria-label="Ask for access"><Empty icon="ban" title="You cannot ask for access here">No rule lets you. {r.request ? "" : "You may connect without asking."}</Empty></section>;
  if (!t) return loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton rows={3} />;
  const steps = [...new Set([...lengths.filter((s) => s < t.max), t.seconds, t.max])].sort((a, b) => a - b);
  const length = seconds && seconds <= t.max ? seconds : t.seconds;
  const at_ = Math.max(0, steps.indexOf(length));
  const actions = t.actions.filter((a) => !off.includes(a));
  let fits = true;
  try { fits = !t.reason || new RegExp(t.reason).test(reason); } catch { /* the gateway says so when it is sent */ }
  const submit = (e: Event) => {
    e.preventDefault();
    doing.run(async () => {
      const made = await post<Request>("/v1/requests", {
        resource: r.name, account: account || undefined, rule: t.rule, actions: actions.length < t.actions.length ? actions : undefined, seconds: length,
        from: from ? new Date(from).toISOString() : undefined, reason,
      });
      go("/requests/" + made.id);
    });
  };
  return (
    <section class="panel decide" aria-label="Ask for access"><header><Icon name="send" /><h2>Ask for access</h2></header><form class="body stack" onSubmit={submit}>
      {t.message && <p>{visible(t.message)}</p>}
      {(r.accounts?.length ?? 0) > 1 && <Field id="ask-account" label="Account"><select id="ask-account" value={account} onChange={(e) => setAccount(e.currentTarget.value)}><option value="">Those of the rule</option>{r.accounts!.map((a) => <option key={a} value={a}>{a}</option>)}</select></Field>}
      {list.length > 1 && <Field id="ask-rule" label="Rule"><select id="ask-rule" value={t.rule} onChange={(e) => setRule(e.currentTarget.value)}>{list.map((x) => <option key={x.rule} value={x.rule}>{x.rule}</option>)}</select></Field>}
      <Field id="ask-for" label={`For ${span(length * 1000)}`} hint={`At most ${span(t.max * 1000)}.`}>
        <input id="ask-for" type="range" min={0} max={steps.length - 1} step={1} value={at_} aria-describedby="ask-for-hint" aria-valuetext={span(length * 1000)} onInput={(e) => setSeconds(steps[Number(e.currentTarget.value)])} /></Field>
      <fieldset class="checks inline"><legend>Actions</legend>{t.actions.map((a) => <label key={a} class="check"><input type="checkbox" checked={!off.includes(a)} disabled={a === "connect"} onChange={(e) => setOff(e.currentTarget.checked ? off.filter((x) => x !== a) : [...off, a])} />{a}</label>)}</fieldset>
      <Field id="ask-reason" label="Reason" hint={t.reason ? <>It must have <code>{t.reason}</code>.{reason && !fits ? " It does not yet." : ""}</> : "Who decides reads it."}>
        <textarea id="ask-reason" required maxLength={1000} rows={2} aria-describedby="ask-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
      <details><summary>Begin later</summary><Field id="ask-from" label="From"><input id="ask-from" type="datetime-local" value={from} onInput={(e) => setFrom(e.currentTarget.value)} /></Field></details>
      <div><p class="strong">Who is asked</p><ol class="who-is-asked">{t.stages.map((s, i) => <li key={i}>{people(s.approvers, s.need)}</li>)}</ol></div>
      {doing.problem && <Problem of={doing.problem} />}
      <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !actions.length || !reason.trim() || !fits}><Icon name="send" />Ask</button>
        {query.value.get("ask") === "1" && !r.request && <button type="button" class="quiet" onClick={() => setQuery({ ask: null })}>Cancel</button>}</div>
    </form></section>
  );
}

/** What the gateway would answer; nothing is done. */
function Try({ of: r }: { of: Resource }) {
  const [text, setText] = useState("");
  const [answer, setAnswer] = useState<Answer | null>(null);
  const doing = useDoing();
  const submit = (e: Event) => { e.preventDefault(); doing.run(async () => setAnswer(await post<Answer>("/v1/can", { resource: r.name, text: text || undefined }))); };
  return (
    <section class="panel" aria-label="Would it be allowed"><header><Icon name="shieldCheck" /><h2>Would it be allowed?</h2></header><form class="body stack" onSubmit={submit}>
      <Field id="try" label={r.type === "ssh" ? "Command" : "Statement"} hint="Nothing is done. Empty asks about connecting.">
        <textarea id="try" class="mono" rows={2} maxLength={20000} spellcheck={false} aria-describedby="try-hint" value={text} onInput={(e) => { setText(e.currentTarget.value); setAnswer(null); }} /></Field>
      <div class="buttons"><button type="submit" disabled={doing.busy}>Ask the gateway</button></div>
      {doing.problem && <Problem of={doing.problem} />}
      {answer && (
        <div class="answer" role="status"><Outcome of={answer.outcome} />
          {answer.message && <p>{visible(answer.message)}</p>}
          {answer.rule && <p class="dim">Rule <code>{visible(answer.rule)}</code>{answer.by && <>, {visible(answer.by)}</>}</p>}
          {answer.rewritten && <Code text={answer.rewritten} label="What would run instead" />}
          {answer.notes?.length ? <ul class="notes">{answer.notes.map((n) => <li key={n}><Icon name="info" size={14} />{visible(n)}</li>)}</ul> : null}
        </div>
      )}
    </form></section>
  );
}
