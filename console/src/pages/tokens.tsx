import { useState } from "preact/hooks";
import { at, get, may, post } from "../api";
import { me } from "../me";
import { query, setQuery } from "../router";
import type { Token } from "../types";
import { Icon } from "../ui/icon";
import { List, type Column } from "../ui/list";
import { Dialog, Empty, Field, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { Code, Left, span, Time, visible } from "../ui/text";
import { say } from "../ui/toast";

const scopes = (t: Token) => (t.scopes?.length ? t.scopes.map((s) => `${(s.actions ?? []).join(", ")} at ${Array.isArray(s.resources) ? s.resources.join(", ") : s.resources ? JSON.stringify(s.resources) : "everything"}`).join("; ") : "all that its owner may");

export default function Tokens() {
  useTitle("Access tokens");
  const all = query.value.get("all") === "1" && may(me.value, "users");
  const loaded = useLoad<{ tokens: Token[] }>((s) => get("/v1/tokens" + (all ? "?all=true" : ""), s), all);
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const columns: Column<Token>[] = [
    { head: "Label", width: "minmax(100px, 1fr)", cell: (t) => <bdi class="strong">{visible(t.label)}</bdi> },
    ...(all ? [{ head: "Owner", width: "minmax(90px, 1fr)", cell: (t: Token) => <bdi>{visible(t.subject)}</bdi> }] : []),
    { head: "For", width: "minmax(120px, 2fr)", wide: true, cell: (t) => <span class="dim">{visible(scopes(t))}</span> },
    { head: "Used", width: "136px", wide: true, cell: (t) => <Time at={t.last_used} /> },
    { head: "Left", width: "132px", cell: (t) => <Left until={t.expires ?? ""} from={t.created} /> },
    { head: "Revoke", width: "88px", end: true, cell: (t) => <button type="button" class="deny small" aria-label={`Revoke ${t.label}`} onClick={() => setRevoking(t)}>Revoke</button> },
  ];
  return (
    <>
      <Head title="Access tokens" about="What programs of yours prove themselves with, in the place of a password.">
        {may(me.value, "users") && <label class="check"><input type="checkbox" checked={all} onChange={(e) => setQuery({ all: e.currentTarget.checked ? "1" : null })} />Everybody's</label>}
        <button type="button" class="primary" onClick={() => setMaking(true)}><Icon name="plus" />New token</button>
      </Head>
      {loaded.problem && <Problem of={loaded.problem} again={loaded.again} />}
      {!loaded.value ? !loaded.problem && <Skeleton /> : (
        <List items={loaded.value.tokens} id={(t) => t.id} columns={columns} label="Access tokens" empty={<Empty icon="keyRound" title="There is no access token">Make one for a program, with no more than it needs, and for no longer.</Empty>} />
      )}
      {making && <NewToken close={() => { setMaking(false); loaded.again(); }} />}
      {revoking && <Revoke of={revoking} close={() => setRevoking(null)} again={loaded.again} />}
    </>
  );
}

function Revoke({ of: t, close, again }: { of: Token; close: () => void; again: () => void }) {
  const doing = useDoing();
  return (
    <Dialog title={`Revoke ${t.label}`} close={close}>
      <p class="pad-b">The program that uses it is refused from now on, and sessions that it has proven end.</p>
      {doing.problem && <Problem of={doing.problem} />}
      <div class="buttons"><button type="button" class="deny" disabled={doing.busy} onClick={() => doing.run(async () => { await post(at`/v1/tokens/${t.id}/revoke`); say("Revoked."); again(); close(); })}>Revoke</button><button type="button" class="quiet" onClick={close}>Cancel</button></div>
    </Dialog>
  );
}

const lives = [3600, 86400, 7 * 86400, 30 * 86400, 90 * 86400];

function NewToken({ close }: { close: () => void }) {
  const [label, setLabel] = useState("");
  const [seconds, setSeconds] = useState(7 * 86400);
  const [actions, setActions] = useState("read");
  const [resources, setResources] = useState("");
  const [made, setMade] = useState<{ secret: string; user: string } | null>(null);
  const doing = useDoing();
  const words = (s: string) => s.split(/[\s,]+/).filter(Boolean);
  const submit = (e: Event) => {
    e.preventDefault();
    doing.run(async () => setMade(await post("/v1/tokens", {
      label, seconds, scopes: words(actions).length || words(resources).length ? [{ actions: words(actions), resources: words(resources).length ? words(resources) : undefined }] : undefined,
    })));
  };
  if (made) return (
    <Dialog title="The token" close={close}>
      <p class="pad-b">It is shown once, and kept nowhere. Copy it to where the program reads it.</p>
      <Code text={made.secret} label="Token" />
      <div class="buttons pad-t"><button type="button" class="primary" onClick={close}>Done</button></div>
    </Dialog>
  );
  return (
    <Dialog title="New token" close={close}>
      <form onSubmit={submit}>
        <Field id="token-label" label="Label" hint="What it is for."><input id="token-label" required maxLength={200} autofocus aria-describedby="token-label-hint" value={label} onInput={(e) => setLabel(e.currentTarget.value)} /></Field>
        <Field id="token-actions" label="Actions" hint="Such as read, write, exec. Empty, with no resources: all that you may."><input id="token-actions" spellcheck={false} aria-describedby="token-actions-hint" value={actions} onInput={(e) => setActions(e.currentTarget.value)} /></Field>
        <Field id="token-resources" label="Resources" hint="Names; empty: all."><input id="token-resources" spellcheck={false} aria-describedby="token-resources-hint" value={resources} onInput={(e) => setResources(e.currentTarget.value)} /></Field>
        <Field id="token-life" label="For"><select id="token-life" value={String(seconds)} onChange={(e) => setSeconds(Number(e.currentTarget.value))}>{lives.map((s) => <option key={s} value={s}>{span(s * 1000)}</option>)}</select></Field>
        {doing.problem && <Problem of={doing.problem} />}
        <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !label.trim()}>Make it</button><button type="button" class="quiet" onClick={close}>Cancel</button></div>
      </form>
    </Dialog>
  );
}
