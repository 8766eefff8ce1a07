import { useState } from "preact/hooks";
import { at, get, post } from "./api";
import { learn } from "./live";
import { Actions, Begin, instant, Length, local, type Wish } from "./terms";
import type { Proposal, Request, Terms } from "./types";
import { Icon } from "./ui/icon";
import { Dialog, Field, Problem, Skeleton, useDoing, useLoad } from "./ui/parts";
import { State } from "./ui/state";
import { A, span, Time, visible, Who } from "./ui/text";
import { say } from "./ui/toast";

// What becomes of a request for access besides yes and no: more time, other terms, and the review of what was taken.

interface Dialogs { of: Request; close: () => void; again: () => void }

const wished = (r: Request): Wish => ({ seconds: r.access!.seconds, actions: r.access!.actions, from: local(r.access!.from) });

/** changed is what of a wish is another one than what a request has: what is left out stays. */
function changed(r: Request, w: Wish) {
  const a = r.access!, same = w.actions.length === a.actions.length && w.actions.every((x) => a.actions.includes(x));
  return {
    seconds: w.seconds === a.seconds ? undefined : w.seconds, actions: same ? undefined : w.actions,
    from: w.from === local(a.from) ? undefined : instant(w.from),
  };
}

/** useRule asks on what terms the caller may ask by a request's rule. */
function useRule(r: Request) {
  const loaded = useLoad<{ terms: Terms[] }>((s) => get(at`/v1/resources/${r.resource}/terms` + (r.account ? "?account=" + encodeURIComponent(r.account) : ""), s), r.id);
  const t = loaded.value?.terms.find((x) => x.rule === r.access!.rule);
  return { t, problem: loaded.problem || (loaded.value && !t ? "The rule does not let you ask for this any more." : "") };
}

/** Changing what one has asked for, while it waits. */
export function EditDialog({ of: r, close, again }: Dialogs) {
  const { t, problem } = useRule(r);
  const [w, set] = useState(wished(r));
  const [reason, setReason] = useState(r.access!.reason);
  const doing = useDoing();
  const change = { ...changed(r, w), reason: reason === r.access!.reason ? undefined : reason };
  const votes = (r.access!.votes ?? []).some((v) => !v.lost);
  const submit = (e: Event) => { e.preventDefault(); doing.run(async () => { learn(await post<Request>(at`/v1/requests/${r.id}/edit`, change)); say("Changed."); again(); close(); }); };
  return (
    <Dialog title="Change the request" close={close}>
      {!t ? problem ? <Problem of={problem} /> : <Skeleton rows={3} /> : (
        <form class="stack" onSubmit={submit}>
          <Length id="edit-for" seconds={w.seconds} max={t.max} also={[t.seconds, r.access!.seconds]} set={(seconds) => set({ ...w, seconds })} />
          <Actions all={t.actions} chosen={w.actions} set={(actions) => set({ ...w, actions })} />
          <Field id="edit-reason" label="Reason" hint={t.reason ? <>It must have <code>{t.reason}</code>.</> : "Who decides reads it."}><textarea id="edit-reason" required maxLength={1000} rows={2} aria-describedby="edit-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
          {!r.access!.extends && <Begin id="edit-from" from={w.from} set={(from) => set({ ...w, from })} />}
          {votes && <p class="hint">Who has approved it has approved less of it, too. Anything else is approved anew.</p>}
          {doing.problem && <Problem of={doing.problem} />}
          <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !reason.trim() || !Object.values(change).some((x) => x !== undefined)}>Change it</button><button type="button" class="quiet" onClick={close}>Cancel</button></div>
        </form>
      )}
    </Dialog>
  );
}

/** Asking for more time. */
export function ExtendDialog({ of: r, close, go }: { of: Request; close: () => void; go: (to: string) => void }) {
  const { t, problem } = useRule(r);
  const [seconds, setSeconds] = useState(0);
  const [reason, setReason] = useState("");
  const doing = useDoing();
  const submit = (e: Event, length: number) => {
    e.preventDefault();
    doing.run(async () => { const made = await post<Request>("/v1/requests", { extends: r.id, seconds: length, reason }); close(); go("/requests/" + made.id); });
  };
  if (!t) return <Dialog title="Ask for more time" close={close}>{problem ? <Problem of={problem} /> : <Skeleton rows={3} />}</Dialog>;
  const length = seconds || Math.min(t.seconds, t.max);
  return (
    <Dialog title="Ask for more time" close={close}>
      <form class="stack" onSubmit={(e) => submit(e, length)}>
        <p>It begins when what you have ends, <Time at={r.access!.grant!.until} />, and is approved as any other request. Your open sessions go on.</p>
        <Length id="extend-for" seconds={length} max={t.max} also={[t.seconds]} set={setSeconds} />
        <Field id="extend-reason" label="Reason" hint={t.reason ? <>It must have <code>{t.reason}</code>.</> : "Who decides reads it."}><textarea id="extend-reason" required autofocus maxLength={1000} rows={2} aria-describedby="extend-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
        {doing.problem && <Problem of={doing.problem} />}
        <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !reason.trim()}><Icon name="send" />Ask</button><button type="button" class="quiet" onClick={close}>Cancel</button></div>
      </form>
    </Dialog>
  );
}

/** Saying what one would grant instead. */
export function ProposeDialog({ of: r, close, again }: Dialogs) {
  const [w, set] = useState(wished(r));
  const [further, setFurther] = useState("");
  const [reason, setReason] = useState("");
  const doing = useDoing();
  const actions = [...w.actions, ...further.split(/[\s,]+/).filter((x) => x && !w.actions.includes(x))];
  const change = changed(r, { ...w, actions });
  const submit = (e: Event) => { e.preventDefault(); doing.run(async () => { learn(await post<Request>(at`/v1/requests/${r.id}/propose`, { hash: r.hash, reason, ...change })); say("Proposed."); again(); close(); }); };
  return (
    <Dialog title="Propose other terms" close={close}>
      <form class="stack" onSubmit={submit}>
        <p class="dim"><bdi>{visible(r.requester)}</bdi> is told, and may make it the request. It is approved then as any other: by this nobody has approved it.</p>
        <Length id="propose-for" seconds={w.seconds} max={2592000} also={[r.access!.seconds]} set={(seconds) => set({ ...w, seconds })} />
        <Actions all={r.access!.actions} chosen={w.actions} set={(chosen) => set({ ...w, actions: chosen })} />
        <Field id="propose-further" label="Further actions" hint="Of those that the rule allows, such as read. Not needed."><input id="propose-further" maxLength={200} aria-describedby="propose-further-hint" value={further} onInput={(e) => setFurther(e.currentTarget.value)} /></Field>
        {!r.access!.extends && <Begin id="propose-from" from={w.from} set={(from) => set({ ...w, from })} />}
        <Field id="propose-reason" label="Why" hint="She is told this."><textarea id="propose-reason" required maxLength={1000} rows={2} aria-describedby="propose-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
        {doing.problem && <Problem of={doing.problem} />}
        <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !reason.trim() || !actions.length || !Object.values(change).some((x) => x !== undefined)}>Propose it</button><button type="button" class="quiet" onClick={close}>Cancel</button></div>
      </form>
    </Dialog>
  );
}

/** What an approver has proposed; the requester may make it her request. */
export function ProposalPanel({ of: r, by: p, own, again }: { of: Request; by: Proposal; own: boolean; again: () => void }) {
  const doing = useDoing();
  const a = r.access!;
  const row = (word: string, was: string, is: string) => <tr><th scope="row">{word}</th><td>{was === is ? <span class="dim">{is}</span> : <><del>{was}</del> <ins>{is}</ins></>}</td></tr>;
  const begins = (from?: string) => (local(from) ? local(from).replace("T", " ") : "with the last approval");
  return (
    <section class="panel" aria-label="Proposed instead"><header><Icon name="undo" /><h2>Proposed instead</h2><span class="end"><State tone="review" icon="clock" word={own ? "waits for you" : "not accepted yet"} /></span></header><div class="body stack">
      <p><Who subject={p.name || p.by} />, <Time at={p.at} />: <bdi class="pre">{visible(p.reason ?? "")}</bdi></p>
      <table><tbody>{row("Actions", visible(a.actions.join(", ")), visible(p.actions.join(", ")))}{row("For", span(a.seconds * 1000), span(p.seconds * 1000))}{row("Begins", begins(a.from), begins(p.from))}</tbody></table>
      {doing.problem && <Problem of={doing.problem} />}
      {own && <div class="buttons"><button type="button" class="primary" disabled={doing.busy} onClick={() => doing.run(async () => { learn(await post<Request>(at`/v1/requests/${r.id}/accept`, { hash: p.hash })); say("This is your request now."); again(); })}><Icon name="check" />Make it my request</button></div>}
    </div></section>
  );
}

/** Saying of what somebody has taken whether it was in order. */
export function ReviewPanel({ of: r, again }: { of: Request; again: () => void }) {
  const [reason, setReason] = useState("");
  const doing = useDoing();
  const judge = (violation: boolean) => doing.run(async () => { learn(await post<Request>(at`/v1/requests/${r.id}/review`, { hash: r.hash, reason, violation })); say("Reviewed."); again(); });
  return (
    <section class="panel decide" aria-label="Review"><header><Icon name="shieldAlert" /><h2>Your review</h2></header><div class="body stack">
      <p class="dim">Look at <A to={"/sessions?state=past&q=" + encodeURIComponent(`user:${r.requester} resource:${r.resource}`)}>what was done</A>, and say whether it was in order. It is on record, and cannot be changed.</p>
      <Field id="review-reason" label="Why" hint="She is told this."><textarea id="review-reason" required maxLength={1000} rows={2} aria-describedby="review-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
      {doing.problem && <Problem of={doing.problem} />}
      <div class="buttons"><button type="button" class="allow" disabled={doing.busy || !reason.trim()} onClick={() => judge(false)}><Icon name="shieldCheck" />In order</button><button type="button" class="deny" disabled={doing.busy || !reason.trim()} onClick={() => judge(true)}><Icon name="shieldAlert" />A violation</button></div>
    </div></section>
  );
}
