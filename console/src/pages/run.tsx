import { useEffect, useState } from "preact/hooks";
import { at, get, post } from "../api";
import { decides } from "../decide";
import { now, requests } from "../live";
import { bookOf, over, RunState } from "../runs";
import type { Request, Run, RunStep } from "../types";
import { Icon } from "../ui/icon";
import { Dialog, Empty, Fact, Facts, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { A, Copy, span, tick, Time, visible, Who } from "../ui/text";
import { say } from "../ui/toast";
import { Decide, WhatPanel } from "./request";

/** A run: it is asked for again until it is over. */
export default function RunPage({ id }: { id: string }) {
  useTitle("Run " + id);
  const sign = [...(requests.value?.values() ?? [])].map((r) => r.id + r.state).join(" "); // what waits, or does not any more, changes it
  const loaded = useLoad<Run>((s) => get(at`/v1/runs/${id}`, s), id, sign);
  const r = loaded.value, follows = !!r && !over(r) && !loaded.problem;
  useEffect(() => {
    if (!follows) return;
    const timer = setInterval(() => { if (!document.hidden) loaded.again(); }, 700);
    return () => clearInterval(timer);
  }, [id, follows]);
  if (loaded.missing) return <><Head title="No such run" /><Empty icon="search" title="There is no run of this identifier that you may see">It may have been of somebody else, or is not kept any more. <A to="/runbooks?view=runs">All runs</A></Empty></>;
  if (!r) return loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton />;
  return <Shown of={r} problem={loaded.problem} again={loaded.again} />;
}

function Shown({ of: r, problem, again }: { of: Run; problem: string; again: () => void }) {
  tick.value;
  const [leaving, leave] = useState(false);
  const mine = new Set([r.session, ...r.steps.map((s) => s.session)].filter(Boolean));
  const seen = over(r) ? undefined : [...(requests.value?.values() ?? [])].find((q) => q.state === "pending" && q.session && mine.has(q.session));
  const held = useLoad<Request>(seen ? (s) => get(at`/v1/requests/${seen.id}`, s) : null, seen?.id, seen?.hash);
  const waits = held.value && held.value.id === seen?.id ? held.value : null; // the whole text that is approved
  return (
    <>
      <A to="/runbooks?view=runs" class="crumb"><Icon name="arrowLeft" size={14} />Runs</A>
      <Head title={<><bdi>{visible(r.name)}</bdi>{r.dry && ", dry run"}</>} about={<><Who subject={r.requester} human={r.for} /> began it <Time at={r.created} seconds /></>}>
        <span role="status"><RunState of={r} /></span>
        {!over(r) && <button type="button" class="deny" onClick={() => leave(true)}><Icon name="ban" />Cancel the run</button>}
        {over(r) && <A to={bookOf(r)} class="button"><Icon name="rotateCcw" />Run it again</A>}
      </Head>
      {problem && <Problem of={problem} again={again} />}
      {r.message && <div class="banner" data-tone={over(r) ? "deny" : "review"} role="status"><Icon name={over(r) ? "triangleAlert" : "clock"} /><bdi class="grow pre">{visible(r.message)}</bdi></div>}
      <div class="split">
        <div class="stack">
          {waits ? <WhatPanel of={waits} /> : held.problem && seen && <Problem of={held.problem} again={held.again} />}
          <section class="panel" aria-label="Steps"><header><Icon name="activity" /><h2>Steps</h2></header><ol class="steps body">{r.steps.map((s, i) => <Step key={i} of={s} />)}</ol></section>
        </div>
        <div class="stack">
          {waits && decides(waits) && <Decide of={waits} again={() => { held.again(); again(); }} />}
          <section class="panel" aria-label="Facts"><div class="body"><Facts>
            <Fact word="Runbook"><A to={bookOf(r)}><bdi>{visible(r.origin.source + "/" + r.name)}</bdi></A></Fact>
            {r.origin.commit && <Fact word="Commit"><code title={r.origin.commit}>{r.origin.commit.slice(0, 12)}</code>{r.origin.author && <> by <bdi>{visible(r.origin.author)}</bdi></>}{r.origin.signer && <>, signed by <bdi>{visible(r.origin.signer)}</bdi></>}</Fact>}
            <Fact word="Plan"><code title={r.plan}>{r.plan.slice(0, 16)}…</code> <Copy text={r.plan} label="Copy the plan's digest" /></Fact>
            {Object.entries(r.targets ?? {}).map(([g, list]) => <Fact key={g} word={`Target ${visible(g)}`}><bdi>{visible(list.join(", "))}</bdi></Fact>)}
            {r.session && <Fact word="Session"><A to={"/sessions/" + r.session}><code>{r.session}</code></A><p class="hint">Its record has the plan, with its values.</p></Fact>}
            {waits && <Fact word="Waits for"><A to={"/requests/" + waits.id}><code>{waits.id}</code></A></Fact>}
            {r.grants?.length ? <Fact word="Approved">{r.grants.map((g) => <p key={g}><A to={"/requests/" + encodeURIComponent(g.split(" ")[0])}><bdi>{visible(g)}</bdi></A></p>)}</Fact> : null}
            {r.scheduled && <Fact word="Scheduled for"><Time at={r.scheduled} /></Fact>}
            <Fact word={over(r) ? "Lasted" : "For"}><span class="num">{span((r.ended ? Date.parse(r.ended) : now()) - Date.parse(r.created))}</span></Fact>
            <Fact word="Identifier"><code>{r.id}</code> <Copy text={r.id} label="Copy the identifier" /></Fact>
          </Facts></div></section>
        </div>
      </div>
      {leaving && <Cancel of={r} close={() => leave(false)} again={again} />}
    </>
  );
}

function Step({ of: s }: { of: RunStep }) {
  const took = s.begun && s.ended ? span(Date.parse(s.ended) - Date.parse(s.begun)) : s.begun && s.state === "running" ? span(now() - Date.parse(s.begun)) : "";
  return (
    <li class="stack" aria-current={s.state === "running" ? "step" : undefined}>
      <p class="line"><RunState of={s} /><b><bdi>{visible(s.id)}</bdi></b><span class="chip">{s.kind}</span>{s.on && <span>at <bdi>{visible(s.on)}</bdi></span>}
        {s.kind === "sql" && s.state === "done" && <span class="dim num">{s.rows} {s.rows === 1 ? "row" : "rows"}, {s.affected} changed</span>}
        {(s.kind === "exec" || s.kind === "http") && s.ended && s.state !== "skipped" && <span class="dim num">status {s.status}</span>}
        {(s.attempts ?? 0) > 1 && <span class="dim num">{s.attempts} attempts</span>}
        {took && <span class="dim num">{took}</span>}{s.session && <A to={"/sessions/" + s.session} class="small">session</A>}</p>
      {s.message && <p class={s.state === "skipped" ? "dim" : "bad"}><bdi class="pre">{visible(s.message)}</bdi></p>}
      {s.kept?.length ? (
        <div class="scroll" tabindex={0} role="region" aria-label={`Rows of ${visible(s.id)}`}><table class="sample">{s.columns?.length ? <thead><tr>{s.columns.map((c, i) => <th key={i} scope="col">{visible(c)}</th>)}</tr></thead> : null}
          <tbody>{s.kept.map((row, i) => <tr key={i}>{row.map((v, c) => <td key={c} class="pre">{visible(v)}</td>)}</tr>)}</tbody></table></div>
      ) : null}
      {s.output && <div class="code"><pre tabindex={0} role="region" aria-label={`Output of ${visible(s.id)}`} data-wrap><code>{visible(s.output)}</code></pre></div>}
    </li>
  );
}

function Cancel({ of: r, close, again }: { of: Run; close: () => void; again: () => void }) {
  const doing = useDoing();
  return (
    <Dialog title="Cancel the run" close={close}>
      <p class="pad-b">What runs now is given up, and nothing more begins. What was done stays done.</p>
      {doing.problem && <Problem of={visible(doing.problem)} />}
      <div class="buttons"><button type="button" class="deny" autofocus disabled={doing.busy} onClick={() => doing.run(async () => { await post(at`/v1/runs/${r.id}/cancel`); say("It is being cancelled."); again(); close(); })}>Cancel it</button><button type="button" class="quiet" onClick={close}>Let it go on</button></div>
    </Dialog>
  );
}
