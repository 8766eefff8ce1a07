import { useEffect, useRef, useState } from "preact/hooks";
import { at, get, post, Refusal } from "../api";
import { people } from "../asked";
import { begin, given, ready, SchemaForm, type Schema, type Suggest, type Values } from "../form";
import { go } from "../router";
import type { Run, Runbook, RunPlan } from "../types";
import { Icon } from "../ui/icon";
import { List } from "../ui/list";
import { Empty, Fact, Facts, Field, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { Outcome, State } from "../ui/state";
import { A, Code, Copy, visible } from "../ui/text";
import { runColumns } from "./runbooks";

interface Detail extends Runbook { help?: string; schema: Schema; targets: Record<string, string[]>; most?: Record<string, number> }
type Targets = Record<string, string[]>;

export default function RunbookPage({ source, name }: { source: string; name: string }) {
  useTitle(name);
  const loaded = useLoad<Detail>((s) => get(at`/v1/runbooks/${source}/${name}`, s), source, name);
  if (loaded.missing) return <><Head title="No such runbook" /><Empty icon="search" title="No source has a runbook of this name"><A to="/runbooks">All runbooks</A></Empty></>;
  if (!loaded.value) return loaded.problem ? <><A to="/runbooks" class="crumb"><Icon name="arrowLeft" size={14} />Runbooks</A><Head title={<bdi>{visible(name)}</bdi>} /><Problem of={visible(loaded.problem)} again={loaded.again} /></> : <Skeleton />;
  return <Book of={loaded.value} />;
}

function Book({ of: b }: { of: Detail }) {
  return (
    <>
      <A to="/runbooks" class="crumb"><Icon name="arrowLeft" size={14} />Runbooks</A>
      <Head title={<bdi>{visible(b.title || b.name!)}</bdi>} about={b.help ? <bdi class="pre">{visible(b.help)}</bdi> : undefined}>
        {b.risk && <State tone={b.risk === "high" ? "deny" : b.risk === "medium" ? "review" : "off"} icon="info" word={visible(b.risk) + " risk"} />}
        {b.review && <State tone="review" icon="hand" word="others approve its runs" />}
      </Head>
      <Asking of={b} />
      <History of={b} />
    </>
  );
}

/** The form, and the plan of what is in it. What is run is what was shown: anything changed takes the plan away. */
function Asking({ of: b }: { of: Detail }) {
  const [values, setValues] = useState<Values>(() => begin(b.schema));
  const [targets, setTargets] = useState<Targets>(() => Object.fromEntries(Object.entries(b.targets).map(([g, list]) => [g, list.length === 1 ? list : []])));
  const [plan, setPlan] = useState<RunPlan | null>(null);
  const doing = useDoing();
  const changed = <T,>(set: (v: T) => void) => (v: T) => { set(v); setPlan(null); doing.clear(); };
  const wish = () => ({ source: b.source, name: b.name, params: given(b.schema, values), targets });
  const look = () => doing.run(async () => { setPlan(null); setPlan(await post<RunPlan>("/v1/runbooks/plan", wish())); });
  const start = (dry: boolean) => doing.run(async () => {
    try {
      const r = await post<Run>("/v1/runs", { ...wish(), dry: dry || undefined, plan: plan!.plan.digest });
      go("/runs/" + r.id);
    } catch (e) {
      if ((e as Refusal).status === 409) setPlan(null);
      throw e;
    }
  });
  const suggest: Suggest = (param, p) => {
    const target = p["x-values-from"] && targets[p["x-values-from"]]?.[0];
    return target ? { key: param + " " + target, load: () => post("/v1/runbooks/values", { source: b.source, name: b.name, param, target }) } : null;
  };
  const chosen = Object.values(targets).every((list) => list.length);
  return (
    <div class="split even">
      <section class="panel" aria-label="Values"><header><Icon name="fileText" /><h2>Values</h2></header>
        <form class="body stack" onSubmit={(e) => { e.preventDefault(); look(); }}>
          {Object.entries(b.targets).map(([g, list]) => <Target key={g} name={g} list={list} most={b.most?.[g] ?? 1} chosen={targets[g]} set={(v) => changed(setTargets)({ ...targets, [g]: v })} />)}
          <SchemaForm of={b.schema} values={values} set={changed(setValues)} suggest={suggest} />
          {doing.problem && <Problem of={visible(doing.problem)} />}
          <div class="buttons"><button type="submit" class={plan ? "" : "primary"} disabled={doing.busy || !chosen || !ready(b.schema, values)}>Show the plan</button></div>
        </form></section>
      <div class="stack">
        {plan ? <PlanPanel of={plan} busy={doing.busy} start={start} /> : <section class="panel" aria-label="Plan"><Empty icon="eye" title="The plan is shown before anything runs">Give the values, and look at what would be done, and where.</Empty></section>}
        <section class="panel" aria-label="Facts"><div class="body"><Facts>
          <Fact word="From"><bdi>{visible(b.source)}</bdi>, <code>{visible(b.path)}</code></Fact>
          {b.commit && <Fact word="Commit"><code title={b.commit}>{b.commit.slice(0, 12)}</code> <Copy text={b.commit} label="Copy the commit" /></Fact>}
          {b.owner && <Fact word="Owner"><bdi>{visible(b.owner)}</bdi></Fact>}
          {b.cron && <Fact word="Schedule"><code>{visible(b.cron)}</code></Fact>}
        </Facts></div></section>
      </div>
    </div>
  );
}

function Target({ name, list, most, chosen, set }: { name: string; list: string[]; most: number; chosen: string[]; set: (v: string[]) => void }) {
  const id = "t-" + name;
  if (list.length === 0) return <Problem of={`You may connect to no resource that fits the target ${visible(name)}.`} />;
  if (most === 1) return (
    <Field id={id} label={`Target: ${visible(name)}`}><select id={id} required value={chosen[0] ?? ""} onChange={(e) => set(e.currentTarget.value ? [e.currentTarget.value] : [])}>
      {!chosen.length && <option value="">Choose one</option>}{list.map((r) => <option key={r} value={r}>{visible(r)}</option>)}</select></Field>
  );
  return (
    <fieldset class="checks"><legend>Targets: {visible(name)}, {most} at most</legend>
      {list.map((r) => <label key={r} class="check"><input type="checkbox" checked={chosen.includes(r)} disabled={!chosen.includes(r) && chosen.length >= most}
        onChange={(e) => set(e.currentTarget.checked ? [...chosen, r] : chosen.filter((x) => x !== r))} /><bdi>{visible(r)}</bdi></label>)}</fieldset>
  );
}

function PlanPanel({ of: p, busy, start }: { of: RunPlan; busy: boolean; start: (dry: boolean) => void }) {
  const head = useRef<HTMLHeadingElement>(null);
  useEffect(() => head.current?.focus(), [p.plan.digest]);
  const reviews = p.plan.reviews ?? [];
  const answer = (id: string, on?: string) => p.answers.find((a) => a.step === id && a.on === on);
  return (
    <section class="panel decide" aria-label="Plan"><header><Icon name="eye" /><h2 ref={head} tabindex={-1}>Plan</h2><span class="end"><State tone={p.writes ? "review" : "off"} icon={p.writes ? "triangleAlert" : "eye"} word={p.writes ? "may change something" : "reads only"} /></span></header>
      <div class="body stack">
        <ol class="steps" aria-label="Steps">{p.plan.steps.map((s, i) => {
          const a = answer(s.id, s.on);
          return (
            <li key={i} class="stack">
              <p class="line"><b><bdi>{visible(s.id)}</bdi></b><span class="chip">{s.kind}</span>{s.on && <span>at <bdi>{visible(s.on)}</bdi></span>}{s.when && <span class="dim">when <code>{visible(s.when)}</code></span>}{a && <Outcome of={a.verdict} />}</p>
              <Code text={s.text} label={`Step ${s.id}`} />
              {s.args?.length ? <table><caption class="hint">Values that are bound</caption><tbody>{s.args.map((v, n) => <tr key={n}><th scope="row" class="num">{n + 1}</th><td><code class="pre">{visible(v)}</code></td></tr>)}</tbody></table> : null}
              {s.input && <p class="hint">Input: <code class="pre">{visible(s.input)}</code></p>}
              {s.affected_rows !== undefined && <p class="hint">It changes {s.affected_rows} rows or less.</p>}
              {a?.reason && <p class="hint">{visible(a.reason)}</p>}
            </li>
          );
        })}</ol>
        {reviews.map((r, i) => <p key={i} class="line"><Icon name="users" size={14} />{people(r.from.map(visible), r.need || 1)} approve{(r.need || 1) > 1 ? "" : "s"} it first{r.distinct?.includes("author") ? ", and not who wrote it" : ""}.</p>)}
        <details><summary>All of it, as approvers read it</summary><Code text={p.text} label="All of the plan" /></details>
        <div class="buttons">
          <button type="button" class="primary" disabled={busy} onClick={() => start(false)}><Icon name={reviews.length ? "send" : "play"} />{reviews.length ? "Ask for approval and run" : "Run it"}</button>
          <button type="button" disabled={busy} onClick={() => start(true)}><Icon name="eye" />Dry run</button>
        </div>
        <p class="hint">This plan runs, and no other: <code title={p.plan.digest}>{p.plan.digest.slice(0, 12)}</code>. A dry run changes nothing.</p>
      </div></section>
  );
}

function History({ of: b }: { of: Runbook }) {
  const loaded = useLoad<{ runs: Run[] }>((s) => get("/v1/runs?runbook=" + encodeURIComponent(b.source + "/" + b.name), s), b.source, b.name);
  if (loaded.problem) return <Problem of={loaded.problem} again={loaded.again} />;
  if (!loaded.value?.runs.length) return null;
  return <section class="stack" aria-label="Runs of it"><h2>Runs</h2><List items={loaded.value.runs} id={(r) => r.id} columns={runColumns} label="Runs of it" open={(r) => go("/runs/" + r.id)} empty={null} /></section>;
}
