import { useState } from "preact/hooks";
import { at, post } from "./api";
import type { Session } from "./types";
import { Dialog, Field, Problem, useDoing } from "./ui/parts";
import { visible, Where } from "./ui/text";
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
