import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { at, get, post, Refusal } from "../api";
import { approvers, atMost } from "../asked";
import { EditDialog, ExtendDialog, ProposalPanel, ProposeDialog, ReviewPanel } from "../change";
import { decides, reviews, send, stageOf, votesOf } from "../decide";
import { now, requests } from "../live";
import { mine } from "../own";
import { go, query, setQuery } from "../router";
import { StepUp } from "../stepup";
import type { Impact, Request as R } from "../types";
import { Icon, type IconName } from "../ui/icon";
import { useKeys } from "../ui/keys";
import { Empty, Fact, Facts, Field, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { RequestState, State } from "../ui/state";
import { A, Code, Copy, Left, span, tick, Time, visible, Where, Who } from "../ui/text";
import { say } from "../ui/toast";
import { Deny } from "./home";

export default function RequestPage({ id }: { id: string }) {
  useTitle("Request " + id);
  // What the stream knows of it says when it is to be read again.
  const seen = requests.value?.get(id);
  const sign = seen ? `${seen.hash} ${seen.state} ${seen.access?.votes?.length ?? 0} ${seen.access?.proposal?.hash ?? ""}` : "gone";
  const loaded = useLoad<R>((s) => get(at`/v1/requests/${id}`, s), id, sign);
  const r = loaded.value;
  if (loaded.missing) return <><Head title="No such request" /><Empty icon="search" title="There is no request of this identifier that you may see">It may have been of somebody else, or is not kept any more. <A to="/requests">All requests</A></Empty></>;
  if (!r) return loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton />;
  return <Review of={r} again={loaded.again} />;
}

function Review({ of: r, again }: { of: R; again: () => void }) {
  tick.value;
  const own = mine(r), may = decides(r);
  return (
    <>
      <A to="/requests" class="crumb"><Icon name="arrowLeft" size={14} />Requests</A>
      <Head title={r.access ? <>{span(r.access.seconds * 1000)} of access at <bdi>{visible(r.resource)}</bdi></> : <>{visible(r.kind[0].toUpperCase() + r.kind.slice(1))} at <bdi>{visible(r.resource)}</bdi></>}
        about={<><Who subject={r.requester} human={r.for} /> asked for it <Time at={r.created} /></>}>
        <RequestState of={r} />
      </Head>
      <Verdict of={r} />
      <div class="split">
        <div class="stack">
          {r.access ? <AccessPanel of={r} /> : <WhatPanel of={r} />}
          {r.access?.proposal && r.state === "pending" && <ProposalPanel of={r} by={r.access.proposal} own={own} again={again} />}
          {r.impact && <ImpactPanel of={r.impact} />}
          <TimelinePanel of={r} />
        </div>
        <div class="stack">
          {may && <Decide of={r} again={again} />}
          {reviews(r) && <ReviewPanel of={r} again={again} />}
          {own && (r.state === "pending" || r.state === "approved") && <OwnPanel of={r} again={again} />}
          {!may && !own && r.state === "approved" && <RevokePanel of={r} again={again} />}
          {r.access && !r.access.glass && <Stages of={r} />}
          <section class="panel" aria-label="Facts"><div class="body"><Facts>
            <Fact word="Where"><Where of={r} /></Fact>
            {r.access ? <Fact word="Rule">{visible(r.access.rule)}</Fact> : <Fact word="Held by">{(r.rules ?? []).join(", ") || "–"}</Fact>}
            {!r.access && <Fact word="Approvers">{visible(approvers(r))}</Fact>}
            {r.session && <Fact word="Session"><A to={"/sessions/" + r.session}><code>{r.session}</code></A>, operation <span class="num">{r.operation}</span></Fact>}
            {r.use && <Fact word="Run in"><A to={"/sessions/" + r.use.session}><code>{r.use.session}</code></A>, operation <span class="num">{r.use.operation}</span></Fact>}
            {r.access?.remote && <Fact word="Asked from"><code>{r.access.remote}</code></Fact>}
            <Fact word="Identifier"><code>{r.id}</code> <Copy text={r.id} label="Copy the identifier" /></Fact>
            <Fact word="Covers"><code title={r.hash}>{r.hash.slice(0, 16)}…</code> <Copy text={r.hash} label="Copy the hash" /><p class="hint">A decision is about exactly what has this hash.</p></Fact>
          </Facts></div></section>
        </div>
      </div>
    </>
  );
}

/** What it has come to, in a sentence. */
function Verdict({ of: r }: { of: R }) {
  const g = r.access?.grant;
  const who = r.decided_by ? <bdi>{visible(r.decided_by)}</bdi> : null;
  const bar = (tone: string, icon: IconName, text: ComponentChildren) => <div class="banner" data-tone={tone}><Icon name={icon} /><span class="grow">{text}</span></div>;
  switch (r.state) {
    case "review_due": return bar("deny", "shieldAlert", <>{visible(r.requester)} had access without an approval. It is over, and waits for {visible(approvers(r))} to say whether it was in order.</>);
    case "reviewed": return bar("allow", "shieldCheck", <>{who} has looked at what was done: it was in order. <bdi>{visible(r.reason ?? "")}</bdi></>);
    case "violation": return bar("deny", "shieldAlert", <>{who} has looked at what was done: it was a violation. <bdi>{visible(r.reason ?? "")}</bdi></>);
    case "pending": return bar("review", "clock", <>It waits for {visible(approvers(r))}. <Left until={r.deadline} from={r.created} word="to decide" /></>);
    case "approved": return g && r.access?.glass
      ? bar("deny", "shieldAlert", <>{visible(r.requester)} has taken access without an approval, and may {g.actions.join(", ")} at <bdi>{visible(r.resource)}</bdi> until <Time at={g.until} />. <Left until={g.until} from={g.from} /></>)
      : g
      ? bar("allow", "circleCheck", <>{visible(r.requester)} may {g.actions.join(", ")} at <bdi>{visible(r.resource)}</bdi> until <Time at={g.until} />, because of rule {visible(r.access!.rule)}. <Left until={g.until} from={g.from} /></>)
      : bar("allow", "circleCheck", <>{who} approved it. It may run once{r.use_by && <> until <Time at={r.use_by} /></>}.</>);
    case "used": return bar("allow", "check", <>{who} approved it, and it ran{r.use && <> at <Time at={r.use.at} seconds /></>}.</>);
    case "unknown": return bar("review", "triangleAlert", <>{who} approved it, and the gateway stopped as it ran: whether it has run is not known.</>);
    case "denied": return bar("deny", "circleX", <>{who} denied it: <bdi>{visible(r.reason ?? "")}</bdi></>);
    case "revoked": return bar("deny", "ban", <>{who} took it back{r.reason && <>: <bdi>{visible(r.reason)}</bdi></>}</>);
    default: return bar("off", "history", <>It is over: {r.state}{r.reason && <>, <bdi>{visible(r.reason)}</bdi></>}.</>);
  }
}

function AccessPanel({ of: r }: { of: R }) {
  const a = r.access!;
  return (
    <section class="panel" aria-label="What is asked for"><header><Icon name="keyRound" /><h2>What is asked for</h2></header><div class="body"><Facts>
      <Fact word="Actions"><span class="chips">{a.actions.map((x) => <span key={x} class="chip">{visible(x)}</span>)}</span></Fact>
      <Fact word="For"><span class="num">{span(a.seconds * 1000)}</span></Fact>
      {a.rows ? <Fact word="Rows">{atMost(a.rows)}, returned or changed, in all sessions together</Fact> : null}
      <Fact word="Begins">{a.glass ? "at once" : a.from ? <Time at={a.from} /> : "with the last approval"}</Fact>
      <Fact word="Reason"><bdi class="pre">{visible(a.reason)}</bdi></Fact>
      {a.glass && <Fact word="Proven by">{visible(a.glass.proof)}</Fact>}
      {a.extends && <Fact word="Goes on after"><A to={"/requests/" + a.extends}><code>{a.extends}</code></A></Fact>}
      {a.revision ? <Fact word="Changed"><span class="num">{a.revision}</span> {a.revision === 1 ? "time" : "times"}</Fact> : null}
      {r.message && <Fact word="Note"><bdi>{visible(r.message)}</bdi></Fact>}
    </Facts></div></section>
  );
}

export function WhatPanel({ of: shown }: { of: R }) {
  const [clear, setClear] = useState<R | null>(null);
  const doing = useDoing();
  useEffect(() => setClear(null), [shown.hash]);
  const r = clear ?? shown;
  return (
    <section class="panel" aria-label="What exactly"><header><Icon name="fileText" /><h2>What exactly</h2>{r.effects && <span class="chips end">{r.effects.split(/[ ,|]+/).filter(Boolean).map((e) => <span key={e} class="chip">{visible(e)}</span>)}</span>}</header>
      <div class="body stack">
        <p>{visible(r.message)}</p>
        {r.after && <div class="banner" data-tone="review"><Icon name="triangleAlert" />It may have run already: <A to={"/requests/" + r.after}>request <code>{r.after}</code></A> for the same was approved, and the gateway stopped as it ran.</div>}
        {r.blind && <div class="banner" data-tone="review"><Icon name="triangleAlert" />It cannot be told what this does: {visible(r.blind)}</div>}
        <Code text={r.text} label="What would run" />
        {shown.hidden?.length ? (
          <div class="line"><State tone="masked" icon="eye" word={clear ? "shown unmasked to you, on record" : "masked for you"} /><span class="chips">{shown.hidden.map((t) => <span key={t} class="chip">{visible(t)}</span>)}</span>
            {shown.reveal && !clear && decides(shown) && <button type="button" class="small" disabled={doing.busy} onClick={() => doing.run(async () => setClear(await post<R>(at`/v1/requests/${shown.id}/reveal`, { hash: shown.hash })))}>Show it, on record</button>}
            {clear && <button type="button" class="small" onClick={() => setClear(null)}>Mask it again</button>}</div>
        ) : null}
        {doing.problem && <Problem of={doing.problem} />}
        {r.arguments?.length ? <table><caption class="hint">Arguments</caption><tbody>{r.arguments.map((v, i) => <tr key={i}><th scope="row" class="num">${i + 1}</th><td><code class="pre">{visible(v)}</code></td></tr>)}</tbody></table> : null}
      </div></section>
  );
}

function ImpactPanel({ of: i }: { of: Impact }) {
  const rows = i.rows ?? -1;
  return (
    <section class="panel" aria-label="What it would change"><header><Icon name="activity" /><h2>What it would change</h2>{i.holds && <span class="end"><State tone="info" icon="shieldCheck" word={i.holds === "rows" ? "runs on exactly these rows" : "runs on exactly so many rows"} /></span>}</header>
      <div class="body stack">
        <p>{rows >= 0 ? <><b class="num">{rows.toLocaleString("en")}</b> {rows === 1 ? "row" : "rows"}</> : "It is not known how many rows"}{i.table && <> of <code>{visible(i.table)}</code></>}{i.effect && <span class="dim"> · {visible(i.effect)}</span>}</p>
        {i.samples?.length ? (
          <div class="scroll" tabindex={0} role="region" aria-label="Some of the rows"><table class="sample"><thead><tr>{(i.columns ?? []).map((c) => <th key={c} scope="col">{visible(c)}</th>)}</tr></thead>
            <tbody>{i.samples.map((s, n) => <tr key={n}>{s.before.map((v, c) => { const after = s.after?.[c]; return <td key={c}>{after ? <><del>{visible(v)}</del> <ins>{visible(after)}</ins></> : s.after ? visible(v) : <del>{visible(v)}</del>}</td>; })}</tr>)}</tbody></table></div>
        ) : null}
        {i.unsaid?.length ? <ul class="notes">{i.unsaid.map((u) => <li key={u}><Icon name="info" size={14} />{visible(u)}</li>)}</ul> : null}
        {i.plan && <details><summary>Plan</summary><Code text={i.plan} label="Plan" /></details>}
      </div></section>
  );
}

function Stages({ of: r }: { of: R }) {
  const current = stageOf(r);
  return (
    <section class="panel" aria-label="Approvals"><header><Icon name="users" /><h2>Approvals</h2></header><ol class="stages">
      {r.access!.stages.map((s, i) => {
        const votes = votesOf(r, i), need = s.need || 1, done = votes.length >= need;
        return (
          <li key={i}><State tone={done ? "allow" : r.state === "pending" && i === current ? "review" : "off"} icon={done ? "circleCheck" : i === current ? "clock" : "circleSlash"} word={`${votes.length} of ${need}`} />
            <div class="grow"><bdi>{visible(s.approvers.map((g) => (g === "*" ? "everybody else" : g)).join(" or "))}</bdi>
              {votes.map((v) => <p key={v.by} class="small dim"><Who subject={v.name || v.by} />, <Time at={v.at} />{v.channel && `, ${v.channel}`}{v.seconds ? `, for ${span(v.seconds * 1000)}` : ""}{v.actions?.length ? `, ${v.actions.join(", ")} only` : ""}{v.rows ? `, ${atMost(v.rows)}` : ""}{v.reason && <>: <bdi>{visible(v.reason)}</bdi></>}</p>)}</div></li>
        );
      })}
    </ol></section>
  );
}

function TimelinePanel({ of: r }: { of: R }) {
  const items: [string, IconName, ComponentChildren][] = [[r.created, "send", <><Who subject={r.requester} human={r.for} /> asked{r.access?.remote && <> from <code>{r.access.remote}</code></>}</>]];
  for (const v of r.access?.votes ?? []) items.push([v.at, v.lost ? "circleSlash" : "check", <><Who subject={v.name || v.by} /> approved{v.lost && ", and was no approver any more when it counted"}</>]);
  if (r.decided_at) items.push([r.decided_at, r.state === "denied" || r.state === "revoked" ? "x" : "check", <>{r.decided_by ? <Who subject={r.decided_by} /> : "The gateway"}: {r.state === "used" || r.state === "lapsed" ? "approved" : r.state === "reviewed" ? "in order" : r.state}{r.channel && <span class="dim">, {r.channel}</span>}</>]);
  if (r.access?.proposal) items.push([r.access.proposal.at, "undo", <><Who subject={r.access.proposal.name || r.access.proposal.by} /> proposed other terms</>]);
  if (r.access?.glass?.ended?.by) items.push([r.access.glass.ended.at!, "ban", <><Who subject={r.access.glass.ended.by} /> ended it</>]);
  if (r.access?.grant) items.push([r.access.grant.from, "keyRound", <>access begins</>], ...(r.access.glass?.ended?.by ? [] : [[r.access.grant.until, "timer", <>access ends</>] as (typeof items)[0]]));
  if (r.use) items.push([r.use.at, "play", <>it ran, in session <A to={"/sessions/" + r.use.session}><code>{r.use.session}</code></A></>]);
  if (r.state === "pending") items.push([r.deadline, "timer", <>it expires unless it is decided before</>]);
  items.sort((a, b) => Date.parse(a[0]) - Date.parse(b[0]));
  const t = now();
  return (
    <section class="panel" aria-label="Timeline"><header><Icon name="history" /><h2>Timeline</h2></header><ol class="timeline">
      {items.map(([when, icon, what], i) => <li key={i} data-later={Date.parse(when) > t || undefined}><Icon name={icon} size={14} /><Time at={when} seconds /><span>{what}</span></li>)}
    </ol></section>
  );
}

export function Decide({ of: r, again }: { of: R; again: () => void }) {
  const denying = query.value.get("deny") === "1";
  const deny = (on: boolean) => setQuery({ deny: on ? "1" : null });
  const [narrow, setNarrow] = useState(false);
  const [seconds, setSeconds] = useState(r.access?.seconds ?? 0);
  const [actions, setActions] = useState(r.access?.actions ?? []);
  const [rows, setRows] = useState("");
  const [reason, setReason] = useState("");
  const [prove, setProve] = useState(false);
  const [propose, setPropose] = useState(false);
  const doing = useDoing();
  const approve = () => doing.run(async () => {
    try {
      const less = r.access && narrow ? { seconds: seconds < r.access.seconds ? seconds : undefined, actions: actions.length < r.access.actions.length ? actions : undefined, rows: Number(rows) || undefined } : {};
      const is = await send(r, "approve", { reason: reason || undefined, ...less });
      say(is.state === "pending" ? "Your approval counts; more are needed." : "Approved.");
    } catch (e) {
      const f = e as Refusal;
      if (f.status === 409) again();
      if (f.status === 403) setProve(true);
      throw e;
    }
    again();
  });
  useKeys(() => ({ a: approve, d: () => deny(true), Escape: () => deny(false) }), [r, narrow, seconds, actions, rows, reason]);
  const steps = [300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800].filter((s) => r.access && s < r.access.seconds);
  return (
    <section class="panel decide" aria-label="Decide"><header><Icon name="hand" /><h2>Your decision</h2></header><div class="body stack">
      {denying ? <Deny of={r} close={() => deny(false)} /> : (
        <>
          {r.access && (
            <label class="check"><input type="checkbox" checked={narrow} onChange={(e) => setNarrow(e.currentTarget.checked)} />Grant less than is asked for</label>
          )}
          {r.access && narrow && (
            <>
              <Field id="narrow-for" label="For"><select id="narrow-for" value={String(seconds)} onChange={(e) => setSeconds(Number(e.currentTarget.value))}>
                {steps.map((s) => <option key={s} value={s}>{span(s * 1000)}</option>)}<option value={r.access.seconds}>{span(r.access.seconds * 1000)}, as asked</option></select></Field>
              <fieldset class="checks"><legend>Actions</legend>{r.access.actions.map((a) => <label key={a} class="check"><input type="checkbox" checked={actions.includes(a)} onChange={(e) => setActions(e.currentTarget.checked ? [...actions, a] : actions.filter((x) => x !== a))} />{a}</label>)}</fieldset>
              <Field id="narrow-rows" label="Rows at most" hint="Returned or changed, in all sessions together, at PostgreSQL and MySQL. Empty: as many as the rules let."><input id="narrow-rows" type="number" min={1} max={r.access.rows ?? Number.MAX_SAFE_INTEGER} step={1} aria-describedby="narrow-rows-hint" value={rows} onInput={(e) => setRows(e.currentTarget.value)} /></Field>
            </>
          )}
          <Field id="approve-note" label="Note" hint="Not needed; it is on record."><input id="approve-note" maxLength={1000} aria-describedby="approve-note-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
          {doing.problem && <Problem of={doing.problem} />}
          {prove && <StepUp after={approve} />}
          <div class="buttons">
            <button type="button" class="allow" disabled={doing.busy || (narrow && !actions.length)} onClick={approve}><Icon name="check" />{narrow ? "Approve less" : "Approve"} <kbd>a</kbd></button>
            <button type="button" class="deny" onClick={() => deny(true)}><Icon name="x" />Deny <kbd>d</kbd></button>
            {r.access && <button type="button" class="quiet" onClick={() => setPropose(true)}>Propose other terms</button>}
          </div>
          {propose && <ProposeDialog of={r} close={() => setPropose(false)} again={again} />}
          <p class="hint">It covers exactly what is shown here: <code>{r.hash.slice(0, 8)}</code>. {r.access ? "It can be taken back." : "It runs once."}</p>
        </>
      )}
    </div></section>
  );
}

function OwnPanel({ of: r, again }: { of: R; again: () => void }) {
  const doing = useDoing();
  const [change, setChange] = useState<"" | "edit" | "extend">("");
  const open = r.state === "approved" && r.access?.grant;
  const close = () => setChange("");
  return (
    <section class="panel" aria-label="Your request"><div class="body stack">
      {open ? <p>You may connect: <A to={"/connections/" + encodeURIComponent(r.resource)}>to <bdi>{visible(r.resource)}</bdi></A>.</p> : <p class="dim">This is yours. Others decide about it; you may take it back.</p>}
      {doing.problem && <Problem of={doing.problem} />}
      <div class="buttons">
        {open && !r.access!.glass && Date.parse(open.from) <= now() && <button type="button" onClick={() => setChange("extend")}><Icon name="timer" />Ask for more time</button>}
        {r.access && r.state === "pending" && <button type="button" onClick={() => setChange("edit")}>Change the request</button>}
        <button type="button" disabled={doing.busy} onClick={() => doing.run(async () => { await post(at`/v1/requests/${r.id}/cancel`, { reason: "by the console" }); say("Cancelled."); again(); })}>{open ? "End my access" : "Cancel the request"}</button></div>
      {change === "edit" && <EditDialog of={r} close={close} again={again} />}
      {change === "extend" && <ExtendDialog of={r} close={close} go={go} />}
    </div></section>
  );
}

function RevokePanel({ of: r, again }: { of: R; again: () => void }) {
  const [reason, setReason] = useState("");
  const doing = useDoing();
  return (
    <section class="panel" aria-label="Take it back"><div class="body"><form onSubmit={(e) => { e.preventDefault(); doing.run(async () => { await post(at`/v1/requests/${r.id}/revoke`, { reason }); say("Taken back."); again(); }); }}>
      <Field id="revoke" label="Take it back" hint={r.access ? "Sessions that are open by it end." : "Until it has run."}><input id="revoke" required maxLength={1000} aria-describedby="revoke-hint" placeholder="Reason" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
      {doing.problem && <Problem of={doing.problem} />}
      <button type="submit" class="deny" disabled={doing.busy || !reason.trim()}><Icon name="ban" />Revoke</button>
    </form></div></section>
  );
}
