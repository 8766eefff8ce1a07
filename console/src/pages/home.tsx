import { useRef, useState } from "preact/hooks";
import { at, post } from "../api";
import { Asked } from "../asked";
import { approveSoon, decides, reviews, send, soon, undo } from "../decide";
import { now, requests, sessions } from "../live";
import { me } from "../me";
import { mine } from "../own";
import { go } from "../router";
import type { Request } from "../types";
import { Icon } from "../ui/icon";
import { useKeys } from "../ui/keys";
import { Empty, Field, Head, Problem, Skeleton, useDoing, useTitle } from "../ui/parts";
import { Protocol, RequestState, State } from "../ui/state";
import { A, Code, Left, visible, Where, Who, tick } from "../ui/text";
import { say } from "../ui/toast";

export default function Home() {
  useTitle("Home");
  tick.value;
  const all = [...(requests.value?.values() ?? [])];
  const t = now();
  // The oldest first: what comes takes its place below, and not under somebody's hand.
  const inbox = all.filter((r) => decides(r)).sort((a, b) => Date.parse(a.created) - Date.parse(b.created));
  const asked = all.filter((r) => mine(r) && (r.state === "pending" || (r.state === "approved" && !r.access)));
  const granted = all.filter((r) => mine(r) && r.state === "approved" && r.access?.grant && Date.parse(r.access.grant.until) > t);
  const due = all.filter(reviews);
  const open = [...(sessions.value?.values() ?? [])].filter((s) => s.user === me.value?.subject || s.for === me.value?.subject);
  // What others wait for comes first; where nobody does, her own.
  const waiting = (
    <section class="panel" aria-label="Waiting for you">
      <header><Icon name="hand" /><h2>Waiting for you</h2>{inbox.length > 0 && <span class="end dim small"><kbd>j</kbd> <kbd>k</kbd> move, <kbd>a</kbd> approve, <kbd>d</kbd> deny</span>}</header>
      {inbox.length ? <Inbox of={inbox} /> : <Empty icon="circleCheck" title="Nothing to decide">What others ask for and you may approve appears here, with what exactly it would do.</Empty>}
    </section>
  );
  const reviewsDue = due.length > 0 && (
    <section class="panel" aria-label="Reviews due">
      <header><Icon name="shieldAlert" /><h2>Access without an approval, to be reviewed</h2></header>
      <ul class="lines">{due.map((r) => (
        <li key={r.id}><RequestState of={r} /><A to={"/requests/" + r.id} class="grow cut"><Who subject={r.requester} human={r.for} /> <span class="dim">at</span> <Where of={r} /><span class="dim">: <bdi>{visible(r.access!.reason)}</bdi></span></A></li>
      ))}</ul>
    </section>
  );
  const access = (
    <section class="panel" aria-label="Your access">
      <header><Icon name="timer" /><h2>Your access for a time</h2></header>
      {granted.length ? <ul class="lines">{granted.map((r) => <Granted key={r.id} of={r} />)}</ul>
        : <Empty icon="timer" title="Nothing is granted">What you were granted for a time counts down here. <A to="/connections?access=ask">Ask for access</A>.</Empty>}
    </section>
  );
  const askedFor = (
    <section class="panel" aria-label="What you have asked for">
      <header><Icon name="send" /><h2>What you have asked for</h2><A to="/requests?of=mine&past=1" class="end small">All</A></header>
      {asked.length ? <ul class="lines">{asked.map((r) => (
        <li key={r.id}><RequestState of={r} /><A to={"/requests/" + r.id} class="grow cut"><Where of={r} /></A><Left until={r.state === "pending" ? r.deadline : r.use_by ?? r.deadline} from={r.created} word="" /></li>
      ))}</ul> : <Empty icon="send" title="You wait for nobody" />}
    </section>
  );
  const mySessions = (
    <section class="panel" aria-label="Your open sessions">
      <header><Icon name="activity" /><h2>Your open sessions</h2><A to="/sessions" class="end small">All</A></header>
      {open.length ? <ul class="lines">{open.slice(0, 8).map((s) => (
        <li key={s.id}><State tone="live" icon="activity" word="live" /><A to={"/sessions/" + s.id} class="grow cut"><Where of={s} /></A><Protocol of={s.protocol} /></li>
      ))}</ul> : <Empty icon="activity" title="No session is open">Copy a command of a <A to="/connections">connection</A> to begin one.</Empty>}
    </section>
  );
  return (
    <>
      <Head title="Home" about={inbox.length ? `${inbox.length === 1 ? "One request waits" : inbox.length + " requests wait"} for you.` : "No request waits for you."} />
      {reviewsDue}
      {!requests.value || !sessions.value ? <Skeleton /> : (
        inbox.length ? <div class="split">{waiting}<div class="stack">{access}{askedFor}{mySessions}</div></div>
          : <div class="split"><div class="stack">{access}{askedFor}</div><div class="stack">{mySessions}{waiting}</div></div>
      )}
    </>
  );
}

function Granted({ of: r }: { of: Request }) {
  const doing = useDoing();
  const g = r.access!.grant!;
  const later = Date.parse(g.from) > now();
  return (
    <li>
      <A to={"/connections/" + encodeURIComponent(r.resource)} class="grow cut"><Where of={r} /><span class="dim small"> {g.actions.join(", ")}</span></A>
      {later ? <State tone="off" icon="clock" word="begins later" /> : <Left until={g.until} from={g.from} word="" />}
      <button type="button" class="small" disabled={doing.busy} onClick={() => doing.run(async () => { await post(at`/v1/requests/${r.id}/cancel`, { reason: "not needed any more" }); say("Your access has ended."); })}>End</button>
      {doing.problem && <Problem of={doing.problem} />}
    </li>
  );
}

/** Requests that the caller decides about without leaving the page. */
function Inbox({ of: list }: { of: Request[] }) {
  const [id, set] = useState(list[0].id);
  const is = useRef({ id, list }); // keys come faster than the page is drawn
  is.current.list = list;
  const setID = (to: string) => { is.current.id = to; set(to); };
  const place = () => Math.max(0, is.current.list.findIndex((r) => r.id === is.current.id));
  const chosen = () => is.current.list[place()];
  const [denying, setDenying] = useState("");
  const current = list.find((r) => r.id === id) ?? list[0];
  const move = (by: number) => { const n = is.current.list[Math.max(0, Math.min(is.current.list.length - 1, place() + by))]; setID(n.id); document.getElementById("in-" + n.id)?.scrollIntoView({ block: "nearest" }); };
  const approve = (r: Request) => (r.cut ? go("/requests/" + r.id) : approveSoon(r));
  const look = () => go("/requests/" + chosen().id);
  useKeys(() => ({
    j: () => move(1), k: () => move(-1), a: () => approve(chosen()), d: () => setDenying(chosen().id), o: look, Enter: look, u: () => undo(chosen().id), Escape: () => setDenying(""),
  }), []);
  return (
    <ul class="inbox">
      {list.map((r) => (
        <li key={r.id} id={"in-" + r.id} data-at={r.id === current.id || undefined} aria-current={r.id === current.id || undefined} onFocusCapture={() => setID(r.id)} onMouseDown={() => setID(r.id)}>
          <div class="line"><Who subject={r.requester} human={r.for} /><span class="dim">at</span><span class="strong"><Where of={r} /></span><span class="grow" /><Left until={r.deadline} from={r.created} word="to decide" /></div>
          {r.access ? <p><Asked of={r} /></p> : <Code text={r.text + (r.cut ? " …" : "")} label={`Statement of ${r.requester}`} />}
          {!r.access && <p class="dim small">{r.message}{r.effects && <> · does: {r.effects}</>}{r.arguments?.length ? ` · ${r.arguments.length} arguments` : ""}</p>}
          {soon.value.has(r.id) ? <div class="buttons"><State tone="allow" icon="clock" word="approving in a moment" /><button type="button" class="small" onClick={() => undo(r.id)}><Icon name="undo" size={14} />Undo</button></div>
            : denying === r.id ? <Deny of={r} close={() => setDenying("")} /> : (
              <div class="buttons">
                {r.cut || r.arguments?.length ? <A to={"/requests/" + r.id} class="button small">Look at all of it first</A>
                  : <button type="button" class="allow small" onClick={() => approve(r)}><Icon name="check" size={14} />Approve</button>}
                <button type="button" class="deny small" onClick={() => setDenying(r.id)}><Icon name="x" size={14} />Deny</button>
                <A to={"/requests/" + r.id} class="button small quiet">Details</A>
              </div>
            )}
        </li>
      ))}
    </ul>
  );
}

export function Deny({ of: r, close }: { of: Request; close: () => void }) {
  const [reason, setReason] = useState("");
  const doing = useDoing();
  const submit = (e: Event) => { e.preventDefault(); doing.run(async () => { await send(r, "deny", { reason }); say(`Denied: ${r.id}.`); close(); }); };
  return (
    <form onSubmit={submit} class="deny-form">
      <Field id={"why-" + r.id} label="Why not" hint="She is told this."><input id={"why-" + r.id} required maxLength={1000} autofocus aria-describedby={`why-${r.id}-hint`} value={reason} onInput={(e) => setReason(e.currentTarget.value)}
        onKeyDown={(e) => { if (e.key === "Escape") close(); }} ref={(el: HTMLInputElement | null) => { if (el && !el.value) el.focus(); }} /></Field>
      {doing.problem && <Problem of={doing.problem} />}
      <div class="buttons"><button type="submit" class="deny" disabled={doing.busy || !reason.trim()}>Deny</button><button type="button" class="quiet" onClick={close}>Cancel</button></div>
    </form>
  );
}
