import { useState } from "preact/hooks";
import { at, may, post } from "./api";
import { sessions } from "./live";
import { me } from "./me";
import type { Session } from "./types";
import { Icon } from "./ui/icon";
import { Dialog, Field, Problem, useDoing } from "./ui/parts";
import { Time, visible, Where } from "./ui/text";
import { say } from "./ui/toast";

/** Ending somebody's session, or one's own. */
export function KillDialog({ of: s, close }: { of: Session; close: () => void }) {
  const [reason, setReason] = useState("");
  const doing = useDoing();
  const submit = (e: Event) => { e.preventDefault(); doing.run(async () => { await post(at`/v1/sessions/${s.id}/kill`, { reason }); say("The session ends."); close(); }); };
  return (
    <Dialog title="End the session" close={close}>
      <form onSubmit={submit}>
        <p class="pad-b"><bdi class="strong">{visible(s.user)}</bdi> at <Where of={s} /></p>
        <Field id="kill-reason" label="Reason" hint="She is told this, and it is on record."><input id="kill-reason" required maxLength={1000} autofocus aria-describedby="kill-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
        {doing.problem && <Problem of={doing.problem} />}
        <div class="buttons"><button type="submit" class="deny" disabled={doing.busy || !reason.trim()}>End it</button><button type="button" class="quiet" onClick={close}>Cancel</button></div>
      </form>
    </Dialog>
  );
}

/** Stepping into somebody's open session: writing to her, and having it wait. */
export function StepIn({ of: s }: { of: Session }) {
  const [open, setOpen] = useState<"" | "message" | "freeze" | "unfreeze">("");
  const close = () => setOpen("");
  if (!may(me.value, "kill")) return null;
  return (
    <>
      <button type="button" class="small" onClick={() => setOpen("message")}><Icon name="send" size={14} />Message</button>
      {s.frozen ? <button type="button" class="small" onClick={() => setOpen("unfreeze")}><Icon name="play" size={14} />Unfreeze</button> : <button type="button" class="small" onClick={() => setOpen("freeze")}><Icon name="pause" size={14} />Freeze</button>}
      {open === "message" && <SayDialog of={s} close={close} title="Write to her" what="message" field="text" label="Message" hint="At a terminal she is shown it at once, elsewhere with the next answer. It is on record." word="Send" />}
      {open === "freeze" && <SayDialog of={s} close={close} title="Freeze the session" what="freeze" field="reason" label="Reason" hint="What she types and asks waits, and so does what is answered. She is told this, and it is on record." word="Freeze it" />}
      {open === "unfreeze" && <SayDialog of={s} close={close} title="Have the session go on" what="unfreeze" field="reason" label="Reason" hint="It is on record. What has waited goes on." word="Unfreeze it" />}
    </>
  );
}

function SayDialog({ of: s, close, title, what, field, label, hint, word }: { of: Session; close: () => void; title: string; what: string; field: string; label: string; hint: string; word: string }) {
  const [text, setText] = useState("");
  const doing = useDoing();
  const submit = (e: Event) => {
    e.preventDefault();
    doing.run(async () => {
      const a = await post<{ now?: boolean }>(at`/v1/sessions/${s.id}/` + what, { [field]: text });
      say(what !== "message" ? (what === "freeze" ? "The session waits." : "The session goes on.") : a.now ? "She is shown it now." : "She is shown it with the next answer.");
      close();
    });
  };
  return (
    <Dialog title={title} close={close}>
      <form onSubmit={submit}>
        <p class="pad-b"><bdi class="strong">{visible(s.user)}</bdi> at <Where of={s} /></p>
        <Field id="step-in" label={label} hint={hint}><input id="step-in" required maxLength={1000} autofocus aria-describedby="step-in-hint" value={text} onInput={(e) => setText(e.currentTarget.value)} /></Field>
        {doing.problem && <Problem of={doing.problem} />}
        <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !text.trim()}>{word}</button><button type="button" class="quiet" onClick={close}>Cancel</button></div>
      </form>
    </Dialog>
  );
}

/** What is to be known of a session that waits. */
export function Frozen({ id }: { id: string }) {
  const f = sessions.value?.get(id)?.frozen;
  return f ? <div class="banner" role="status" data-tone="review"><Icon name="pause" /><span>Frozen since <Time at={f.at} seconds /> by <bdi>{visible(f.by)}</bdi>: <bdi>{visible(f.reason)}</bdi>. What is typed and asked waits.</span></div> : null;
}
