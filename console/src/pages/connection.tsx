import { useEffect, useState } from "preact/hooks";
import { post } from "../api";
import { AskPanel } from "../ask";
import { sessions } from "../live";
import { server } from "../me";
import { authority, failed, found, load, native, own, resources, shell } from "../resources";
import { query, setQuery } from "../router";
import type { Answer, Resource } from "../types";
import { Icon } from "../ui/icon";
import { Empty, Fact, Facts, Field, Head, Problem, Skeleton, useDoing, useTitle } from "../ui/parts";
import { Env, Outcome, Protocol, State } from "../ui/state";
import { A, Code, Left, Time, visible } from "../ui/text";
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
