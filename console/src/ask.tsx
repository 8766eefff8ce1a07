import { useState } from "preact/hooks";
import { at, get, post, Refusal } from "./api";
import { people } from "./asked";
import { go, query, setQuery } from "./router";
import { StepUp } from "./stepup";
import { Actions, Begin, instant, Length } from "./terms";
import type { Request, Resource, Terms } from "./types";
import { Icon } from "./ui/icon";
import { Dialog, Empty, Field, Problem, Skeleton, useDoing, useLoad } from "./ui/parts";
import { A, visible } from "./ui/text";

/** Asking for access, on the terms of a rule; in an emergency, taking it. */
export function AskPanel({ of: r }: { of: Resource }) {
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
  const length = seconds && seconds <= t.max ? seconds : t.seconds;
  const actions = t.actions.filter((a) => !off.includes(a));
  let fits = true;
  try { fits = !t.reason || new RegExp(t.reason).test(reason); } catch { /* the gateway says so when it is sent */ }
  const what = { resource: r.name, account: account || undefined, rule: t.rule, actions: actions.length < t.actions.length ? actions : undefined };
  const emergency = t.break_glass ? t : list.find((x) => x.break_glass); // the rule by which it is taken
  const submit = (e: Event) => {
    e.preventDefault();
    doing.run(async () => {
      const made = await post<Request>("/v1/requests", { ...what, seconds: length, from: from ? instant(from) : undefined, reason });
      go("/requests/" + made.id);
    });
  };
  return (
    <section class="panel decide" aria-label="Ask for access"><header><Icon name="send" /><h2>Ask for access</h2></header><form class="body stack" onSubmit={submit}>
      {t.message && <p>{visible(t.message)}</p>}
      {(r.accounts?.length ?? 0) > 1 && <Field id="ask-account" label="Account"><select id="ask-account" value={account} onChange={(e) => setAccount(e.currentTarget.value)}><option value="">Those of the rule</option>{r.accounts!.map((a) => <option key={a} value={a}>{a}</option>)}</select></Field>}
      {list.length > 1 && <Field id="ask-rule" label="Rule"><select id="ask-rule" value={t.rule} onChange={(e) => setRule(e.currentTarget.value)}>{list.map((x) => <option key={x.rule} value={x.rule}>{x.rule}</option>)}</select></Field>}
      <Length id="ask-for" seconds={length} max={t.max} also={[t.seconds]} set={setSeconds} />
      <Actions all={t.actions} chosen={actions} set={(chosen) => setOff(t.actions.filter((a) => !chosen.includes(a)))} />
      <Field id="ask-reason" label="Reason" hint={t.reason ? <>It must have <code>{t.reason}</code>.{reason && !fits ? " It does not yet." : ""}</> : "Who decides reads it."}>
        <textarea id="ask-reason" required maxLength={1000} rows={2} aria-describedby="ask-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
      <Begin id="ask-from" from={from} set={setFrom} />
      <div><p class="strong">Who is asked</p><ol class="who-is-asked">{t.stages.map((s, i) => <li key={i}>{people(s.approvers, s.need)}</li>)}</ol></div>
      {doing.problem && <Problem of={doing.problem} />}
      <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !actions.length || !reason.trim() || !fits}><Icon name="send" />Ask</button>
        {query.value.get("ask") === "1" && !r.request && <button type="button" class="quiet" onClick={() => setQuery({ ask: null })}>Cancel</button>}
        {emergency ? <button type="button" class="deny end" onClick={() => setQuery({ glass: "1" })}><Icon name="shieldAlert" />Break the glass</button> : null}</div>
    </form>
      {emergency && query.value.get("glass") === "1" ? <GlassDialog of={r} terms={emergency} what={emergency === t ? what : { ...what, rule: emergency.rule, actions: undefined }} reason={reason} close={() => setQuery({ glass: null })} /> : null}
    </section>
  );
}

/** Taking access at once, without an approval, and so that everybody sees it. */
function GlassDialog({ of: r, terms: t, what, reason: said, close }: { of: Resource; terms: Terms; what: object; reason: string; close: () => void }) {
  const max = t.break_glass!;
  const [seconds, setSeconds] = useState(Math.min(t.seconds, max));
  const [reason, setReason] = useState(said);
  const [sure, setSure] = useState(false);
  const [prove, setProve] = useState(false);
  const doing = useDoing();
  const take = () => doing.run(async () => {
    try {
      const made = await post<Request>("/v1/requests", { ...what, seconds, reason, break_glass: true });
      close();
      go("/requests/" + made.id);
    } catch (e) {
      if ((e as Refusal).code === "unproven") setProve(true);
      throw e;
    }
  });
  const reviewers = [...new Set(t.stages.flatMap((s) => s.approvers))];
  return (
    <Dialog title="Break the glass" close={close}>
      <div class="stack">
        <div class="glass" role="note"><p class="strong"><Icon name="shieldAlert" />You take access to <bdi>{visible(r.name)}</bdi> at once, and nobody approves it.</p>
          <ul><li>Everybody who is told of requests is told of this now, with your name and your reason.</li><li>All that you see and write there is recorded.</li>
            <li>Afterwards {people(reviewers)} says whether it was in order. Until then you cannot do this again, anywhere.</li></ul></div>
        <form class="stack" onSubmit={(e) => { e.preventDefault(); take(); }}>
          <Length id="glass-for" seconds={seconds} max={max} also={[seconds]} set={setSeconds} />
          <Field id="glass-reason" label="What has happened" hint="Everybody who is told of it reads this."><textarea id="glass-reason" required autofocus maxLength={1000} rows={2} aria-describedby="glass-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
          <label class="check"><input type="checkbox" checked={sure} onChange={(e) => setSure(e.currentTarget.checked)} />This cannot wait for an approval, and I answer for it</label>
          {doing.problem && <Problem of={doing.problem} />}
          {!prove && <div class="buttons"><button type="submit" class="deny strong" disabled={doing.busy || !sure || !reason.trim()}><Icon name="shieldAlert" />Take access now</button><button type="button" class="quiet" onClick={close}>Cancel</button></div>}
        </form>
        {prove && <><StepUp after={take} /><p class="hint">It takes a second factor: <A to="/you">set one up</A> if you have none.</p></>}
      </div>
    </Dialog>
  );
}
